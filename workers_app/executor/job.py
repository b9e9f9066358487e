"""A claimed task in an executor's hands."""

from typing import Any, NamedTuple

from tasks_app.message import State, TaskMessage
from tasks_app.registry import TaskType

from .lanes import Lane


class Job(NamedTuple):
    """One task of a slice. Its outcome goes to its lane."""

    slot: int  # on the board
    message: TaskMessage
    state: State  # as it was claimed
    token: str
    lane: Lane
    type: TaskType | None  # None: not installed here
    secrets: list[Any] | None = None  # sensitive results of its parents that it was shown so far
