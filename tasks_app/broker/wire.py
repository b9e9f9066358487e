"""Between Python and the scripts: how lists of tasks travel there, and what comes back means."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from ..message import State, StoredTask, TaskMessage, unescaped
from ..options.limits import rate_of
from ..options.retrying import longest_pause_ms
from ..states import Status
from .answers import Exchange, Limit, QueueStats, Recorded, Standing

MOST_A_CALL = 1000  # items: longer scripts would make everybody else wait
MOST_BYTES = 8 * 1024 * 1024  # of tasks that are sent in one call


def fitting(tasks: Sequence[Recorded]) -> list[Recorded]:
    """As many of the first tasks as one call may carry; at least one."""
    some, size = [], 0
    for task in islice(tasks, MOST_A_CALL):
        size += len(task.definition) + len(task.state) + len(task.remarks)
        if some and size > MOST_BYTES:
            break
        some.append(task)
    return some


def amendments(
    tasks: Sequence[tuple[bytes, TaskMessage]],
) -> list[tuple[str, bytes, bytes, bytes]]:
    """What ``amend.lua`` is told of the first tasks: as many as a call may carry, at least one."""
    some: list[tuple[str, bytes, bytes, bytes]] = []
    size = 0
    for old, message in tasks[:MOST_A_CALL]:
        new = message.encode()
        size += len(old) + len(new)
        if some and size > MOST_BYTES:
            break
        some.append((message.id, old, new, message.marks()))
    return some


def as_recorded(task: Recorded) -> tuple[Any, ...]:
    """What ``reconcile.lua`` is told of a task; of a final one it needs the header alone."""
    if task.is_final:
        return task.id, "", task.state.partition(b"\n")[0] + b"\n", 0, b"", b""
    try:
        message, state = TaskMessage.decode(task.definition), State.decode(task.state)
    except (ValueError, RecursionError):  # of a newer version; a claim will tell
        return task.id, task.definition, task.state, 0, b"", task.remarks
    at_ms = _not_before_ms(message, state)
    return task.id, task.definition, task.state, at_ms, message.marks(), task.remarks


def _not_before_ms(message: TaskMessage, state: State) -> int:
    """When a task that is restored may start. When a retry was due is written nowhere: at last."""
    if state.status is Status.RETRYING:
        return state.changed_ms + longest_pause_ms(message, state.failures)
    return -(-message.run_after_us // 1000)


def claimed(flat: Sequence[Any]) -> tuple[list[StoredTask], list[str]]:
    """The claimed tasks, and the ids of those that cannot be read."""
    tasks, unreadable = [], []
    for task_id, definition, state in _threes(flat):
        try:
            tasks.append(StoredTask(TaskMessage.decode(definition), State.decode(state)))
        except ValueError:  # of a newer version; the others are not to suffer for it
            unreadable.append(task_id.decode())
    return tasks, unreadable


def handed(item: bytes) -> Exchange:
    """Read what lay on a wake list: a task as ``writes.lua`` hands it over, or a mere wake-up."""
    head, _, body = item.partition(b"\n")
    if not body:
        return Exchange("", [], [])
    token, task_id, length = head.split(b" ")
    state, definition = body[: int(length)], body[int(length) :]
    tasks, unreadable = claimed([task_id, definition, state])
    return Exchange(token.decode(), tasks, [], unreadable=unreadable)


def queue_stats(line: list[Any]) -> QueueStats:
    """One queue, as ``stats.lua`` tells of it."""
    name, is_paused, scheduled, waiting, *levels = line
    return QueueStats(unescaped(name.decode()), bool(is_paused), scheduled, tuple(levels), waiting)


def limits(message: TaskMessage, answer: list[Any] | None) -> list[Limit]:
    """What ``limit.lua`` tells of the key of a task."""
    if answer is None:  # nothing of the key is admitted, and nothing waits
        tokens, _ = rate_of(message.rate) or (0, 0)
        answer = [message.concurrency, 0, tokens, 0, -1, None]
    at_once, admitted, tokens, spent, next_at_ms, ahead = answer
    found = []
    if at_once:
        found.append(Limit(message.limit_label, "concurrency", admitted, at_once, ahead))
    if tokens:
        label, next_at_ms = message.limit_label, None if next_at_ms < 0 else next_at_ms
        found.append(Limit(label, "rate", spent, tokens, ahead, next_at_ms, message.rate))
    return found


def standing(answer: list[Any]) -> Standing:
    """What ``standing.lua`` tells."""
    at_ms, is_known, is_paused, ahead, due, demand, unrecorded, gate = answer
    return Standing(
        at_ms=at_ms,
        is_known=bool(is_known),
        is_paused=bool(is_paused),
        ahead=ahead,
        due_ms=None if due is None else int(float(due)),
        demand=json.loads(demand) if demand else {},
        unrecorded=unrecorded,
        gate=(gate or b"").decode(),
    )


def position(change: str) -> tuple[int, int]:
    """The id of a change, to be compared."""
    milliseconds, _, sequence = change.partition("-")
    return int(milliseconds), int(sequence)


def texts(answer: Iterable[bytes]) -> list[str]:
    """An answer of many texts."""
    return [text.decode() for text in answer]


def _threes(flat: Sequence[Any]) -> Iterator[tuple[Any, Any, Any]]:
    parts = iter(flat)
    return zip(parts, parts, parts, strict=True)
