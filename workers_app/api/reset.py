"""Start afresh: nothing waits, nothing is held, and counting begins at zero.

Open tasks are cancelled, with change entries, so that the history tells what became of them. The
changes themselves are never cleared.
"""

import time

from django.db import router

from tasks_app.broker import broker, keys
from tasks_app.models import Dependency, TaskRecord, TaskRemarks
from tasks_app.retention.erase import drop_empty_workflows

ROUNDS = 3  # a task that was held may be back in its queue before its cancel arrives
SLICE = 10_000  # rows of the history that are deleted at once
SWEEP_SECONDS = 5.0  # for one request; the promoter sweeps on


def reset(*, history: bool, by: str) -> tuple[int, int]:
    """Return how many tasks were cancelled, and how many rows of the history were deleted."""
    cancelled = 0
    for _ in range(ROUNDS):
        some = _purge() + _cancel_held(by)
        cancelled += some
        if not some:
            break
    _sweep()
    deleted = _delete_history() if history else 0
    broker().reset_counters()
    return cancelled, deleted


def _purge() -> int:
    return sum(broker().purge(queue.name) for queue in broker().stats().queues)


def _cancel_held(by: str) -> int:
    fleet = broker().fleet
    ids = [
        task_id
        for shard in keys.shards()
        for worker in fleet.workers()
        for executor in fleet.executors(worker, shard)
        for task_id in broker().held_ids(executor, shard)
    ]
    before = broker().cancel(ids, by=by) if ids else {}
    return sum(status is not None for status in before.values())


def _delete_history() -> int:
    """In slices, so that nobody waits long for the database meanwhile."""
    rows = TaskRecord.objects.order_by("id")
    newest = rows.values_list("id", flat=True).last()  # what comes later is not deleted
    deleted = 0
    while newest is not None:
        slice_ids = list(rows.filter(id__lte=newest).values_list("id", flat=True)[:SLICE])
        if not slice_ids:
            break
        deleted += rows.filter(id__lte=slice_ids[-1]).delete()[0]
        _delete_what_hangs_on(slice_ids)
    return deleted


def _delete_what_hangs_on(ids: list[str]) -> None:
    TaskRemarks.objects.filter(id__gte=ids[0], id__lte=ids[-1]).delete()
    Dependency.objects.filter(child_id__gte=ids[0], child_id__lte=ids[-1]).delete()
    drop_empty_workflows(ids, router.db_for_write(TaskRecord))


def _sweep() -> None:
    until = time.monotonic() + SWEEP_SECONDS
    for shard in keys.shards():
        more = True
        while more and time.monotonic() < until:
            _, more = broker().sweep(shard=shard)
