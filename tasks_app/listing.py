"""Pages of tasks, newest first: the history, and over it what Redis knows better.

The history has a task once its change is recorded. So a page is made of the rows that match, and
of the tasks whose changes wait for the recorder; what executors hold is asked of them directly.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import QuerySet

from .api.pagination import bounds, floor
from .broker import broker, keys
from .broker.glance import Glance
from .message import HIGHEST_PRIORITY, LOWEST_PRIORITY, State, level_of
from .models import TaskRecord
from .states import FINAL, HELD, Status

FIELDS = (
    "id", "type", "queue", "priority", "status", "worker", "submitted_us", "started_us",
    "finished_us", "epoch", "run", "version", "failures", "deadline_missed", "error",
)  # fmt: skip  # not the payloads and results
MOST_CHANGES = 500  # entries read at once
MOST_READS = 100
MOST_IDS = 1000  # unrecorded tasks that one page looks at
MOST_ROUNDS = 10  # for one page, which may then be short
SLACK_MS = 1000  # between the clock that made an id and the server's


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which tasks; what is empty does not matter."""

    statuses: frozenset[Status] = frozenset()
    type: str = ""
    queue: str = ""
    level: int = 0
    worker: str = ""
    search: str = ""  # how the id begins
    submitted_after_us: int = 0
    submitted_before_us: int = 0
    finished_after_us: int = 0
    finished_before_us: int = 0
    error: str = ""  # what the last failure contains, whatever its case
    below: str = ""  # this id: where the page before ended

    def matches(self, record: TaskRecord) -> bool:
        lowest, highest = bounds(self.search) if self.search else ("", "~")
        return (
            (not self.below or record.id < self.below)
            and lowest <= record.id <= highest
            and (not self.statuses or record.status in self.statuses)
            and self.type in ("", record.type)
            and self.queue in ("", record.queue)
            and self.level in (0, record.level)
            and self.worker in ("", record.worker)
            and self.submitted_after_us <= record.submitted_us
            and (not self.submitted_before_us or record.submitted_us < self.submitted_before_us)
            and self._matches_end(record)
        )

    def _matches_end(self, record: TaskRecord) -> bool:
        """What no index knows: it is asked of each row that comes by, and not of the database."""
        before_us = self.finished_before_us
        return (
            self.finished_after_us <= record.finished_us
            and (not before_us or 0 < record.finished_us < before_us)
            and (is_overlaid(record) or contains(record.error, self.error))
        )

    @property
    def is_held(self) -> bool:
        """Whether only what executors hold can match."""
        return bool(self.statuses) and self.statuses <= HELD


def contains(error: str, part: str) -> bool:
    """Whether an error has a text in it, whatever its case."""
    return part.casefold() in error.casefold()


def is_overlaid(record: TaskRecord) -> bool:
    """Whether Redis knew it better: then what its error is was not looked at."""
    return getattr(record, "_is_overlaid", False)


def page(wanted: Wanted, limit: int) -> tuple[list[TaskRecord], str | None]:
    """Up to ``limit`` tasks, and the id that the next page is below; None if this is the last."""
    found: list[TaskRecord] = []
    for _ in range(MOST_ROUNDS):
        some, reached = _some(wanted, limit + 1)
        found += some
        if len(found) > limit:
            return found[:limit], found[limit - 1].id
        if reached is None:
            return found, None
        wanted = replace(wanted, below=reached)
    return found, wanted.below


def _some(wanted: Wanted, limit: int) -> tuple[list[TaskRecord], str | None]:
    """The tasks that match down to some id, and that id; None if there are no others."""
    rows = [] if wanted.is_held else _rows(wanted, limit)
    ids, lowest = _live_ids(wanted)
    if len(rows) == limit:
        lowest = max(lowest, rows[-1].id)
    records = {row.id: row for row in rows}
    asked = [row.id for row in rows if row.status not in FINAL] + ids
    for task_id, glance in broker().glance(list(dict.fromkeys(asked))).items():
        records[task_id] = _overlaid(records.get(task_id), glance)
    found = [r for r in records.values() if r.id >= lowest and wanted.matches(r)]
    return sorted(found, key=lambda record: record.id, reverse=True), lowest or None


def _rows(wanted: Wanted, limit: int) -> list[TaskRecord]:
    """The first rows, newest first; of each status by its index."""
    rows = _rows_of_any(wanted)
    if not wanted.statuses:
        return list(rows[:limit])
    # What waits for a limit is pending in the history: see limits.lua.
    more = {Status.PENDING} if Status.WAITING in wanted.statuses else set()
    found = [
        row for each in sorted(wanted.statuses | more) for row in rows.filter(status=each)[:limit]
    ]
    return sorted(found, key=lambda row: row.id, reverse=True)[:limit]


def _rows_of_any(wanted: Wanted) -> QuerySet[TaskRecord]:
    where: dict[str, Any] = {}
    for name in ("type", "queue", "worker"):
        if value := getattr(wanted, name):
            where[name] = value
    if wanted.level:
        priorities = range(LOWEST_PRIORITY, HIGHEST_PRIORITY + 1)
        where["priority__in"] = [p for p in priorities if level_of(p) == wanted.level]
    if wanted.search:
        where["id__gte"], where["id__lte"] = bounds(wanted.search)
    rows = TaskRecord.objects.filter(**where).order_by("-id").only(*FIELDS)
    if wanted.below:
        rows = rows.filter(id__lt=wanted.below)
    if after_us := wanted.submitted_after_us:
        rows = rows.filter(submitted_us__gte=after_us, id__gte=floor(after_us // 1000 - SLACK_MS))
    if before_us := wanted.submitted_before_us:
        rows = rows.filter(submitted_us__lt=before_us, id__lt=floor(before_us // 1000 + SLACK_MS))
    return rows


def _live_ids(wanted: Wanted) -> tuple[list[str], str]:
    """Ids of tasks that Redis may know better, and down to which id they are all of these."""
    if wanted.is_held:
        return list(_held_ids(wanted.worker)), ""
    ids, lowest = _unrecorded_ids(wanted)
    if wanted.worker or wanted.statuses & HELD:
        ids += _held_ids(wanted.worker)
    return ids, lowest


def _held_ids(worker: str) -> Iterator[str]:
    fleet = broker().fleet
    for shard in keys.shards():
        for name in [worker] if worker else fleet.workers():
            for executor in fleet.executors(name, shard):
                yield from broker().held_ids(executor, shard)


def _unrecorded_ids(wanted: Wanted) -> tuple[list[str], str]:
    ids: set[str] = set()
    lowest = ""
    for shard in keys.shards():
        some, reached_ms = _unrecorded_in(shard, wanted.below or "~")
        ids |= some
        lowest = max(lowest, floor(reached_ms + SLACK_MS) if reached_ms else "")
    newest = sorted((task_id for task_id in ids if task_id >= lowest), reverse=True)
    if len(newest) > MOST_IDS:
        lowest = newest[MOST_IDS - 1]
    return newest[:MOST_IDS], lowest


def _unrecorded_in(shard: int, below: str) -> tuple[set[str], int]:
    """The unrecorded ids of a shard, newest changes first, and the moment (ms) of the last one.

    The moment is 0 if these are all, or so many that the rest is left to the recorder.
    """
    ids: set[str] = set()
    until = "+"
    for _ in range(MOST_READS):
        some, until = broker().unrecorded(MOST_CHANGES, until=until, shard=shard)
        ids.update(task_id for task_id in some if task_id < below)
        if not until:
            return ids, 0
        reached_ms = int(until.partition("-")[0])
        if len(ids) >= MOST_IDS and floor(reached_ms + SLACK_MS) < below:
            return ids, reached_ms
    return ids, 0


def _overlaid(row: TaskRecord | None, glance: Glance) -> TaskRecord:
    """The task as Redis has it, with what only the row knows."""
    if row is None:
        row = TaskRecord(id=glance.id)
    elif _stand(glance.state) <= _stand(row):
        return row
    _overlay(row, glance)
    return row


def _stand(of: TaskRecord | State) -> tuple[int, int, int]:
    """How far a task is; the greater, the newer."""
    return of.epoch, of.run, of.version


def _overlay(row: TaskRecord, glance: Glance) -> None:
    state = glance.state
    row.type, row.queue, row.priority = glance.type, glance.queue, glance.priority
    row.submitted_us, row.status, row.failures = glance.submitted_us, state.status, state.failures
    row._is_overlaid = True
    row.epoch, row.run, row.version = state.epoch, state.run, state.version
    row.worker = state.worker or row.worker
    if state.status is Status.PROCESSING:
        row.started_us = state.changed_ms * 1000
    row.finished_us = state.changed_ms * 1000 if state.is_final else 0
