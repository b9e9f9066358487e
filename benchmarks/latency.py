"""From submit to start with idle workers, beside a raw BRPOP measured the same way."""

import multiprocessing
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import quantiles

from redis import Redis

from tasks_app.broker import broker
from tasks_app.conf import conf
from tasks_app.lookup import find

from . import tasks
from .report import Line
from .work import wait_until, worker

WARM_UPS = 20
ASKED, ANSWERED = "bench:asked", "bench:answered"


def measure(count: int) -> list[Line]:
    broker().link.call("FLUSHDB")
    ours, raw = [], []
    with worker(processes=2), _popper() as client:
        for n in range(count + WARM_UPS):
            _be_idle()
            raw_ms = _raw(client)
            _be_idle()
            our_ms = _ours()
            if n >= WARM_UPS:
                raw.append(raw_ms)
                ours.append(our_ms)
    lines = []
    theirs, mine = _points(raw), _points(ours)
    for name in ("p50", "p95", "p99"):
        lines.append(Line(f"raw BRPOP, {name}", theirs[name], "ms"))
        ratio = f"{mine[name] / theirs[name]:.2f} x raw"
        lines.append(Line(f"submit to start, {name}", mine[name], "ms", ratio))
    return lines


def _ours() -> float:
    began = time.monotonic_ns()
    task_id = tasks.clock.enqueue().id
    task = wait_until(lambda: _finished(task_id), "a task", pause=0.005)
    return (task.state.attempts[-1].result - began) / 1e6


def _finished(task_id: str):
    task = find(task_id)
    return task if task and task.state.is_final else None


def _raw(client: Redis) -> float:
    began = time.monotonic_ns()
    client.lpush(ASKED, "1")
    return (int(client.brpop(ANSWERED)[1]) - began) / 1e6


def _be_idle() -> None:
    time.sleep(random.uniform(0.005, 0.02))


@contextmanager
def _popper() -> Iterator[Redis]:
    """A process that blocks on a list and answers when it was woken."""
    process = multiprocessing.get_context("spawn").Process(target=pop, args=(conf().redis_url,))
    process.start()
    client = Redis.from_url(conf().redis_url)
    try:
        yield client
    finally:
        client.lpush(ASKED, "stop")
        process.join()
        client.close()


def pop(url: str) -> None:
    client = Redis.from_url(url)
    while client.brpop(ASKED)[1] != b"stop":
        client.lpush(ANSWERED, time.monotonic_ns())


def _points(values: list[float]) -> dict[str, float]:
    cuts = quantiles(values, n=100, method="inclusive")
    return {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98]}
