"""Find a task wherever it is by now: live in Redis, or in the history."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from . import outbox
from .broker import broker, keys
from .late import model
from .message import State, StoredTask
from .remarks import NOTHING, Remarks

ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


T = TypeVar("T")
Look = Callable[[list[str]], dict[str, T]]


class Looks(NamedTuple, Generic[T]):
    """Where a task may be, each a look for those of some ids that are there."""

    live: Look[T]
    recorded: Look[T]
    enqueued: Look[T]
    quarantined: Look[T]

    def find(self, ids: Sequence[str]) -> dict[str, T]:
        """What is found of tasks, in an order that misses none: see ``find_many``."""
        found: dict[str, T] = {}
        for look in (
            self.live, self.recorded, self.enqueued, self.live, self.recorded, self.quarantined
        ):  # fmt: skip
            missing = [task_id for task_id in ids if task_id not in found]
            if not missing:
                break
            found |= look(missing)
        return found


def is_id(text: Any) -> bool:
    """Whether this can be the id of a task at all."""
    return isinstance(text, str) and ID.fullmatch(text) is not None


def find(task_id: str) -> StoredTask | None:
    """A task as it stands now; None if there is none, or this is no id."""
    return find_many([task_id]).get(task_id) if is_id(task_id) else None


def find_many(ids: Iterable[str]) -> dict[str, StoredTask]:
    """Those of the tasks that exist, by id.

    Redis forgets a task only after the database has committed it: so a task that Redis does not
    know is in the database, unless it was never submitted, or was opened again in between, and
    then Redis knows it. Hence three looks, and no gap. Before the last of these is one at the
    outbox, and since what leaves that may go all the way meanwhile, another one at the database
    after it. At the end is one at what the database could not take as a row.

    Raise QueueUnavailable while Redis is away, also for a task that the database knows as final:
    it may have been opened again since.
    """
    wanted = [task_id for task_id in ids if is_id(task_id)]
    looks = Looks(_live, _recorded, _enqueued, _quarantined)
    return looks.find(wanted)


def find_remarks(task_id: str, state: State | None = None) -> Remarks:
    """What a task said of itself so far. Raise QueueUnavailable, as ``find_many`` does.

    With the state that it was found in, the database is asked only if it can know of any.
    """
    for shard in keys.shards() if is_id(task_id) else ():
        if found := broker().remarks([task_id], shard):
            return found[task_id]
    if state and state.run == 1 and not state.is_final:  # else Redis may have forgotten them
        return NOTHING
    return recorded_remarks([task_id]).get(task_id, NOTHING) if is_id(task_id) else NOTHING


def recorded_remarks(ids: Iterable[str]) -> dict[str, Remarks]:
    """What the history knows of some tasks; nothing of those that said nothing."""
    rows = model("TaskRemarks").objects.filter(id__in=list(ids))
    return {task_id: Remarks.decode(text) for task_id, text in rows.values_list("id", "text")}


def _live(ids: list[str]) -> dict[str, StoredTask]:
    try:
        return broker().get_many(ids)
    except ValueError:  # one cannot be read; the others are not to suffer for it
        if len(ids) == 1:
            return {}
        return {task_id: task for each in ids for task_id, task in _live([each]).items()}


def _recorded(ids: list[str]) -> dict[str, StoredTask]:
    records = model("TaskRecord").objects.filter(id__in=ids)
    return {record.id: record.stored for record in records}


def _enqueued(ids: list[str]) -> dict[str, StoredTask]:
    return {task_id: StoredTask(m, State()) for task_id, m in outbox.find(ids).items()}


def _quarantined(ids: list[str]) -> dict[str, StoredTask]:
    rows = model("Quarantine").objects.filter(task_id__in=ids).order_by("id")
    return {row.task_id: row.stored for row in rows}
