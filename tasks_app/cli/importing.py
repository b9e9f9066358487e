"""Many tasks from a file: checked line by line, stored in slices."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from rest_framework.exceptions import ValidationError

from ..api import submission
from ..api.serializers.submit import SubmitSerializer
from ..broker import keys
from ..exceptions import InvalidCall, TaskSystemError, UnknownOutcome
from ..message import TaskMessage
from .fields import sentences
from .lines import Line

SLICE = 1000  # tasks of one call
SLICE_BYTES = 8 * 1024 * 1024  # of their arguments, about
MOST_ERRORS = 1000  # that are kept; all are counted


class Broken(Exception):
    """A slice could not be stored; what came before it was. Its text says where to go on."""


@dataclass
class Import:
    """How far an import is."""

    is_dry: bool = False
    submitted: int = 0
    existing: int = 0  # of these, for which a task stands that was there already
    wrong: int = 0
    errors: dict[int, list[str]] = field(default_factory=dict)  # line -> sentences
    ids: list[str] = field(default_factory=list)  # of the last slice that was stored

    def run(self, lines: Iterable[Line]) -> Iterator[None]:
        """Store the tasks; stops after each slice. Raise Broken."""
        serializer = SubmitSerializer()
        for some in _slices(lines):
            messages = [m for line in some if (m := self._message(line, serializer)) is not None]
            self.ids = []
            if not self.is_dry:
                self._store(messages, some[0].number, some[-1].number)
            self.submitted += len(messages)
            yield

    def _message(self, line: Line, serializer: SubmitSerializer) -> TaskMessage | None:
        try:
            if line.error:
                raise ValidationError([line.error])
            return submission.message_of(serializer.run_validation(line.task))
        except ValidationError as error:
            self._note(line.number, sentences(error.detail))
        except InvalidCall as error:
            self._note(line.number, sentences(error.errors))
        except TaskSystemError as error:
            self._note(line.number, [str(error)])
        return None

    def _note(self, number: int, said: list[str]) -> None:
        self.wrong += 1
        if len(self.errors) < MOST_ERRORS:
            self.errors[number] = said

    def _store(self, messages: list[TaskMessage], first: int, last: int) -> None:
        by_shard: dict[int, list[TaskMessage]] = {}
        for message in messages:
            by_shard.setdefault(keys.shard_of(message.queue), []).append(message)
        ids: dict[str, str] = {}  # of a task that stands for another one: that one's
        for some in by_shard.values():
            try:
                done = submission.store(some)
            except TaskSystemError as error:
                self.submitted += len(ids)
                is_unknown = isinstance(error, UnknownOutcome) or ids
                state = "may be stored or not" if is_unknown else "were not stored"
                raise Broken(
                    f"Lines {first:,} to {last:,} {state}, and none after them: {error} "
                    f"Go on with --from-line {first}."
                ) from error
            ids |= {m.id: each.id for m, each in zip(some, done, strict=True)}
            self.existing += sum(not each.is_new for each in done)
        self.ids = [ids[message.id] for message in messages]


def _slices(lines: Iterable[Line]) -> Iterator[list[Line]]:
    some: list[Line] = []
    size = 0
    for line in lines:
        some.append(line)
        size += _size(line.task)
        if len(some) == SLICE or size > SLICE_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some


def _size(value: Any) -> int:
    """About how many bytes a value takes as JSON."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(name) + _size(each) for name, each in value.items())
    return sum(map(_size, value)) if isinstance(value, list) else 8
