"""The recorder: what changed in Redis goes to the database, and only then may Redis forget it."""

import logging
import time

from django.db import InterfaceError, OperationalError, connections, router

from tasks_app.broker import Broker
from tasks_app.broker.keys import shards
from tasks_app.conf import conf
from tasks_app.models import TaskRecord
from tasks_app.states import FINAL

from .. import history
from ..history import Refused
from ..rows import Row, row_of
from ..service import Service

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.03  # between two looks when little changes; a short task is then written once
LONGEST_SECONDS = 0.05  # to write a batch: others want to write to SQLite too
LEAST_ROWS = 100  # of a batch, if they are small: a commit costs the same for one
MOST_BYTES = 4_000_000  # of a batch

FINAL_WORDS = frozenset(status.value for status in FINAL)


class Recorder(Service):
    """Reads changes, writes rows, forgets what is final, acknowledges; in that order.

    A crash between any two of these steps repeats the ones before, which changes nothing: a row
    moves only forward, and a task that moved on since it was read is not forgotten. So any number
    of recorders may run at once. While the database or Redis is away, the changes wait in Redis.
    """

    def __init__(self, broker: Broker):
        super().__init__()
        self._broker = broker
        self._calls = 10  # to read at once; each may have changed up to 1,000 tasks
        self._size = 100  # tasks in a batch

    def tick(self) -> float:
        """Record what has changed; the pause is 0 while more than a batch is behind."""
        recorded = [self._record_shard(shard) for shard in shards()]
        return 0.0 if max(recorded) >= self._size // 2 else POLL_SECONDS

    def _record_shard(self, shard: int) -> int:
        changes = self._broker.changes(self._calls, shard)
        self._calls = calls_after(self._calls, len(changes.ids), conf().recorder_batch)
        done = 0
        while done < len(changes.ids):
            if self.stopping.is_set():
                return 0  # not acknowledged: whoever records next begins with these
            batch = changes.ids[done : done + self._size]
            self._record(batch, shard)
            done += len(batch)
        if changes.last:
            self._broker.acknowledge(changes, shard)
        return done

    def _record(self, ids: list[str], shard: int) -> None:
        try:
            known = self._broker.read(ids, shard)  # a task that is unknown has been recorded
            began = time.monotonic()
            written = self._write(known)
        except Exception:
            self._size = max(self._size // 2, 1)  # it may be the size that was too much
            raise
        seconds = time.monotonic() - began
        size_bytes = sum(len(row.definition) + len(row.state) for row in written)
        self._size = size_after(self._size, size_bytes, seconds, conf().recorder_batch)
        finished = {row.id: row.version for row in written if row.status in FINAL_WORDS}
        if finished:
            late = {row.id for row in written if row.deadline_missed}
            self._broker.forget(finished, shard, late=late)

    def _write(self, known: dict[str, tuple[bytes, bytes | None]]) -> list[Row]:
        """Write what can be written. Return the rows that the database has now."""
        rows, refused = _rows(known)
        try:
            refused += history.write(rows)
            history.quarantine(refused)
        except (OperationalError, InterfaceError):
            connections[router.db_for_write(TaskRecord)].close()  # it may be broken
            raise
        gone = {each.id for each in refused}
        return [row for row in rows if row.id not in gone] if gone else rows


def _rows(known: dict[str, tuple[bytes, bytes | None]]) -> tuple[list[Row], list[Refused]]:
    """The rows by id, so that two recorders cannot lock each other out; and what has none."""
    rows, refused = [], []
    for task_id in sorted(known):
        definition, state = known[task_id]
        try:
            rows.append(row_of(task_id, definition, state))
        except ValueError as error:
            refused.append(Refused(task_id, definition, state or b"", f"unreadable: {error}"))
    return rows, refused


def calls_after(calls: int, ids: int, most: int) -> int:
    """How many calls to read next, so that they changed about ``most`` tasks together."""
    if ids > most * 2:
        return max(calls // 2, 1)
    return min(calls * 2, most) if ids < most else calls


def size_after(size: int, size_bytes: int, seconds: float, most: int) -> int:
    """How many tasks the next batch takes, after one that took so many bytes and seconds."""
    if size_bytes > MOST_BYTES:
        return max(size // 2, 1)
    if seconds > LONGEST_SECONDS:
        return max(size // 2, min(size, LEAST_ROWS))
    if seconds < LONGEST_SECONDS / 2 and size_bytes < MOST_BYTES / 3:
        return min(size * 2, most)
    return size
