"""The reconciler: opens the gate to a server that is sound; restores one that lost what it had.

Redis is judged by the ledger in the database. One that lacks the epoch was wiped; one that has not
seen the last change of which a row tells was rolled back. A server that is slow, loads, or does not
answer is neither. Until the gate is open, no executor and no service of the leader gets a new
connection. Nothing closes without a loss or a restart: a database that is away keeps nobody out.
"""

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from django.db import InterfaceError, OperationalError, connections, router, transaction
from django.db.models import F, QuerySet

from tasks_app.audit.live import Live
from tasks_app.bounded import id_slices, sized_slices, sizes_of, storable
from tasks_app.broker import Broker
from tasks_app.broker.answers import Recorded
from tasks_app.broker.keys import shard_of, shards
from tasks_app.exceptions import QueueUnavailable
from tasks_app.lookup import recorded_remarks
from tasks_app.message import is_definition, queue_in
from tasks_app.models import Ledger, TaskRecord
from tasks_app.remarks import Remarks
from tasks_app.states import FINAL, OPEN

from ...service import Service
from .. import ledger

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
AGAIN_SECONDS = 0.2  # while a server or the database is away
TELL_SECONDS = 5.0  # between two lines in the log that say what is waited for
PAGE = 500  # rows
MOST_BYTES = 4 * 1024 * 1024  # of tasks in memory at once, roughly

WIPED, ROLLED_BACK = "wiped", "rolled_back"


@dataclass(frozen=True, slots=True)
class Server:
    """What a server is, and says of itself."""

    run_id: str
    epochs: dict[int, int]  # by shard; 0: it has none
    gates: dict[int, str]

    @property
    def is_open(self) -> bool:
        return all(gate == self.run_id for gate in self.gates.values())

    def opened(self, epoch: int) -> "Server":
        """The same server, found sound."""
        return Server(
            self.run_id, dict.fromkeys(self.epochs, epoch), dict.fromkeys(self.gates, self.run_id)
        )


class LostAgain(QueueUnavailable):
    """The server restarted, or was wiped, while it was being restored."""


class Reconciler(Service):
    """Looks once a second whether the server is still the one that was found sound.

    What it does it can do again: a restored task is known in the new epoch already, and that epoch
    begins when all is done. So a crash in the middle does no harm.
    """

    def __init__(self, broker: Broker, turn: "threading.Lock | None" = None):
        super().__init__()
        self._broker = broker
        # While it is at work nothing may be recorded: a task that the recorder lets Redis forget
        # just then would seem to be lost.
        self._turn = turn or threading.Lock()
        self._sound: Server | None = None
        self._told_at = -TELL_SECONDS

    def tick(self) -> float:
        """Look, and judge if that is another server; return the pause before the next look."""
        try:
            server = self._look()
            if server != self._sound:
                self._sound = None
                with self._turn:
                    epoch = self._judge(server)
                self._sound = server.opened(epoch)
        except QueueUnavailable as error:
            self._tell("redis", error)
            return AGAIN_SECONDS
        except (OperationalError, InterfaceError) as error:
            connections[router.db_for_write(Ledger)].close()  # it may be broken
            self._tell("database", error)
            return AGAIN_SECONDS
        return LOOK_SECONDS

    def _look(self) -> Server:
        broker = self._broker
        return Server(
            broker.run_id(),
            {shard: broker.epoch(shard) for shard in shards()},
            {shard: broker.gate(shard) for shard in shards()},
        )

    def _tell(self, waits_for: str, error: Exception) -> None:
        """Say every few seconds what keeps the gate from being looked after."""
        if time.monotonic() - self._told_at >= TELL_SECONDS:
            self._told_at = time.monotonic()
            logger.warning("event=gate_waits waits_for=%s error=%s", waits_for, error)

    def _judge(self, server: Server) -> int:
        """Open the gate, after having restored what is missing. Return the epoch."""
        book = ledger.read()
        if loss := loss_of(server, book, self._broker):
            return self._reconcile(server, book, loss)
        return self._approve(server, book)

    def _approve(self, server: Server, book: Ledger) -> int:
        """Nothing is missing: a fresh system, a restart, or another leader's work."""
        epoch = max(1, book.epoch, *server.epochs.values())
        if set(server.epochs.values()) != {epoch}:
            self._broker.set_epoch(epoch)
        if not server.is_open:
            self._broker.open_gate(server.run_id)
            logger.info("event=gate_opened epoch=%d", epoch)
        if (book.epoch, book.run_id) != (epoch, server.run_id):
            _write(epoch=epoch, run_id=server.run_id)
        return epoch

    def _reconcile(self, server: Server, book: Ledger, loss: str) -> int:
        epoch = max(book.epoch, *server.epochs.values()) + 1
        logger.error("event=redis_lost_data loss=%s epoch=%d", loss, epoch)
        closed = f"closed:{uuid4().hex}"  # no server's run id
        self._broker.open_gate(closed)
        restored = dropped = given_back = 0
        for done in self._bring_up_to_date(epoch):
            restored += done == "restored"
            dropped += done == "dropped"
        if loss == ROLLED_BACK:
            given_back = self._give_back()
        after = self._look()
        if after.run_id != server.run_id or set(after.gates.values()) != {closed}:
            raise LostAgain("Redis lost what it had once more.")
        self._broker.set_epoch(epoch)
        _write(
            epoch=epoch,
            run_id=server.run_id,
            last_change={},
            restored=F("restored") + restored,
            dropped=F("dropped") + dropped,
            reconciled_at=datetime.now(UTC),
        )
        self._broker.open_gate(server.run_id)
        logger.warning(
            "event=reconciled loss=%s epoch=%d restored=%d dropped=%d given_back=%d",
            loss, epoch, restored, dropped, given_back,
        )  # fmt: skip
        return epoch

    def _bring_up_to_date(self, epoch: int) -> Iterator[str]:
        """Tell Redis what the database knows better; yield what was done with each task."""
        for tasks in open_tasks():
            yield from self._tell_redis(epoch, tasks)
        for shard in shards():
            for ids in Live(self._broker, shard).fields("payloads"):
                rows = TaskRecord.objects.filter(id__in=storable(ids), status__in=FINAL)
                for tasks in _read(rows):
                    yield from self._tell_redis(epoch, tasks)

    def _tell_redis(self, epoch: int, tasks: list[Recorded]) -> Iterator[str]:
        if self.stopping.is_set():
            raise LostAgain("The coordinator stops; whoever leads next begins anew.")
        of_shard: dict[int, list[Recorded]] = {}
        for task in tasks:
            if not is_definition(task.definition):  # no worker could do anything with it
                logger.error("event=not_restored task=%r reason=unreadable", task.id)
                continue
            of_shard.setdefault(shard_of(queue_in(task.definition)), []).append(task)
        for shard, some in of_shard.items():
            for task_id, word in self._reconcile_some(epoch, some, shard).items():
                if word != "kept":
                    logger.info("event=%s task=%s", word, task_id)
                yield word

    def _reconcile_some(self, epoch: int, tasks: list[Recorded], shard: int) -> dict[str, str]:
        try:
            return self._broker.reconcile(epoch, tasks, shard)
        except ValueError as error:  # one cannot be read; the others are not to suffer for it
            if len(tasks) == 1:
                logger.error("event=not_restored task=%s error=%s", tasks[0].id, error)
                return {}
        half, done = len(tasks) // 2, {}
        for some in (tasks[:half], tasks[half:]):
            done |= self._reconcile_some(epoch, some, shard)
        return done

    def _give_back(self) -> int:
        """Take from the executors what they hold here.

        An executor that reported a task while that was not saved yet thinks no more of it, and
        nobody would ever end it. If one still runs, its report will be stale.
        """
        given_back = 0
        for shard in shards():
            for names in Live(self._broker, shard).names():
                for executor in [n.removeprefix("held:") for n in names if n.startswith("held:")]:
                    held = self._broker.held_ids(executor, shard)
                    given_back += len(self._broker.release(executor, held, shard))
        return given_back


def loss_of(server: Server, book: Ledger, broker: Broker) -> str:
    """What happened to a server, judged by the ledger; "" if nothing is missing."""
    if not book.epoch:
        return ""  # no epoch has begun: a fresh system
    for shard, epoch in server.epochs.items():
        mark = book.last_change.get(str(shard))
        if not epoch and (shard == 0 or mark):
            return WIPED
        if 0 < epoch < book.epoch or (mark and not broker.has_seen(mark, shard)):
            return ROLLED_BACK
    return ""


def open_tasks() -> Iterator[list[Recorded]]:
    """The open tasks of the database, in slices; each status by its index."""
    for status in sorted(OPEN):
        for ids in id_slices(TaskRecord.objects.filter(status=status), PAGE):
            yield from _read(TaskRecord.objects.filter(id__in=ids, status__in=OPEN))


def _read(rows: QuerySet[TaskRecord]) -> Iterator[list[Recorded]]:
    """Read rows in slices of bounded size."""
    for ids in sized_slices(sizes_of(rows.order_by("id")), MOST_BYTES):
        found = rows.filter(id__in=ids).only("id", "status", "definition", "state")
        said = recorded_remarks(ids)
        yield [_recorded(row, said.get(row.id)) for row in found]


def _recorded(row: TaskRecord, said: Remarks | None) -> Recorded:
    remarks = said.text if said else b""
    return Recorded(row.id, bytes(row.definition), bytes(row.state), row.is_final, remarks)


def _write(**fields: Any) -> None:
    alias = router.db_for_write(Ledger)
    with transaction.atomic(using=alias):
        ledger.locked(alias)
        Ledger.objects.using(alias).filter(pk=ledger.NUMBER).update(
            **fields, updated_at=datetime.now(UTC)
        )
