"""Tasks that wait for others: let go when these have ended, or cancelled if one did not complete.

The recorder calls this after its commit and before anything is forgotten or acknowledged. Who waits
for whom is in the database (``Dependency``); whether a task waits is in Redis (its status). So a
task is decided exactly once: ``admit.lua`` moves it only while it waits, and only at the version
that was looked at. A crash between any two steps repeats the ones before, which changes nothing.

No child is forgotten, since whichever of the two is recorded second sees the other: a parent that
ends finds the rows of its children, and a child that comes looks for what its parents are now.
Whoever closes a child's last row decides on it; whoever opens one looks at the parent after that.
"""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from tasks_app.broker import Broker
from tasks_app.broker.answers import Decision
from tasks_app.broker.keys import shards
from tasks_app.lookup import is_id
from tasks_app.message import Attempt, State, TaskMessage, now_us
from tasks_app.models import Dependency, Member, WorkflowRecord
from tasks_app.slices import slices
from tasks_app.states import FINAL, Status
from tasks_app.workflows.parents import statuses_of
from tasks_app.workflows.policies import OnFailure
from tasks_app.workflows.storing import database

logger = logging.getLogger(__name__)

ROWS = 500  # ids in a statement, tasks of a look
FAILURES = frozenset({Status.FAILED, Status.EXPIRED})  # that concern the rest of a workflow
WORKFLOW = b'"workflow":"'  # in a definition, unless a user has written it there


class Waiting(NamedTuple):
    """A task that waits, as Redis has it."""

    shard: int
    message: TaskMessage
    version: int


class Ended(NamedTuple):
    """A recorded task that is over."""

    status: Status
    definition: bytes


@dataclass(slots=True)
class Row:
    """A Dependency, for there may be many."""

    id: int
    child_id: str
    parent_id: str
    is_open: bool
    runs_anyway: bool


class Releaser:
    """Decides on tasks that wait for others."""

    def __init__(self, broker: Broker):
        self._broker = broker

    def release(self, ended: Mapping[str, Ended], waiting: Collection[str]) -> int:
        """Deal with tasks that were just recorded: as over, or as waiting for others.

        Return how many were decided. Costs one question as long as no task waits for any.
        """
        children = {task_id for task_id in waiting if is_id(task_id)}
        ended = {task_id: each for task_id, each in ended.items() if is_id(task_id)}
        if ended and _rows().exists():
            children |= self._settle({i: each.status for i, each in ended.items()})
        decided = self._decide(sorted(children)) if children else 0
        failed = {i: e.definition for i, e in ended.items() if e.status in FAILURES}
        for definition in failed.values():
            if WORKFLOW in definition and (message := _read(definition)):
                self._fail_workflow(message)
        return decided

    def _settle(self, ended: Mapping[str, Status]) -> set[str]:
        """Close the rows of tasks that are over; return the children that this may decide."""
        found: set[str] = set()
        for ids in slices(sorted(ended), ROWS):
            rows = _rows().filter(parent_id__in=ids)
            with transaction.atomic(using=database()):
                rows.filter(is_open=True).update(is_open=False)
            bad = [task_id for task_id in ids if ended[task_id] is not Status.COMPLETED]
            found.update(_children(rows.filter(parent_id__in=bad, runs_anyway=False)))
            # Also those whose rows were closed before: that they were decided is not known.
            still = _rows().filter(child_id=OuterRef("child_id"), is_open=True)
            found.update(_children(rows.exclude(Exists(still))))
        return found

    def _decide(self, children: Sequence[str]) -> int:
        """Look at tasks and at those that they wait for; let go or cancel what can be."""
        decided = 0
        for ids in slices(children, ROWS):
            # In this order: a task that is retried after this look has another version, and its
            # parents were retried before it.
            waiting = self._waiting(ids)
            if not waiting:
                continue
            rows = _rows_of(list(waiting))
            cancelled = _cancelled({task.message.workflow for task in waiting.values()} - {""})
            statuses = self._closed(rows)  # last: a parent may be retried at any moment
            decided += self._admit(waiting, rows, statuses, cancelled)
        return decided

    def _waiting(self, ids: Sequence[str]) -> dict[str, Waiting]:
        found = {}
        for shard in shards():
            for task_id, (definition, raw) in self._broker.read(ids, shard).items():
                # What a limit keeps waiting looks the same here; the script leaves it alone.
                state = State.decode(raw)
                if state.status is Status.WAITING and (message := _read(definition)):
                    found[task_id] = Waiting(shard, message, state.version)
        return found

    def _closed(self, rows: Sequence[Row]) -> dict[str, Status | None]:
        """What the parents are now; and let the rows say so. None: there is no such task."""
        statuses = _looked_up({row.parent_id for row in rows})
        while again := [r for r in rows if not r.is_open and _is_open(statuses[r.parent_id])]:
            # It was retried. Its end may be recorded before this is written: so look after that.
            _write(again, is_open=True)
            statuses |= _looked_up({row.parent_id for row in again})
        _write(
            [r for r in rows if r.is_open and not _is_open(statuses[r.parent_id])], is_open=False
        )
        return statuses

    def _admit(
        self,
        waiting: Mapping[str, Waiting],
        rows: Iterable[Row],
        statuses: Mapping[str, Status | None],
        cancelled: Collection[str],
    ) -> int:
        parents: dict[str, list[Row]] = {task_id: [] for task_id in waiting}
        for row in rows:
            parents[row.child_id].append(row)
        decisions: dict[int, list[Decision]] = {}
        for task_id, task in waiting.items():
            reason, said = _hindrance(parents[task_id], statuses)
            if task.message.workflow in cancelled:
                reason, said = "", "Its workflow was cancelled."
            if said or not any(_is_open(statuses[row.parent_id]) for row in parents[task_id]):
                decisions.setdefault(task.shard, []).append(_decision(task, said, reason))
        decided = []
        for shard, some in decisions.items():
            decided += self._broker.admit(some, shard)
        if decided:
            logger.info("event=released tasks=%d first=%s", len(decided), decided[0])
        return len(decided)

    def _fail_workflow(self, message: TaskMessage) -> None:
        """Cancel the rest, if the workflow is one that wants it."""
        wants_it = WorkflowRecord.objects.using(database()).filter(
            id=message.workflow, on_failure=OnFailure.CANCEL
        )
        if not message.workflow or not wants_it.exists():
            return
        members = Member.objects.using(database()).filter(workflow_id=message.workflow)
        ids = list(members.exclude(task_id=message.id).values_list("task_id", flat=True))
        why = f"Task {message.id} of its workflow failed."
        for some in slices(ids, ROWS):
            self._broker.must_lead()
            if _is_open(_looked_up([message.id])[message.id]):
                return  # it was retried meanwhile, and the rest with it
            self._broker.cancel(some, why=why)


def _read(definition: bytes) -> TaskMessage | None:
    try:
        return TaskMessage.decode(definition)
    except ValueError:  # of a newer version; the others are not to suffer for it
        return None


def _rows() -> QuerySet[Dependency]:
    return Dependency.objects.using(database())


def _rows_of(children: Sequence[str]) -> list[Row]:
    rows = _rows().filter(child_id__in=children).order_by("child_id", "position")
    return [Row(*each) for each in rows.values_list(*Row.__slots__).iterator()]


def _children(rows: QuerySet[Dependency]) -> Iterable[str]:
    return rows.order_by().values_list("child_id", flat=True).distinct()


def _write(rows: Sequence[Row], *, is_open: bool) -> None:
    for some in slices(rows, ROWS):
        _rows().filter(id__in=[row.id for row in some]).update(is_open=is_open)
        for row in some:
            row.is_open = is_open


def _looked_up(ids: Iterable[str]) -> dict[str, Status | None]:
    found: dict[str, Status | None] = dict.fromkeys(ids)
    return found | statuses_of(found)


def _is_open(status: Status | None) -> bool:
    return status is not None and status not in FINAL


def _hindrance(rows: Iterable[Row], statuses: Mapping[str, Status | None]) -> tuple[str, str]:
    """The parent that is why a task is never to run, and a sentence; "" twice if there is none."""
    for row in rows:
        status = statuses[row.parent_id]
        if row.runs_anyway or status is Status.COMPLETED or _is_open(status):
            continue
        if status is None:
            return row.parent_id, f"It waited for task {row.parent_id}, of which {_NOTHING}."
        return row.parent_id, f"It waited for task {row.parent_id}, which {_HOW[status]}."
    return "", ""


_NOTHING = "nothing is known any more"
_HOW = {
    Status.FAILED: "failed",
    Status.CANCELLED: "was cancelled",
    Status.EXPIRED: "expired",
}


def _decision(task: Waiting, said: str, reason: str) -> Decision:
    if said:
        line = Attempt(outcome=Status.CANCELLED, ended_us=now_us(), error=said).encode()
        return Decision(task.message.id, task.version, line=line, reason=reason)
    return Decision(task.message.id, task.version, -(-task.message.run_after_us // 1000))


def _cancelled(workflow_ids: Collection[str]) -> set[str]:
    if not workflow_ids:
        return set()
    rows = WorkflowRecord.objects.using(database()).filter(id__in=workflow_ids, cancelled_us__gt=0)
    return set(rows.values_list("id", flat=True))
