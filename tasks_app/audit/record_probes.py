"""The probes of the database: every row, the ledger, and what was refused."""

from collections.abc import Iterator, Sequence

from .. import outbox
from ..bounded import id_slices
from ..message import now_us
from ..models import Dependency, TaskRecord
from ..slices import slices
from ..states import FINAL, Status
from . import rows
from .findings import Finding
from .live import Live
from .probe import Probe
from .record import STEP, Record, Row


class RecordProbe(Probe):
    """Every row: as it is, and whether Redis knows an open task."""

    counts = "database"

    def __init__(self, shards: Sequence[Live], record: Record):
        self._shards = shards
        self._record = record

    def subjects(self) -> Iterator[list[str]]:
        yield from self._record.ids()

    def look(self, subjects: Sequence[str]) -> Iterator[Finding]:
        found = self._record.rows(subjects)
        for row in found.values():
            yield from rows.broken(row)
        waiting = [row.id for row in found.values() if any(rows.lost(row))]
        unknown = self._unknown(waiting)
        if unknown:
            # Once more, since what Redis has forgotten meanwhile had been recorded as final.
            for row in self._record.rows(unknown).values():
                yield from rows.lost(row)

    def _unknown(self, ids: Sequence[str]) -> list[str]:
        for live in self._shards:
            if ids:
                ids = [seen.id for seen in live.tasks(ids) if not seen.definition]
        return list(ids)


class ReleaseProbe(Probe):
    """G7: what waits for other tasks, of which the record knows that they have ended."""

    def __init__(self, shards: Sequence[Live], record: Record):
        self._shards = shards
        self._record = record

    def subjects(self) -> Iterator[list[str]]:
        yield from id_slices(TaskRecord.objects.filter(status=Status.WAITING), STEP)

    def look(self, subjects: Sequence[str]) -> Iterator[Finding]:
        rows = self._record.rows(subjects)
        for task_id in self._stuck(list(self._waiting(subjects, rows))):
            said = "waits for tasks that have all ended; does a coordinator lead?"
            yield Finding(kind="G7", subject=task_id, code="release", said=said)

    def _waiting(self, ids: Sequence[str], rows: dict[str, Row]) -> Iterator[str]:
        """Those that wait for others in Redis, just as the record has them."""
        for live in self._shards:
            for seen in live.tasks(ids):
                row = rows.get(seen.id)
                if row and seen.state.startswith(b"waiting|") and seen.state == row.state:
                    yield seen.id

    def _stuck(self, ids: Sequence[str]) -> list[str]:
        waits_for: dict[str, set[str]] = {task_id: set() for task_id in ids}
        edges = Dependency.objects.filter(child_id__in=ids)
        for child_id, parent_id in edges.values_list("child_id", "parent_id").iterator():
            waits_for[child_id].add(parent_id)
        parents = sorted(set().union(*waits_for.values()))
        over = set()
        for some in slices(parents, STEP):
            rows = TaskRecord.objects.filter(id__in=some, status__in=FINAL)
            over.update(rows.values_list("id", flat=True))
        return [task_id for task_id in ids if waits_for[task_id] <= over]


class LedgerProbe(Probe):
    """G5: whether Redis is the one that the record remembers."""

    def __init__(self, live: Live, record: Record):
        self._live = live
        self._record = record

    def subjects(self) -> Iterator[list[int]]:
        yield [self._live.shard]

    def look(self, subjects: Sequence[int]) -> Iterator[Finding]:
        for shard in subjects:
            epoch, change = self._record.remembered(shard)  # first: Redis is never behind it
            subject, last = f"shard {shard}", self._live.last_change()
            if epoch > self._live.epoch():
                said = f"Redis has lost its epoch, which was {epoch}: it was wiped or rolled back"
                yield Finding(kind="G5", subject=subject, code="epoch", said=said, at=shard)
            elif change > last:
                said = f"Redis ends at change {last}, but the record knows of {change}: rolled back"
                yield Finding(kind="G5", subject=subject, code="rollback", said=said, at=shard)


class OutboxProbe(Probe):
    """G7: what was committed long ago and has not reached Redis."""

    def subjects(self) -> Iterator[list[tuple[str, str]]]:
        for database in outbox.databases():
            late = outbox.rows(database).filter(created_us__lt=_late_us())
            for ids in id_slices(late, STEP):
                yield [(database, task_id) for task_id in ids]

    def look(self, subjects: Sequence[tuple[str, str]]) -> Iterator[Finding]:
        for database in {database for database, _ in subjects}:
            ids = [task_id for of, task_id in subjects if of == database]
            late = outbox.rows(database).filter(id__in=ids, created_us__lt=_late_us())
            for task_id, tries, reason in late.values_list("id", "tries", "reason"):
                said = "was committed over a minute ago and is still in the outbox"
                said += f": {reason}" if tries else "; does a coordinator lead?"
                yield Finding(
                    kind="G7", subject=task_id, code="outbox", said=said, at=(database, task_id)
                )


def _late_us() -> int:
    return now_us() - outbox.LATE_SECONDS * 1_000_000


class QuarantineProbe(Probe):
    """G6: what the database refused."""

    def __init__(self, record: Record):
        self._record = record

    def subjects(self) -> Iterator[list[tuple[int, str, str]]]:
        yield from self._record.quarantine()

    def look(self, subjects: Sequence[tuple[int, str, str]]) -> Iterator[Finding]:
        for number, task_id, reason in subjects:
            said = f"was refused by the database and is in quarantine (no. {number}): {reason}"
            yield Finding(
                kind="G6", subject=task_id, code=f"quarantine {number}", said=said,
                at=(number, task_id, reason),
            )  # fmt: skip
