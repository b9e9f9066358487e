"""A task with its arguments: the smallest part of a workflow."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from .compat import Task


class Ends(NamedTuple):
    """The tasks that whatever comes next waits for."""

    ids: tuple[str, ...] = ()
    is_join: bool = False  # it is given their results as a list, also if it is one


Add = Callable[["Call", Ends], str]  # gives a call its place, and returns the task's id


class Part(Protocol):
    """What workflows are made of."""

    def place(self, add: Add, after: Ends) -> Ends:
        """Add what it has, to run after these; return what comes after it waits for."""


@dataclass(frozen=True)
class Call:
    """What ``task.part(...)`` returns, also after ``.using(...)``."""

    task: Task
    args: Sequence = ()
    kwargs: Mapping = field(default_factory=dict)

    def place(self, add: Add, after: Ends) -> Ends:
        return Ends((add(self, after),))
