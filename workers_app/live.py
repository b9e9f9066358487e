"""What is going on now: the one snapshot behind the API's numbers, the socket and the page."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tasks_app.broker import broker
from tasks_app.broker.answers import QueueStats, Registered, Stats
from tasks_app.conf import conf
from tasks_app.message import LEVELS

from .latest import latest
from .series import LONGEST_NOW_MS, POINTS, STEP_MS, Sample, series, throughput

SAMPLES_READ = POINTS * STEP_MS // 1000 + LONGEST_NOW_MS // 1000  # one a second, and some spare


# What a worker says of itself is believed within reason.
LONGEST_TEXT = 255
LARGEST_NUMBER = 2**53 - 1  # that JavaScript can count to


def snapshot() -> dict[str, Any]:
    """Gather everything. True also while no worker and no coordinator runs.

    Raise QueueUnavailable if Redis does not answer.
    """
    found = numbers()
    return found | {"latest": latest()}


def numbers() -> dict[str, Any]:
    """The snapshot without the latest tasks: Redis only."""
    stats = broker().stats()
    samples = _samples_until(stats)
    register = workers()
    return {
        "at": _rfc3339(stats.at_ms),
        "workers": register,
        "activeWorkers": sum(worker["status"] != "inactive" for worker in register.values()),
        "agents": sum(agent.is_alive for agent in broker().fleet.agents().values()),
        "waiting": stats.ready,
        "scheduled": stats.scheduled,
        "processed": stats.count("completed"),
        "failed": stats.count("failed"),
        "throughput": throughput(samples),
        "queueLengths": queue_lengths(stats.queues),
        "queues": [_queue(queue) for queue in stats.queues],
        "series": series(samples, stats.at_ms),
        "unrecorded": stats.unrecorded,
        "counters": stats.counters,
    }


def sample(stats: Stats) -> Sample:
    """The counters as a sample."""
    return {"at_ms": stats.at_ms} | {
        name: stats.count(name) for name in ("submitted", "completed", "failed")
    }


def queue_lengths(queues: Sequence[QueueStats]) -> dict[str, int]:
    """Ready tasks at each level from "1" to "10", over all queues."""
    return {str(level): sum(queue.levels[level - 1] for queue in queues) for level in LEVELS}


def workers() -> dict[str, dict[str, Any]]:
    """Every worker on the register by id, silent ones too."""
    return {name: _worker(found) for name, found in sorted(broker().fleet.workers().items())}


def _samples_until(stats: Stats) -> list[Sample]:
    """The samples kept, and the counters of this moment as the last one.

    So the rates end now, also if whoever keeps the samples has stopped.
    """
    kept = [s for s in broker().fleet.samples(SAMPLES_READ) if s["at_ms"] < stats.at_ms]
    return [*kept, sample(stats)]


def _queue(queue: QueueStats) -> dict[str, Any]:
    return {
        "name": queue.name,
        "paused": queue.is_paused,
        "ready": queue.ready,
        "scheduled": queue.scheduled,
    }


def _worker(found: Registered) -> dict[str, Any]:
    said = found.said
    status = _text(said, "status") or "active"
    return {
        "id": found.id,
        "lastSeen": _rfc3339(_last_seen_ms(found)),
        "tasksProcessed": _number(said, "processed"),
        "activeTasks": _number(said, "active") if found.is_alive else 0,
        "status": status if found.is_alive else "inactive",
        "tasksFailed": _number(said, "failed"),
        "reserved": _number(said, "reserved") if found.is_alive else 0,
        "hostname": _text(said, "hostname"),
        "pid": _number(said, "pid"),
        "startedAt": _rfc3339(_number(said, "started_us") // 1000),
        "queues": [str(name)[:LONGEST_TEXT] for name in said.get("queues") or []],
        "slots": _number(said, "slots"),
        "config": said.get("config") or {},
        "version": _text(said, "version"),
    }


def _number(said: dict[str, Any], name: str) -> int:
    value = said.get(name)
    return value if isinstance(value, int) and 0 <= value <= LARGEST_NUMBER else 0


def _text(said: dict[str, Any], name: str) -> str:
    return str(said.get(name) or "")[:LONGEST_TEXT]


def _last_seen_ms(found: Registered) -> int:
    """When the lease was renewed last; a reaped worker has none: at the latest one lease ago."""
    lease_ms = int(conf().lease_seconds * 1000)
    return (found.lease_until_ms or found.now_ms) - lease_ms


def _rfc3339(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
