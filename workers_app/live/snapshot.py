"""What is going on now: the one snapshot behind the API's numbers, the socket and the page."""

from collections.abc import Iterable, Sequence
from typing import Any

from tasks_app.api.queue_view import queue_in_short
from tasks_app.broker import broker
from tasks_app.broker.answers import QueueStats, Registered, Stats
from tasks_app.conf import conf
from tasks_app.message import LEVELS

from ..said import bounds, load, moment, number, text, texts, thing, things
from . import decisions
from .latest import latest
from .series import LONGEST_NOW_MS, POINTS, STEP_MS, Sample, series, throughput

SAMPLES_READ = POINTS * STEP_MS // 1000 + LONGEST_NOW_MS // 1000  # one a second, and some spare
DECISIONS_SHOWN = 20


def snapshot() -> dict[str, Any]:
    """Gather everything. True also while no worker and no coordinator runs.

    Raise QueueUnavailable if Redis does not answer.
    """
    found = numbers()
    return found | {"latest": latest()}


def numbers() -> dict[str, Any]:
    """The snapshot without the latest tasks: Redis only."""
    stats = broker().stats()
    register = broker().fleet.workers()
    samples = _samples_until(stats, register.values())
    return {
        "at": moment(stats.at_ms),
        "workers": _workers(register),
        "activeWorkers": sum(worker.is_alive for worker in register.values()),
        "agents": sum(agent.is_alive for agent in broker().fleet.agents().values()),
        "waiting": stats.ready,
        "scheduled": stats.scheduled,
        "processed": stats.count("completed"),
        "failed": stats.count("failed"),
        "throughput": throughput(samples),
        "queueLengths": queue_lengths(stats.queues),
        "queues": [queue_in_short(queue) for queue in stats.queues],
        "series": series(samples, stats.at_ms),
        "decisions": decisions.brief(DECISIONS_SHOWN),
        "unrecorded": stats.unrecorded,
        "counters": stats.counters,
    }


def sample(stats: Stats, register: Iterable[Registered]) -> Sample:
    """The counters and the gauges of this moment as a sample."""
    counted = {name: stats.count(name) for name in ("submitted", "completed", "failed")}
    return {"at_ms": stats.at_ms, "ready": stats.ready} | counted | load(register)


def queue_lengths(queues: Sequence[QueueStats]) -> dict[str, int]:
    """Ready tasks at each level from "1" to "10", over all queues."""
    return {str(level): sum(queue.levels[level - 1] for queue in queues) for level in LEVELS}


def workers() -> dict[str, dict[str, Any]]:
    """Every worker on the register by id, silent ones too."""
    return _workers(broker().fleet.workers())


def _samples_until(stats: Stats, register: Iterable[Registered]) -> list[Sample]:
    """The samples kept, and the numbers of this moment as the last one.

    So the rates end now, also if whoever keeps the samples has stopped.
    """
    kept = [s for s in broker().fleet.samples(SAMPLES_READ) if s["at_ms"] < stats.at_ms]
    return [*kept, sample(stats, register)]


def _workers(register: dict[str, Registered]) -> dict[str, dict[str, Any]]:
    return {name: _worker(found) for name, found in sorted(register.items())}


def _worker(found: Registered) -> dict[str, Any]:
    said = found.said
    has, status = found.is_alive, text(said, "status") or "active"
    return {
        "id": found.id,
        "lastSeen": moment(_last_seen_ms(found)),
        "tasksProcessed": number(said, "processed"),
        "activeTasks": number(said, "active") if has else 0,
        "status": status if has else "inactive",
        "tasksFailed": number(said, "failed"),
        "reserved": number(said, "reserved") if has else 0,
        "stolen": number(said, "stolen"),
        "stolenFrom": number(said, "stolenFrom"),
        "crashed": number(said, "crashed"),
        "recycled": number(said, "recycled"),
        "hostname": text(said, "hostname"),
        "pid": number(said, "pid"),
        "startedAt": moment(number(said, "started_us") // 1000),
        "queues": texts(said, "queues"),
        "kind": text(said, "kind"),
        "slots": number(said, "slots"),
        "bounds": list(bounds(said) or ()),
        "executors": [_executor(each) for each in things(said, "executors")] if has else [],
        "types": number(said, "types"),
        "config": thing(said, "config"),
        "version": text(said, "version"),
    }


def _executor(said: dict[str, Any]) -> dict[str, Any]:
    return {"id": text(said, "id")} | {
        name: number(said, name) for name in ("pid", "active", "reserved", "memoryBytes")
    }


def _last_seen_ms(found: Registered) -> int:
    """When the lease was renewed last; a reaped worker has none: at the latest one lease ago."""
    lease_ms = int(conf().lease_seconds * 1000)
    return (found.lease_until_ms or found.now_ms) - lease_ms
