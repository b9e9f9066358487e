"""Submitting from Python: one by one beside a raw round trip, and in bulk."""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, NamedTuple

from django.db import transaction
from redis import Redis

from tasks_app.broker import broker
from tasks_app.broker.durability import FSYNC
from tasks_app.conf import conf
from tasks_app.enqueue import submit
from tasks_app.message import TaskMessage
from tasks_app.models import Quarantine
from tasks_app.slices import slices

from . import tasks
from .report import Line, percent
from .work import PAYLOAD, SLICE, messages, requests

ROUNDS = 20  # of each kind by turns, so that a busy moment hits all of them


class Kind(NamedTuple):
    """One way to submit."""

    tasks: int  # of a round
    call: Callable[[Any], Any]
    prepare: Callable[[], Sequence[Any]]  # what it is called with, made before the clock starts


def measure(count: int) -> list[Line]:
    rate = _rates(_kinds(count // ROUNDS))
    return [
        Line("raw LPUSH by redis-py, one round trip each", rate["raw"], "/s"),
        Line("broker.submit, one by one", rate["submit"], "/s", _of_raw(rate, "submit")),
        Line("task.enqueue(), one by one", rate["enqueue"], "/s", _of_raw(rate, "enqueue")),
        Line("a transaction that writes one row", rate["row"], "/s"),
        Line(
            "a transaction that enqueues one task",
            rate["outbox"],
            "/s",
            percent(rate["outbox"], rate["row"], "one row"),
        ),
        Line(
            "broker.submit, fsync, appendfsync always", rate["fsync"], "/s", _of_raw(rate, "fsync")
        ),
        Line("broker.submit_many, 1,000 a call", rate["submit_many"], "/s"),
        Line("the one door (checks, ids, encoding), 1,000 a call", rate["bulk"], "/s"),
        Line("task.enqueue_many, 1,000 a call", rate["enqueue_many"], "/s", _of_single(rate)),
        Line("task.enqueue_many, 1,000 a transaction", rate["many_in_transaction"], "/s"),
    ]


def _kinds(each: int) -> dict[str, Kind]:
    queue, client = broker(), Redis.from_url(conf().redis_url)
    many, few = each * 5, max(each // 20, 1)  # in bulk; of what waits for a disk
    return {
        "raw": Kind(
            each,
            lambda payload: client.lpush("bench:raw", payload),
            lambda: [message.encode() for message in messages(each)],
        ),
        "submit": Kind(each, queue.submit, lambda: messages(each)),
        "enqueue": Kind(each, lambda _: tasks.noop.enqueue(payload=PAYLOAD), lambda: range(each)),
        "row": Kind(few, _row, lambda: range(few)),
        "outbox": Kind(few, _in_transaction, lambda: range(few)),
        "submit_many": Kind(many, queue.submit_many, lambda: _sliced(messages(many))),
        "bulk": Kind(many, submit, lambda: _sliced(requests(many))),
        "enqueue_many": Kind(many, tasks.noop.enqueue_many, lambda: _sliced(_calls(many))),
        "many_in_transaction": Kind(many, _many_in_transaction, lambda: _sliced(_calls(many))),
        "fsync": Kind(few, _fsync, lambda: _always(messages(few))),
    }


def _rates(kinds: dict[str, Kind]) -> dict[str, float]:
    """Tasks a second of each kind: the median of its rounds."""
    rates: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(ROUNDS):
        for name, kind in kinds.items():
            items = kind.prepare()
            rates[name].append(kind.tasks / _timed(kind.call, items))
        broker().link.call("FLUSHDB")
        broker().link.call("CONFIG", "SET", "appendfsync", "everysec")
    return {name: median(some) for name, some in rates.items()}


def _in_transaction(_: Any) -> None:
    with transaction.atomic():
        tasks.noop.enqueue(payload=PAYLOAD)


def _row(_: Any) -> None:
    """What a transaction costs in which nothing is enqueued."""
    with transaction.atomic():
        Quarantine.objects.create(task_id="x", definition=b"", reason=PAYLOAD)


def _many_in_transaction(calls: Sequence[Any]) -> None:
    with transaction.atomic():
        tasks.noop.enqueue_many(calls)


def _calls(count: int) -> list[dict[str, str]]:
    return [{"payload": PAYLOAD}] * count


def _sliced(items: Sequence[Any]) -> list[list[Any]]:
    """As bulk calls take them."""
    return list(slices(items, SLICE))


def _fsync(message: TaskMessage) -> None:
    broker().submit(message, durability=FSYNC)


def _always(messages: list[TaskMessage]) -> list[TaskMessage]:
    """The same messages, for a server that asks its disk at each command."""
    broker().link.call("CONFIG", "SET", "appendfsync", "always")
    return messages


def _of_single(rate: dict[str, float]) -> str:
    return f"{rate['enqueue_many'] / rate['enqueue']:.1f} x single"


def _of_raw(rate: dict[str, float], name: str) -> str:
    return percent(rate[name], rate["raw"], "raw")


def _timed(call: Callable[[Any], Any], items: Sequence[Any]) -> float:
    began = time.perf_counter()
    for item in items:
        call(item)
    return time.perf_counter() - began
