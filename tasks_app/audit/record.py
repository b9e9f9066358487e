"""The record as the audit sees it: read by id in slices of bounded size, never locked."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Length

from ..models import Ledger, Quarantine, TaskRecord
from .findings import Position
from .live import NOWHERE, position

STEP = 500  # rows
MOST_BYTES = 8 * 1024 * 1024  # of the texts of one slice
COLUMNS = ("id", "status", "epoch", "run", "version", "failures", "definition", "state")


@dataclass(frozen=True, slots=True)
class Row:
    """A task's row."""

    id: str
    status: str
    epoch: int
    run: int
    version: int
    failures: int
    definition: bytes
    state: bytes

    @property
    def stand(self) -> tuple[int, int, int]:
        """How far it is; it never goes back."""
        return self.epoch, self.run, self.version


class Record:
    """Reads the rows of tasks."""

    def ids(self) -> Iterator[list[str]]:
        """The ids of all rows, in slices whose texts fit into memory together."""
        after = ""
        while sizes := self._sizes(TaskRecord.objects.filter(id__gt=after).order_by("id")[:STEP]):
            yield from _slices(sizes)
            after = sizes[-1][0]

    def slices(self, ids: Sequence[str]) -> Iterator[list[str]]:
        """The same ids, in slices whose texts fit into memory together."""
        known = dict(self._sizes(TaskRecord.objects.filter(id__in=_storable(ids))))
        yield from _slices([(task_id, known.get(task_id, 0)) for task_id in ids])

    def rows(self, ids: Sequence[str]) -> dict[str, Row]:
        """The rows of tasks that have one, as they are now."""
        found = TaskRecord.objects.filter(id__in=_storable(ids))
        return {values[0]: _row(*values) for values in found.values_list(*COLUMNS)}

    def remembered(self, shard: int) -> tuple[int, Position]:
        """The epoch of the record, and the last change of a shard that it may tell of."""
        ledger = Ledger.objects.first()
        if ledger is None:
            return 0, NOWHERE
        return ledger.epoch, position(ledger.last_change.get(str(shard), "0-0"))

    def quarantined(self, ids: Sequence[str]) -> set[str]:
        """Those of the tasks that the database once refused."""
        found = Quarantine.objects.filter(task_id__in=_storable(ids))
        return set(found.values_list("task_id", flat=True))

    def quarantine(self) -> Iterator[list[tuple[int, str, str]]]:
        """What the database refused: number, task and reason."""
        after = 0
        rows = Quarantine.objects.order_by("id").values_list("id", "task_id", "reason")
        while some := list(rows.filter(id__gt=after)[:STEP]):
            yield some
            after = some[-1][0]

    def _sizes(self, rows: QuerySet[TaskRecord]) -> list[tuple[str, int]]:
        sizes = rows.annotate(size=Length("definition") + Length("state"))
        return list(sizes.values_list("id", "size"))


def _storable(ids: Sequence[str]) -> list[str]:
    """Those of the ids that a database could have at all, whatever else they are."""
    return [task_id for task_id in ids if task_id.isprintable()]


def _slices(sizes: Sequence[tuple[str, int]]) -> Iterator[list[str]]:
    some: list[str] = []
    total = 0
    for task_id, size in sizes:
        if some and total + size > MOST_BYTES:
            yield some
            some, total = [], 0
        some.append(task_id)
        total += size
    if some:
        yield some


def _row(*values: Any) -> Row:
    *plain, definition, state = values
    return Row(*plain, bytes(definition), bytes(state))
