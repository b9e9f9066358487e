"""The numbers of ``GET /api/metrics``, under the names that its clients know."""

from typing import Any

from tasks_app.broker import broker

from ..live import snapshot as live


def numbers() -> dict[str, Any]:
    """Count what waits, what was done since the last reset, and who works. Redis only."""
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
    }
