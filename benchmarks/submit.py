"""Submitting from Python: one by one beside a raw round trip, and in bulk."""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from redis import Redis

from tasks_app.broker import broker
from tasks_app.conf import conf
from tasks_app.enqueue import submit

from . import tasks
from .report import Line, percent
from .work import PAYLOAD, messages, requests, slices

ROUNDS = 20  # of each kind by turns, so that a busy moment hits all of them


def measure(count: int) -> list[Line]:
    queue = broker()
    client = Redis.from_url(conf().redis_url)
    each = count // ROUNDS
    kinds: dict[str, tuple[Callable[[Any], Any], Callable[[], Sequence[Any]]]] = {
        "raw": (
            lambda payload: client.lpush("bench:raw", payload),
            lambda: [message.encode() for message in messages(each)],
        ),
        "submit": (queue.submit, lambda: messages(each)),
        "enqueue": (lambda _: tasks.noop.enqueue(payload=PAYLOAD), lambda: range(each)),
        "submit_many": (queue.submit_many, lambda: slices(messages(each * 5))),
        "bulk": (submit, lambda: slices(requests(each * 5))),
    }
    rates = {name: [] for name in kinds}
    for _ in range(ROUNDS):
        for name, (call, prepare) in kinds.items():
            items = prepare()
            size = len(items) if name in ("raw", "submit", "enqueue") else each * 5
            rates[name].append(size / _timed(call, items))
        queue.link.call("FLUSHDB")
    rate = {name: median(some) for name, some in rates.items()}
    return [
        Line("raw LPUSH by redis-py, one round trip each", rate["raw"], "/s"),
        Line("broker.submit, one by one", rate["submit"], "/s", _of_raw(rate, "submit")),
        Line("task.enqueue(), one by one", rate["enqueue"], "/s", _of_raw(rate, "enqueue")),
        Line("broker.submit_many, 1,000 a call", rate["submit_many"], "/s"),
        Line("the one door (checks, ids, encoding), 1,000 a call", rate["bulk"], "/s"),
    ]


def _of_raw(rate: dict[str, float], name: str) -> str:
    return percent(rate[name], rate["raw"], "raw")


def _timed(call: Callable[[Any], Any], items: Sequence[Any]) -> float:
    began = time.perf_counter()
    for item in items:
        call(item)
    return time.perf_counter() - began
