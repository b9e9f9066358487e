"""The numbers of ``GET /api/metrics``, under the names that its clients know."""

from typing import Any

from django.db import DatabaseError, InterfaceError

from tasks_app import outbox
from tasks_app.broker import broker

from ..live import snapshot as live


def numbers() -> dict[str, Any]:
    """Count what waits, what was done since the last reset, and who works.

    Of the database there is only the outbox, and without it nothing of that.
    """
    stats = broker().stats()
    workers = live.workers()
    alive = [worker for worker in workers.values() if worker["status"] != "inactive"]
    return {
        "activeWorkers": len(alive),
        "totalTasks": stats.ready,
        "processedTasks": stats.count("completed"),
        "failedTasks": stats.count("failed"),
        "queueLengths": live.queue_lengths(stats.queues),
        "workerMetrics": workers,
        "scheduledTasks": stats.scheduled,
        "submittedTasks": stats.count("submitted"),
        "cancelledTasks": stats.count("cancelled"),
        "expiredTasks": stats.count("expired"),
        "retriedAttempts": stats.count("retried"),
        "crashedAttempts": stats.count("crashed"),
        "lateTasks": stats.count("late"),
        "stolenTasks": stats.count("stolen"),
        "staleResults": stats.count("stale"),
        "slots": sum(worker["slots"] for worker in alive),
        "unrecordedChanges": stats.unrecorded,
        **_outbox(),
    }


def _outbox() -> dict[str, Any]:
    try:
        found = outbox.lag()
    except (DatabaseError, InterfaceError):  # everything else is there to be told
        return {"outboxTasks": None, "outboxSeconds": None}
    return {"outboxTasks": found.tasks, "outboxSeconds": round(found.seconds, 3)}
