"""Pruning an old history while the recorder writes a new one: what each costs the other."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dj_database_url
from django.conf import settings
from django.core.management import call_command
from django.db import connections, router
from msgspec.structs import replace

from tasks_app.api.pagination import floor
from tasks_app.broker import broker
from tasks_app.message import Attempt, now_us
from tasks_app.models import Ledger, TaskRecord
from tasks_app.slices import slices
from tests.postgres_server import PostgresServer
from workers_app.coordinator import history
from workers_app.coordinator.rows import Row, row_of

from .report import Line, percent
from .work import SLICE, done, messages, recorded, wait_until, worker

OLD_US = 31 * 86_400_000_000  # more than completed tasks are kept
ALIAS = "retention"
PRUNED = re.compile(r"event=pruned tasks=(\d+) batches=(\d+) longest_ms=(\d+)")


class ToPostgres:
    """Routes everything to the second database."""

    def db_for_read(self, model, **hints):
        return ALIAS

    db_for_write = db_for_read


def measure(count: int) -> list[Line]:
    lines = _measure_on("SQLite", count)
    with _postgres():
        return lines + _measure_on("Postgres", count)


def _measure_on(name: str, count: int) -> list[Line]:
    alone, _, _ = _drain(count)
    _fill(count)
    beside, erased, told = _drain(count)
    batches = sum(batches for _, batches, _ in told)
    longest = max(longest for _, _, longest in told)
    return [
        Line(f"{name}: run and recorded, nothing to prune", alone, "/s"),
        Line(f"{name}: the same beside the pruner", beside, "/s", percent(beside, alone, "alone")),
        Line(f"{name}: erased, with its rests", erased, "/s"),
        Line(f"{name}: erased in a transaction, on the average", count / batches, "rows"),
        Line(f"{name}: longest of these transactions", longest, "ms"),
    ]


def _drain(count: int) -> tuple[float, float, list[tuple[int, int, int]]]:
    """Tasks a second that are run and recorded, and that are erased; and what the pruner tells.

    That is: tasks, transactions, the longest of these in milliseconds.
    """
    queue = broker()
    queue.link.call("FLUSHDB")
    Ledger.objects.all().delete()  # or the leader would find that the server was wiped
    queue.pause("default")
    log = Path(settings.VAR_DIR) / "worker.log"
    before = log.stat().st_size if log.exists() else 0
    for some in slices(messages(count), SLICE):
        queue.submit_many(some)
    old = TaskRecord.objects.count()
    with worker(processes=2):
        wait_until(recorded, "the record of the submits")
        began = time.perf_counter()
        queue.resume("default")
        wait_until(lambda: done(count) and recorded(), "the drain", pause=0.02)
        took = time.perf_counter() - began
        wait_until(lambda: TaskRecord.objects.count() == count, "the pruner", pause=0.1)
        erased = old / (time.perf_counter() - began)
        wait_until(lambda: sum(n for n, _, _ in _told(log, before)) == old, "what it tells")
    if not old:
        _empty()
    return count / took, erased, _told(log, before)


def _told(log: Path, before: int) -> list[tuple[int, int, int]]:
    """What the log has of the pruner after so many bytes."""
    said = log.read_bytes()[before:].decode(errors="replace")
    return [tuple(map(int, found)) for found in PRUNED.findall(said)]


def _fill(count: int) -> None:
    """An old history."""
    _empty()
    for some in slices(messages(count), SLICE):
        history.write([_old_row(number, message) for number, message in enumerate(some)])


def _old_row(number: int, message) -> Row:
    at_us = now_us() - OLD_US
    line = Attempt(number=1, started_us=at_us, ended_us=at_us, outcome="completed").encode()
    task_id = floor(at_us // 1000)[:14] + message.id[14:]
    state = b"completed|1|1|3|1|0|0||%d\n%s\n" % (at_us // 1000, line)
    return row_of(task_id, replace(message, id=task_id, submitted_us=at_us).encode(), state)


def _empty() -> None:
    TaskRecord.objects.all().delete()


@contextmanager
def _postgres() -> Iterator[None]:
    """Everything is in a Postgres of its own meanwhile; for the workers too."""
    server, before, routers = PostgresServer(), os.environ["DATABASE_URL"], router.routers
    server.start()
    try:
        connections.settings[ALIAS] = dj_database_url.parse(server.url)
        connections.configure_settings(connections.settings)
        call_command("migrate", database=ALIAS, verbosity=0)
        router.routers, os.environ["DATABASE_URL"] = [ToPostgres()], server.url
        yield
    finally:
        router.routers, os.environ["DATABASE_URL"] = routers, before
        connections[ALIAS].close()
        server.close()
