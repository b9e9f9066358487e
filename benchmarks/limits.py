"""Limits: what they cost, and whom a tenant's flood holds up."""

import time
from statistics import median, quantiles
from typing import Any

from tasks_app import registry
from tasks_app.broker import broker
from tasks_app.enqueue import TaskRequest, message_of
from tasks_app.models import TaskRecord
from tasks_app.slices import slices

from . import tasks
from .report import Line, percent
from .work import SLICE, done, recorded, wait_until, worker

ROUNDS = 5  # of each kind by turns, so that a busy moment hits all of them
TENANTS = 10
FLOOD = "the one who floods"
PLAIN = "no limit"
KINDS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "a limit that is never reached": {"concurrency": 1_000_000},
    "a rate that is never reached": {"rate": "1000000/s"},
    f"one for each of {TENANTS} tenants, never reached": {
        "per": "payload", "concurrency": 1_000_000,
    },
    "a limit that most wait for": {"concurrency": 1000},
}  # fmt: skip


def measure(count: int) -> list[Line]:
    rates: dict[str, list[float]] = {name: [] for name in KINDS}
    for _ in range(ROUNDS):
        for name, options in KINDS.items():
            rates[name].append(_drained(count, options))
    plain = rates.pop(PLAIN)
    return [
        Line(f"run and recorded: {count:,} no-ops, {PLAIN}", median(plain), "/s"),
        *(
            Line(f"{name}: {_said(KINDS[name])}", median(some), "/s", _share(some, plain))
            for name, some in rates.items()
        ),
        *_flood(max(count // 100, 20)),
    ]


def _share(some: list[float], plain: list[float]) -> str:
    """The median of what the rounds say, each of its own moment."""
    shares = [one / other for one, other in zip(some, plain, strict=True)]
    return percent(median(shares), 1, PLAIN)


def _said(options: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options.items())


def _drained(count: int, options: dict[str, Any]) -> float:
    """Tasks a second until the history has all of them."""
    queue = broker()
    queue.link.call("FLUSHDB")
    TaskRecord.objects.all().delete()
    noop = registry.get(tasks.noop.module_path)
    asked = [
        TaskRequest(noop, kwargs={"payload": f"tenant {n % TENANTS}"}, **options)
        for n in range(count)
    ]
    for some in slices([message_of(request) for request in asked], SLICE):
        queue.submit_many(some)
    queue.pause("default")
    with worker(processes=2):
        wait_until(recorded, "the record of the submits")
        began = time.perf_counter()
        queue.resume("default")
        wait_until(lambda: done(count), "the drain", pause=0.02)
        wait_until(recorded, "the record of the drain", pause=0.02)
        return count / (time.perf_counter() - began)


def _flood(count: int) -> list[Line]:
    """How long the tasks of others wait: alone, beside a flood without limits, and with them."""
    alone = _waits(0, count, {})
    beside = _waits(count * 20, count, {})
    kept = _waits(count * 20, count, {"per": "tenant", "concurrency": 1})
    return [
        Line("wait of others, nobody floods, p50", median(alone), "ms", _p99(alone)),
        Line("beside a flood, no limit, p50", median(beside), "ms", _p99(beside)),
        Line("beside a flood, per tenant, p50", median(kept), "ms", _p99(kept)),
    ]


def _p99(waits: list[float]) -> str:
    return f"p99 {quantiles(waits, n=100)[-1]:,.1f} ms"


def _waits(flood: int, count: int, options: dict[str, Any]) -> list[float]:
    """Milliseconds from submit to start of ``count`` tasks of others, submitted one by one."""
    queue = broker()
    queue.link.call("FLUSHDB")
    TaskRecord.objects.all().delete()
    pause = registry.get(tasks.pause.module_path)
    with worker(processes=2):
        wait_until(queue.fleet.leader, "a leader")
        of_flood = [TaskRequest(pause, kwargs={"tenant": FLOOD}, **options)] * flood
        for some in slices(of_flood, SLICE):
            queue.submit_many([message_of(request) for request in some])
        ids = []
        for n in range(count):
            message = message_of(
                TaskRequest(pause, kwargs={"tenant": f"tenant {n % TENANTS}"}, **options)
            )
            queue.submit(message)
            ids.append(message.id)
            time.sleep(tasks.PAUSE_SECONDS)
        ended = TaskRecord.objects.filter(id__in=ids, finished_us__gt=0)
        wait_until(lambda: ended.count() == count, "the others", pause=0.05)
        found = list(ended.values_list("submitted_us", "started_us"))
        queue.purge("default")
        return [(started - submitted) / 1000 for submitted, started in found]
