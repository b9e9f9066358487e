"""The registrar: copies the register of workers from Redis to the database."""

import logging
from datetime import UTC, datetime

from tasks_app.broker import Broker
from tasks_app.broker.answers import Registered
from tasks_app.models import WorkerRecord, moment

from ..rows import printable
from ..service import Service

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
REFRESH_SECONDS = 5  # how old "last seen" may be in the database
COPIED = (
    "hostname", "pid", "queues", "slots", "status", "started_at", "last_seen_at", "stopped_at",
    "processed", "failed",
)  # fmt: skip
LOST, STOPPED = "lost", "stopped"


class Registrar(Service):
    """Writes what has changed at once, and that a worker is still there every few seconds."""

    def __init__(self, broker: Broker):
        super().__init__()
        self._broker = broker
        self._written: dict[str, WorkerRecord] = {}

    def tick(self) -> float:
        """Copy the register once."""
        register = self._broker.fleet.workers()
        records = [record for worker in register.values() if (record := record_of(worker))]
        news = [record for record in records if self._is_news(record)]
        if news:
            WorkerRecord.objects.bulk_create(
                news, update_conflicts=True, unique_fields=["id"], update_fields=COPIED
            )
        gone = WorkerRecord.objects.exclude(status__in=[LOST, STOPPED]).exclude(id__in=register)
        gone.update(status=STOPPED, stopped_at=datetime.now(UTC))
        self._written = {
            each.id: each for each in (*self._written.values(), *news) if each.id in register
        }
        return PAUSE_SECONDS

    def _is_news(self, record: WorkerRecord) -> bool:
        before = self._written.get(record.id)
        if before is None or record.status != before.status:
            return True
        if record.status == LOST:
            return False  # nothing of it changes any more
        age = record.last_seen_at - before.last_seen_at
        return age.total_seconds() >= REFRESH_SECONDS


def record_of(worker: Registered) -> WorkerRecord | None:
    """The row of a worker, or None if it says of itself what no worker would."""
    said, now = worker.said, moment(worker.now_ms * 1000)
    try:
        return WorkerRecord(
            id=worker.id,
            hostname=printable(str(said["hostname"]), 255),
            pid=int(said["pid"]),
            queues=printable(",".join(said["queues"]), 10_000),
            slots=int(said["slots"]),
            status=printable(str(said["status"]), 10) if worker.is_alive else LOST,
            started_at=moment(int(said["started_us"])) or now,
            last_seen_at=now,
            stopped_at=None if worker.is_alive else now,
            processed=int(said["processed"]),
            failed=int(said["failed"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        logger.warning("registrar: worker=%r is not understood: %r", worker.id, error)
        return None
