"""The record as the audit sees it: read by id in slices of bounded size, never locked."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..bounded import sized_slices, sizes_of, storable
from ..broker.wire import position
from ..models import Ledger, Quarantine, TaskRecord
from .findings import Position
from .live import NOWHERE

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
        while sizes := sizes_of(TaskRecord.objects.filter(id__gt=after).order_by("id")[:STEP]):
            yield from sized_slices(sizes, MOST_BYTES)
            after = sizes[-1][0]

    def slices(self, ids: Sequence[str]) -> Iterator[list[str]]:
        """The same ids, in slices whose texts fit into memory together."""
        known = dict(sizes_of(TaskRecord.objects.filter(id__in=storable(ids))))
        yield from sized_slices([(task_id, known.get(task_id, 0)) for task_id in ids], MOST_BYTES)

    def rows(self, ids: Sequence[str]) -> dict[str, Row]:
        """The rows of tasks that have one, as they are now."""
        found = TaskRecord.objects.filter(id__in=storable(ids))
        return {values[0]: _row(*values) for values in found.values_list(*COLUMNS)}

    def remembered(self, shard: int) -> tuple[int, Position]:
        """The epoch of the record, and the last change of a shard that it may tell of."""
        ledger = Ledger.objects.first()
        if ledger is None:
            return 0, NOWHERE
        return ledger.epoch, position(ledger.last_change.get(str(shard), "0-0"))

    def quarantined(self, ids: Sequence[str]) -> set[str]:
        """Those of the tasks that the database once refused."""
        found = Quarantine.objects.filter(task_id__in=storable(ids))
        return set(found.values_list("task_id", flat=True))

    def quarantine(self) -> Iterator[list[tuple[int, str, str]]]:
        """What the database refused: number, task and reason."""
        after = 0
        rows = Quarantine.objects.order_by("id").values_list("id", "task_id", "reason")
        while some := list(rows.filter(id__gt=after)[:STEP]):
            yield some
            after = some[-1][0]


def _row(*values: Any) -> Row:
    *plain, definition, state = values
    return Row(*plain, bytes(definition), bytes(state))
