"""Running tasks that wait already, with their full history written to the database."""

import time

from tasks_app.broker import broker
from tasks_app.models import TaskRecord
from tasks_app.slices import slices
from tasks_app.states import Status

from .processor import spent
from .report import Line
from .work import SLICE, done, messages, recorded, wait_until, worker


def measure(count: int) -> list[Line]:
    queue = broker()
    queue.link.call("FLUSHDB")
    TaskRecord.objects.all().delete()
    for some in slices(messages(count), SLICE):
        queue.submit_many(some)
    queue.pause("default")
    with worker(processes=2) as process:
        wait_until(recorded, "the record of the submits")
        costs = spent(process.pid)
        began = time.perf_counter()
        queue.resume("default")
        wait_until(lambda: done(count), "the drain", pause=0.02)
        ran = time.perf_counter() - began
        wait_until(recorded, "the record of the drain", pause=0.02)
        took = time.perf_counter() - began
        parts = costs(count)
    rows = TaskRecord.objects.filter(status=Status.COMPLETED).count()
    if rows != count:
        raise RuntimeError(f"{count} tasks ran, and the history has {rows}.")
    return [
        Line(f"run: {count:,} no-ops, 2 executor processes", count / ran, "/s"),
        Line("run and recorded, one row a task", count / took, "/s"),
        *parts,
    ]
