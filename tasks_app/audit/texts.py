"""G10: whether the texts of a task are what ``message.py`` writes."""

from collections.abc import Iterator
from typing import NamedTuple

from ..lookup import is_id
from ..message import State, TaskMessage, escaped
from .findings import Finding


class Task(NamedTuple):
    """A task's two texts, read; None where one cannot be."""

    message: TaskMessage | None
    state: State | None
    wrong: list[Finding]


def read(task_id: str, definition: bytes, state: bytes) -> Task:
    """Read the texts of a task."""
    wrong = [] if is_id(task_id) else [_bad(task_id, "id", "this is no id of a task")]
    message = stands = None
    try:
        message = TaskMessage.decode(definition)
        wrong += _definition(task_id, definition, message)
    except (ValueError, RecursionError) as error:
        wrong.append(_bad(task_id, "definition", f"its definition cannot be read: {error}"))
    try:
        stands = State.decode(state)
    except (ValueError, TypeError) as error:
        wrong.append(_bad(task_id, "state", f"its state cannot be read: {error}"))
    return Task(message, stands, wrong)


def _definition(task_id: str, definition: bytes, message: TaskMessage) -> Iterator[Finding]:
    if message.id != task_id:
        yield _bad(task_id, "other-id", f"its definition is that of {message.id}")
    # The rank goes by PATIENCE_SECONDS at the time of the submit: not to be computed again.
    line = definition.partition(b"\n")[0].decode(errors="replace").split("|")
    wanted = [escaped(message.queue), str(-(-message.expires_us // 1000))]
    if len(line) != 4 or [line[1], line[3]] != wanted:
        yield _bad(task_id, "first-line", "the first line of its definition is not of the rest")


def _bad(task_id: str, code: str, said: str) -> Finding:
    return Finding(kind="G10", subject=task_id, code=code, said=said)
