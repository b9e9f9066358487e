"""A workflow before it is stored: its tasks by name, and whom each waits for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

import msgspec
from django.db import transaction
from uuid_utils import uuid7

from .. import outbox
from ..alias import AliasOptions
from ..exceptions import InvalidCall
from ..late import model
from ..message import TaskMessage, now_us
from ..options.dependence import LIST, ONE
from .policies import OnFailure
from .storing import (
    MOST_DEPENDENCIES,
    MOST_TASKS,
    ROWS,
    database,
    must_be_known,
    put_dependencies,
)

LONGEST_NAME = 255


@dataclass
class Planned:
    """One task of a plan."""

    name: str
    message: TaskMessage
    durability: str
    after: tuple[str, ...] = ()  # names of tasks of the plan, or ids of others
    is_join: bool = False  # it gets their results as a list, also if it is one


@dataclass
class Plan:
    """Tasks to be stored together, in any order."""

    name: str = ""
    on_failure: str = OnFailure.CONTINUE
    tasks: list[Planned] = field(default_factory=list)
    id: str = field(default_factory=lambda: str(uuid7()))
    key: str | None = None  # digest of an idempotency key

    def store(self) -> list[TaskMessage]:
        """Store all, or nothing; return the tasks, parents first.

        Raise InvalidCall, which names what is wrong, or DatabaseError.
        """
        ordered = self._ordered()
        ids = {each.name: each.message.id for each in ordered}
        parents = {
            each.message.id: [ids.get(name, name) for name in each.after]
            for each in ordered
            if each.after
        }
        must_be_known(parents, set(ids.values()), "tasks")
        found = [self._message(each) for each in ordered]
        layers = _layers(ordered)
        with transaction.atomic(using=database()):
            self._write(ordered, layers)
            put_dependencies(found, parents, self.id)
            for durability, some in _by_durability(ordered, found).items():
                outbox.put(some, AliasOptions(database=database(), durability=durability))
        return found

    def _message(self, each: Planned) -> TaskMessage:
        takes = each.message.takes_results
        return msgspec.structs.replace(
            each.message,
            workflow=self.id,
            has_parents=bool(each.after),
            takes_results=takes and (LIST if each.is_join or len(each.after) != 1 else ONE),
        )

    def _ordered(self) -> list[Planned]:
        """The tasks, parents first; else in the order given. Raise InvalidCall."""
        self._check()
        by_name = {each.name: each for each in self.tasks}
        graph = {each.name: [n for n in each.after if n in by_name] for each in self.tasks}
        try:
            names = list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            raise _wrong(f"They wait for each other: {_shown(reversed(error.args[1]))}.") from None
        return [by_name[name] for name in names]

    def _check(self) -> None:
        if not self.tasks:
            raise _wrong("A workflow needs at least one task.")
        if len(self.name) > LONGEST_NAME or not all(map(str.isprintable, self.name)):
            raise InvalidCall(
                {"name": [f"Must be printable, of at most {LONGEST_NAME} characters."]}
            )
        if self.on_failure not in OnFailure.values:
            raise InvalidCall({"on_failure": [f"Must be one of {', '.join(OnFailure.values)}."]})
        if len(self.tasks) > MOST_TASKS:
            raise _wrong(f"A workflow has at most {MOST_TASKS:,} tasks.")
        if sum(len(each.after) for each in self.tasks) > MOST_DEPENDENCIES:
            raise _wrong(f"A workflow has at most {MOST_DEPENDENCIES:,} dependencies.")
        seen: set[str] = set()
        for each in self.tasks:
            if each.name in seen:
                raise _wrong(f"Two tasks have the name {each.name!r}.")
            if not 0 < len(each.name) <= LONGEST_NAME or not each.name.isprintable():
                raise _wrong(f"A name is a printable text of 1 to {LONGEST_NAME} characters.")
            if each.after and each.message.debounce:
                raise _wrong(f"{each.name}: what waits for others cannot be put off as well.")
            seen.add(each.name)

    def _write(self, ordered: Sequence[Planned], layers: Mapping[str, int]) -> None:
        model("WorkflowRecord").objects.using(database()).create(
            id=self.id,
            name=self.name,
            on_failure=self.on_failure,
            total=len(ordered),
            layers=1 + max(layers.values()),
            created_us=now_us(),
            key=self.key,
        )
        member = model("Member")
        rows = (
            member(
                task_id=each.message.id,
                workflow_id=self.id,
                position=position,
                layer=layers[each.name],
                name=each.name,
                type=each.message.type[:LONGEST_NAME],
            )
            for position, each in enumerate(ordered)
        )
        member.objects.using(database()).bulk_create(rows, batch_size=ROWS)


def _layers(ordered: Sequence[Planned]) -> dict[str, int]:
    """How many tasks at least stand before each one, on the longest way to it."""
    found: dict[str, int] = {}
    for each in ordered:
        found[each.name] = 1 + max((found[n] for n in each.after if n in found), default=-1)
    return found


def _by_durability(
    ordered: Sequence[Planned], messages: Sequence[TaskMessage]
) -> dict[str, list[TaskMessage]]:
    found: dict[str, list[TaskMessage]] = {}
    for each, message in zip(ordered, messages, strict=True):
        found.setdefault(each.durability, []).append(message)
    return found


def _wrong(sentence: str) -> InvalidCall:
    return InvalidCall({"tasks": [sentence]})


MOST_SHOWN = 10  # names of a cycle


def _shown(names: Iterable[str]) -> str:
    names = list(names)
    more = [f"… ({len(names) - 1:,} tasks)"] if len(names) > MOST_SHOWN else []
    return " after ".join(names[:MOST_SHOWN] + more)
