"""The recorder: what changed in Redis goes to the database, and only then may Redis forget it."""

import logging
import re
import threading
import time

from django.db import InterfaceError, OperationalError, connections, router

from tasks_app.broker import Broker
from tasks_app.broker.keys import shards
from tasks_app.conf import conf
from tasks_app.models import TaskRecord
from tasks_app.remarks import Remarks
from tasks_app.states import FINAL, Status

from ...service import Service
from .. import history
from ..history import Refused
from ..ledger import Mark
from ..release import Ended, Releaser
from ..rows import Row, row_of

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.03  # between two looks when little changes; a short task is then written once
LONGEST_SECONDS = 0.05  # to write a batch: others want to write to SQLite too
LEAST_ROWS = 100  # of a batch, if they are small: a commit costs the same for one
MOST_BYTES = 4_000_000  # of a batch

FINAL_WORDS = frozenset(status.value for status in FINAL)
WAITING = Status.WAITING.value
PARENTS = b'"has_parents":true'  # in a definition, unless a user has written it there
HEADER = re.compile(rb"([a-z]+)\|\d+\|\d+\|(\d{1,30})\|")  # the beginning of a state
LINE = re.compile(rb"\d+\|[^|\n]*\|-?\d+\|\d+\n")  # the first one of a definition


class Recorder(Service):
    """Reads changes, writes rows, releases what waited for these, forgets what is final, and
    acknowledges; in that order.

    A crash between any two of these steps repeats the ones before, which changes nothing: a row
    moves only forward, and a task that moved on since it was read is not forgotten. So any number
    of recorders may run at once. While the database or Redis is away, the changes wait in Redis.
    """

    def __init__(self, broker: Broker, turn: "threading.Lock | None" = None):
        super().__init__()
        self._broker = broker
        self._turn = turn or threading.Lock()  # held by the reconciler while it is at work
        self._releaser = Releaser(broker)
        self.decided = 0  # tasks that waited for others, by this one
        self._calls = 10  # to read at once; each may have changed up to 1,000 tasks
        self.size = 100  # tasks in a batch

    def tick(self) -> float:
        """Record what has changed; the pause is 0 while more than a batch is behind."""
        if not self._turn.acquire(blocking=False):
            return POLL_SECONDS
        try:
            recorded = [self._record_shard(shard) for shard in shards()]
        finally:
            self._turn.release()
        decided, self.decided = self.decided, 0
        return 0.0 if decided or max(recorded) >= self.size // 2 else POLL_SECONDS

    def _record_shard(self, shard: int) -> int:
        changes = self._broker.changes(self._calls, shard)
        self._calls = calls_after(self._calls, len(changes.ids), conf().recorder_batch)
        done = 0
        while done < len(changes.ids):
            if self.stopping.is_set():
                return 0  # not acknowledged: whoever records next begins with these
            batch = changes.ids[done : done + self.size]
            self._record(batch, shard)
            done += len(batch)
        if changes.last:
            self._broker.acknowledge(changes, shard)
        return done

    def _record(self, ids: list[str], shard: int) -> None:
        try:
            known = self._broker.read(ids, shard)  # a task that is unknown has been recorded
            # Asked for after the tasks: whatever these tell of, it is not later than this change.
            mark = Mark(shard, self._broker.last_change(shard))
            said = self._broker.remarks(list(known), shard)  # all of it, of what is final above
            began = time.monotonic()
            written, refused = self._write(known, mark, said)
        except Exception:
            self.size = max(self.size // 2, 1)  # it may be the size that was too much
            raise
        seconds = time.monotonic() - began
        size_bytes = sum(len(row.definition) + len(row.state) for row in written)
        self.size = size_after(self.size, size_bytes, seconds, conf().recorder_batch)
        self._release(written, refused)
        finished = {row.id: row.version for row in written if row.status in FINAL_WORDS}
        finished |= {each.id: version for each in refused if (version := _final_version(each))}
        if finished:
            late = {row.id for row in written if row.deadline_missed}
            self._broker.forget(finished, shard, late=late)

    def _release(self, written: list[Row], refused: list[Refused]) -> None:
        """Let go what waited for these; before anything is forgotten or acknowledged."""
        found = [(row.id, row.status, row.definition) for row in written]
        for each in refused:
            if (header := HEADER.match(each.state)) and LINE.match(each.definition):
                found.append((each.id, header[1].decode(), each.definition))
        ended = {i: Ended(Status(s), text) for i, s, text in found if s in FINAL_WORDS}
        waiting = [i for i, status, text in found if status == WAITING and PARENTS in text]
        if ended or waiting:
            self.decided += self._releaser.release(ended, waiting)

    def _write(
        self, known: dict[str, tuple[bytes, bytes | None]], mark: Mark, said: dict[str, Remarks]
    ) -> tuple[list[Row], list[Refused]]:
        """Write what can be written. Return the rows that the database has now, and the rest."""
        rows, refused = _rows(known)
        try:
            if said:
                history.write_remarks(said)
            refused += history.write(rows, mark)
            history.quarantine(refused)
        except (OperationalError, InterfaceError):
            connections[router.db_for_write(TaskRecord)].close()  # it may be broken
            raise
        gone = {each.id for each in refused}
        return [row for row in rows if row.id not in gone] if gone else rows, refused


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


def _final_version(refused: Refused) -> int:
    """The version of a quarantined task that is over, as far as Lua can read it; 0 for others."""
    header = HEADER.match(refused.state)
    if not header or header[1].decode() not in FINAL_WORDS or not LINE.match(refused.definition):
        return 0
    return int(header[2])


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
