"""A very long queue: what a claim costs there, and what a waiting task takes in memory."""

import time
from statistics import median

from tasks_app.broker import Broker
from tasks_app.broker.connection import Link
from tasks_app.slices import slices
from tests.redis_server import RedisServer

from .report import Line
from .work import SLICE, messages, wait_until

FEW = 1000
CLAIMS = 60
LIMITS = (1, 10)  # tasks a claim


def measure(count: int) -> list[Line]:
    server = RedisServer()
    try:
        server.start()
        link = Link(server.url, timeout=30)
        lines = _measure(Broker(link), count)
        link.close()
        return lines
    finally:
        server.close()


def _measure(queue: Broker, count: int) -> list[Line]:
    client = queue.link.client()
    queue.fleet.announce("bench", {}, executors=["bench:1:x"])
    _fill(queue, FEW)
    few = {limit: _claim_ms(queue, limit) for limit in LIMITS}
    empty = client.info("memory")["used_memory"]
    _fill(queue, count)
    used = client.info("memory")["used_memory"] - empty
    wait_until(lambda: _is_at_rest(client.info("persistence")), "the rewrite of the log")
    many = {limit: _claim_ms(queue, limit) for limit in LIMITS}
    lines = [Line(f"memory of a waiting task, {count:,} of them", used / count, "bytes")]
    for limit in LIMITS:
        name = f"claim of {limit} among"
        ratio = f"{many[limit] / few[limit]:.2f} x that among {FEW:,}"
        lines.append(Line(f"{name} {FEW:,}", few[limit], "ms"))
        lines.append(Line(f"{name} {count:,}", many[limit], "ms", ratio))
    return lines


def _fill(queue: Broker, count: int) -> None:
    for _ in range(max(1, count // 10_000)):
        for some in slices(messages(min(count, 10_000)), SLICE):
            queue.submit_many(some)
        changes = queue.changes(1000)
        queue.acknowledge(changes)  # as the recorder would


def _is_at_rest(persistence: dict) -> bool:
    """Whether the server does not write its log anew: as long a first write copies a page."""
    return not persistence["aof_rewrite_in_progress"] and not persistence["aof_rewrite_scheduled"]


def _claim_ms(queue: Broker, limit: int) -> float:
    """The median; what was claimed is given back, so that the queue stays as long as it was."""
    times = []
    for _ in range(CLAIMS):
        queue.fleet.announce("bench", {}, executors=["bench:1:x"])
        began = time.perf_counter()
        exchange = queue.claim("bench:1:x", "bench", ["default"], limit)
        times.append(time.perf_counter() - began)
        held = {task.message.id: exchange.token for task in exchange.claimed}
        queue.release("bench:1:x", held)
    return median(times) * 1000
