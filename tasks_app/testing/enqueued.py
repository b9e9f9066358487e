"""What is enqueued, wherever it is by now; and what is said if that is not what a test expects."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..broker import broker, keys
from ..compat import Task
from ..message import State, StoredTask, moment
from ..normalize import normalized
from ..registry import name_of
from ..secrecy.sensitive import opened_call, shown_call
from .transaction import enqueued_in_transactions

MOST_SHOWN = 20  # tasks in a message
MOST_CHARACTERS = 60  # of an argument in it


def open_tasks() -> list[StoredTask]:
    """All that is enqueued and not over, oldest first: in Redis, or in an open transaction."""
    found: dict[str, StoredTask] = {}
    for shard in keys.shards():
        ids = broker().link.call("HKEYS", keys.key(shard, "payloads"))
        found |= broker().get_many([task_id.decode() for task_id in ids])
    for message in enqueued_in_transactions():
        found.setdefault(message.id, StoredTask(message, State()))
    return [found[task_id] for task_id in sorted(found) if not found[task_id].state.is_final]


class Wanted(NamedTuple):
    """What a test looks for; None is anything."""

    task: Task | str | None = None
    args: Sequence[Any] | None = None
    kwargs: Mapping[str, Any] | None = None
    queue: str | None = None
    priority: int | None = None

    @property
    def name(self) -> str:
        return self.task if isinstance(self.task, str) else self.task and name_of(self.task)

    def matches(self, stored: StoredTask) -> bool:
        message = stored.message
        return (
            self.name in (None, message.type)
            and self.queue in (None, message.queue)
            and self.priority in (None, message.priority)
            and self._is_called(*opened_call(message))
        )

    def _is_called(self, args: list[Any], kwargs: dict[str, Any]) -> bool:
        return (self.args is None or normalized(list(self.args)) == args) and (
            self.kwargs is None or normalized(dict(self.kwargs)) == kwargs
        )

    def __str__(self) -> str:
        known = (("args", self.args), ("kwargs", self.kwargs), ("queue", self.queue))
        said = [f"{name}={value!r}" for name, value in known if value is not None]
        said += [] if self.priority is None else [f"priority={self.priority}"]
        return " with ".join(filter(None, [self.name or "any task", ", ".join(said)]))


def complaint(wanted: Wanted, found: int, times: int | None, tasks: Sequence[StoredTask]) -> str:
    """Why a test fails, and what is there instead."""
    should = "should not be enqueued" if times == 0 else "should be enqueued at least once"
    if times:
        should = f"should be enqueued {_times(times)}"
    return f"{wanted} {should}, and is {_times(found) if found else 'not'}.\n{listed(tasks)}"


def listed(tasks: Sequence[StoredTask]) -> str:
    """Tasks as a test's message shows them."""
    if not tasks:
        return "Nothing is enqueued."
    lines = [f"  {_line(stored)}" for stored in tasks[:MOST_SHOWN]]
    if len(tasks) > MOST_SHOWN:
        lines.append(f"  … and {len(tasks) - MOST_SHOWN} more")
    return "\n".join(["Enqueued are:", *lines])


def _line(stored: StoredTask) -> str:
    message, state = stored.message, stored.state
    args, kwargs = shown_call(message)
    said = [*map(_short, args), *(f"{name}={_short(value)}" for name, value in kwargs.items())]
    where = f"queue {message.queue}, priority {message.priority}, {state.status.value}"
    if message.run_after_us:
        where += f", not before {moment(message.run_after_us):%Y-%m-%d %H:%M:%S} UTC"
    return f"{message.type}({', '.join(said)})  {where}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"
