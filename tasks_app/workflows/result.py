"""A workflow that was submitted: how far it is, and what may be done with all of it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from asgiref.sync import sync_to_async
from django.db.models import Case, Count, OuterRef, QuerySet, Subquery, Value, When

from .. import cancelling
from ..broker import broker
from ..exceptions import WorkflowNotFound, WrongState
from ..late import model
from ..lookup import find_many, recorded_remarks
from ..message import UNREADABLE, StoredTask, now_us
from ..slices import slices
from ..states import FINAL, OPEN, Status
from .parents import AT_ONCE, statuses_of
from .storing import database


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a workflow is, as the history has it: some tenths of a second late at most."""

    total: int
    statuses: dict[Status, int]  # those that tasks have

    @property
    def done(self) -> int:
        """Tasks that have ended, however."""
        return sum(count for status, count in self.statuses.items() if status in FINAL)

    @property
    def is_over(self) -> bool:
        return self.done == self.total

    @property
    def is_completed(self) -> bool:
        return self.statuses.get(Status.COMPLETED, 0) == self.total


class Retried(NamedTuple):
    """What a retry of a workflow did."""

    tasks: int  # that run once more
    refused: dict[str, str]  # id -> why not


class WorkflowResult:
    """By its id; looks nothing up before it is asked."""

    def __init__(self, workflow_id: str):
        self.id = workflow_id
        self._record: Any = None

    def __repr__(self) -> str:
        return f"WorkflowResult({self.id!r})"

    @property
    def record(self) -> Any:
        """Its row. Raise WorkflowNotFound."""
        if self._record is None:
            rows = model("WorkflowRecord").objects.using(database())
            self._record = rows.filter(id=self.id).first()
            if self._record is None:
                raise WorkflowNotFound(f"There is no workflow {self.id}.")
        return self._record

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def task_ids(self) -> dict[str, str]:
        """The tasks by name, parents first."""
        return dict(self._members().values_list("name", "task_id"))

    def refresh(self) -> None:
        """Look its row up anew when it is next asked for."""
        self._record = None

    def progress(self) -> Progress:
        """How far it is. Raise WorkflowNotFound, or QueueUnavailable once it seems to be over."""
        found = Progress(self.record.total, counts_of([self.id]).get(self.id, {}))
        return self._confirmed(found) if found.is_over else found

    def _confirmed(self, found: Progress) -> Progress:
        """The same, unless tasks were retried since: the history does not have that yet."""
        for ids in self._slices():
            live = broker().glance(ids)
            if any(glance.state.status in OPEN for glance in live.values()):
                statuses = [s for some in self._slices() for s in statuses_of(some).values()]
                return Progress(found.total, dict(Counter(statuses)))
        return found

    def cancel(self, *, by: str = "") -> int:
        """Cancel all of its tasks that are open, in the outbox too; return how many.

        What waits for others never runs then, also if it reaches Redis only later. Raise
        WorkflowNotFound, or WrongState as ``cancelling.cancel`` does: another call goes on.
        """
        self._update(cancelled_us=now_us())
        why = f"Its workflow was cancelled{by and f' by {by}'}."
        cancelled = 0
        for ids in self._slices():
            before = cancelling.cancel(ids, why=why)
            cancelled += sum(status in OPEN for status in before.values())
        return cancelled

    def retry(self) -> Retried:
        """Run its tasks that failed, expired or were cancelled once more, parents first.

        They wait for each other as before. Raise WorkflowNotFound, or QueueUnavailable: what was
        retried until then stays so, and another call goes on.
        """
        self._update(cancelled_us=0)
        done, refused, seen = 0, {}, set()
        # Until there is nothing new: what a failed parent has cancelled meanwhile is meant too.
        while again := [task_id for task_id in self._ended_badly() if task_id not in seen]:
            seen.update(again)
            for some in slices(again, AT_ONCE):
                tasks, said = find_many(some), recorded_remarks(some)
                for task_id in some:
                    try:
                        _retry(tasks.get(task_id), said.get(task_id))
                        done += 1
                    except WrongState as error:
                        refused[task_id] = str(error)
        return Retried(done, refused)

    def _ended_badly(self) -> list[str]:
        """Its tasks that have ended and did not complete, parents first."""
        found = []
        for ids in self._slices():
            statuses = statuses_of(ids)
            found += [i for i in ids if statuses.get(i) in FINAL - {Status.COMPLETED}]
        return found

    async def aprogress(self) -> Progress:
        return await sync_to_async(self.progress, thread_sensitive=True)()

    async def acancel(self, *, by: str = "") -> int:
        return await sync_to_async(self.cancel, thread_sensitive=True)(by=by)

    async def aretry(self) -> Retried:
        return await sync_to_async(self.retry, thread_sensitive=True)()

    def _update(self, **fields: Any) -> None:
        rows = model("WorkflowRecord").objects.using(database())
        if not rows.filter(id=self.id).update(**fields):
            raise WorkflowNotFound(f"There is no workflow {self.id}.")
        self.refresh()

    def _members(self) -> QuerySet:
        return members_of(self.id)

    def _slices(self) -> Iterator[list[str]]:
        return slices(list(self._members().values_list("task_id", flat=True)), AT_ONCE)


def get_workflow(workflow_id: str) -> WorkflowResult:
    """A workflow that was submitted before. Raise WorkflowNotFound."""
    found = WorkflowResult(workflow_id)
    found.record  # noqa: B018 (raises)
    return found


def members_of(workflow_id: str) -> QuerySet:
    """The tasks of a workflow, parents first."""
    rows = model("Member").objects.using(database())
    return rows.filter(workflow_id=workflow_id).order_by("position")


def with_status(members: QuerySet) -> QuerySet:
    """The same with what the history says; of one that it does not have yet, what it will."""
    record = model("TaskRecord").objects.filter(id=OuterRef("task_id")).values("status")
    first = Case(
        When(layer=0, then=Value(Status.PENDING.value)), default=Value(Status.WAITING.value)
    )
    return members.annotate(known=Subquery(record), first=first)


def counts_of(workflow_ids: list[str]) -> dict[str, dict[Status, int]]:
    """How many tasks of some workflows have which status."""
    rows = model("Member").objects.using(database()).filter(workflow_id__in=workflow_ids)
    counted = (
        with_status(rows).order_by().values("workflow_id", "known", "first").annotate(n=Count("*"))
    )
    found: dict[str, dict[Status, int]] = {}
    for row in counted:
        status = Status(row["known"] or row["first"])
        counts = found.setdefault(row["workflow_id"], {})
        counts[status] = counts.get(status, 0) + row["n"]
    return found


def _retry(task: StoredTask | None, said: Any) -> None:
    """Raise WrongState."""
    if task is None or task.message.type == UNREADABLE:
        raise WrongState("The task cannot be read.")
    broker().retry(task.message.again(), task.state, said.text if said else b"", waits=True)
