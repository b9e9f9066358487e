"""The registrar: copies the register of workers from Redis to the database."""

import logging
from datetime import UTC, datetime
from typing import Any

from django.db import router, transaction

from tasks_app.broker import Broker
from tasks_app.broker.answers import Registered
from tasks_app.message import moment
from tasks_app.models import WorkerRecord

from ...service import Service
from ..rows import printable

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
REFRESH_SECONDS = 5  # how old "last seen" may be in the database
COPIED = (
    "hostname", "pid", "queues", "slots", "status", "started_at", "last_seen_at", "stopped_at",
    "processed", "failed",
)  # fmt: skip
MOST_INT, MOST_BIGINT = 2**31 - 1, 2**63 - 1  # of the columns
LOST, STOPPED = "lost", "stopped"


class Registrar(Service):
    """Writes what has changed at once, and that a worker is still there every few seconds."""

    def __init__(self, broker: Broker):
        super().__init__()
        self._broker = broker
        self._written: dict[str, WorkerRecord] = {}

    def tick(self) -> float:
        """Copy the register once. Raise LostLead, with nothing copied, if somebody else leads."""
        workers = self._broker.fleet.workers().values()
        records = {w.id: record for w in workers if (record := record_of(w))}
        news = [record for record in records.values() if self._is_news(record)]
        with transaction.atomic(using=router.db_for_write(WorkerRecord)):
            if news:
                WorkerRecord.objects.bulk_create(
                    news, update_conflicts=True, unique_fields=["id"], update_fields=COPIED
                )
            gone = WorkerRecord.objects.exclude(status__in=[LOST, STOPPED]).exclude(id__in=records)
            gone.update(status=STOPPED, stopped_at=datetime.now(UTC))
            self._broker.must_lead()  # asked last: what a leader saw before it fell asleep is old
        self._written |= {record.id: record for record in news}
        for name in self._written.keys() - records.keys():
            del self._written[name]
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
            id=_id(worker.id),
            hostname=printable(str(said["hostname"]), 255),
            pid=_number(said["pid"], MOST_INT),
            queues=printable(",".join(said["queues"]), 10_000),
            slots=_number(said["slots"], MOST_INT),
            status=printable(str(said["status"]), 10) if worker.is_alive else LOST,
            started_at=moment(int(said["started_us"])) or now,
            last_seen_at=now,
            stopped_at=None if worker.is_alive else now,
            processed=_number(said["processed"], MOST_BIGINT),
            failed=_number(said["failed"], MOST_BIGINT),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        logger.warning("event=worker_not_understood worker=%r error=%r", worker.id, error)
        return None


def _id(given: str) -> str:
    if printable(given, 64) != given:
        raise ValueError("not an id")
    return given


def _number(given: Any, most: int) -> int:
    return max(0, min(int(given), most))
