"""The tasks that others wait for: whether they have ended, how, and with what result."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from django.utils.functional import SimpleLazyObject

from .. import outbox
from ..broker import broker
from ..compat import TaskResult
from ..exceptions import KeyMissing, SealBroken
from ..late import model
from ..lookup import Looks, find_many, is_id
from ..message import StoredTask, TaskMessage
from ..options.dependence import ONE
from ..results import result_of
from ..secrecy.sensitive import opened_result
from ..slices import slices
from ..states import FINAL, Status

AT_ONCE = 500  # tasks of a look: ids in a statement, states in memory


def statuses_of(ids: Iterable[str]) -> dict[str, Status]:
    """The statuses of those of the tasks that exist, wherever they are.

    Asked for in the order that ``lookup.find_many`` explains, so that none falls between Redis
    and the database. Raise QueueUnavailable or DatabaseError.
    """
    wanted = [each for each in dict.fromkeys(ids) if is_id(each)]
    looks = Looks(_live, _recorded, _enqueued, _quarantined)
    found: dict[str, Status] = {}
    for some in slices(wanted, AT_ONCE):
        found |= looks.find(some)
    return found


def known_of(ids: Collection[str]) -> set[str]:
    """Those of the ids that are tasks."""
    return set(statuses_of(ids)) if ids else set()


def _live(ids: list[str]) -> dict[str, Status]:
    return {task_id: glance.state.status for task_id, glance in broker().glance(ids).items()}


def _recorded(ids: list[str]) -> dict[str, Status]:
    rows = model("TaskRecord").objects.filter(id__in=ids).values_list("id", "status")
    return {task_id: Status(status) for task_id, status in rows}


def _enqueued(ids: list[str]) -> dict[str, Status]:
    return dict.fromkeys(outbox.find(ids), Status.PENDING)


def _quarantined(ids: list[str]) -> dict[str, Status]:
    rows = model("Quarantine").objects.filter(task_id__in=ids).order_by("id")
    return {row.task_id: row.stored.state.status for row in rows}


def ids_for(child_id: str, most: int | None = None) -> list[str]:
    """The tasks that one waits for, or waited for, in the order given."""
    rows = model("Dependency").objects.filter(child_id=child_id).order_by("position")
    return list(rows.values_list("parent_id", flat=True)[:most])


def waits_again(child_id: str) -> bool:
    """Whether one of its parents is open (again). Raise QueueUnavailable."""
    return any(status not in FINAL for status in statuses_of(ids_for(child_id)).values())


def stored_parents(child_id: str) -> Iterator[StoredTask | None]:
    """The parents of a task, in the order given; None for one that is gone."""
    for some in slices(ids_for(child_id), AT_ONCE):
        found = find_many(some)
        yield from (found.get(task_id) for task_id in some)


def results_for(message: TaskMessage, secrets: list[Any] | None = None) -> Any:
    """What the parents of a task returned, as its first argument; None of one that did not.

    Those that are sensitive are added to ``secrets`` too. Raise QueueUnavailable, DatabaseError,
    KeyMissing or SealBroken.
    """
    values = []
    for stored in stored_parents(message.id):
        values.append(_returned(stored))
        if secrets is not None and stored and stored.message.hides_result:
            secrets.append(values[-1])
    return values[0] if message.takes_results == ONE else values


def _returned(stored: StoredTask | None) -> Any:
    """What a task returned last: while it is retried, that of the run before."""
    attempts = stored.state.attempts if stored else []
    done = [attempt for attempt in attempts if attempt.outcome == Status.COMPLETED]
    return opened_result(stored.message, done[-1]) if done else None


def parents_of(child_id: str, secrets: list[Any] | None = None) -> Sequence[TaskResult]:
    """The parents of a task as results, looked up when the first of them is asked for.

    What of them is sensitive is added to ``secrets`` then.
    """
    return SimpleLazyObject(lambda: [_shown(s, secrets) for s in stored_parents(child_id) if s])


def _shown(stored: StoredTask, secrets: list[Any] | None) -> TaskResult:
    if secrets is not None and stored.message.hides_result:
        with suppress(KeyMissing, SealBroken):  # then nobody is shown it here
            secrets.append(_returned(stored))
    return result_of(stored)
