"""Chains and groups: parts of workflows that are made of parts.

chain(fetch.part("x"), group(thumbnail.part(1), thumbnail.part(2)), publish.part())
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async

from ..call import Add, Call, Ends, Part
from .policies import OnFailure
from .result import WorkflowResult
from .workflow import Workflow


@dataclass(frozen=True)
class _Parts:
    parts: tuple[Part, ...]

    def place(self, add: Add, after: Ends) -> Ends:
        raise NotImplementedError

    def enqueue(self, name: str = "", *, on_failure: str = OnFailure.CONTINUE) -> WorkflowResult:
        """Store it as a workflow of its own. Raise as ``Workflow.enqueue`` does."""
        workflow = Workflow(name, on_failure=on_failure)
        workflow.put(self)
        return workflow.enqueue()

    async def aenqueue(
        self, name: str = "", *, on_failure: str = OnFailure.CONTINUE
    ) -> WorkflowResult:
        return await sync_to_async(self.enqueue, thread_sensitive=True)(name, on_failure=on_failure)


class Chain(_Parts):
    """Parts one after the other."""

    def place(self, add: Add, after: Ends) -> Ends:
        for part in self.parts:
            after = part.place(add, after)
        return after


class Group(_Parts):
    """Parts side by side. What comes after it waits for all of them."""

    def place(self, add: Add, after: Ends) -> Ends:
        ends = [part.place(add, after) for part in self.parts]
        return Ends(tuple(task_id for each in ends for task_id in each.ids), is_join=True)


def chain(*parts: Part | Iterable[Part]) -> Chain:
    """Each part waits for the one before it."""
    return Chain(_sound("chain", parts))


def group(*parts: Part | Iterable[Part]) -> Group:
    """Parts that wait for none of each other."""
    return Group(_sound("group", parts))


def chord(parts: Iterable[Part], callback: Part) -> Chain:
    """A group, and one part that waits for all of it."""
    return chain(group(*parts), callback)


def _sound(name: str, given: Sequence[Any]) -> tuple[Part, ...]:
    """Raise TypeError for what is no part, and ValueError if there is none."""
    if (
        len(given) == 1
        and not isinstance(given[0], Call | _Parts)
        and hasattr(given[0], "__iter__")
    ):
        given = tuple(given[0])  # a list, or a generator
    for each in given:
        if not isinstance(each, Call | _Parts):
            raise TypeError(f"A {name} is made of task.part(...), chains and groups, not {each!r}.")
    if not given:
        raise ValueError(f"A {name} needs at least one part.")
    return tuple(given)
