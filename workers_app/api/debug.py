"""What is where, in lists that are short whatever waits: ``GET /api/debug``."""

from collections.abc import Iterable
from typing import Any

from tasks_app.api.task_view import rfc3339, row_of
from tasks_app.broker import broker, keys
from tasks_app.broker.glance import Glance
from tasks_app.listing import FIELDS
from tasks_app.message import LEVELS, level_of
from tasks_app.models import TaskRecord
from tasks_app.states import Status

MOST = 100  # entries of one list


def look() -> dict[str, Any]:
    """Everything, the most urgent or the newest of it first."""
    queues, cut = _queues()
    workers, cut_workers = _workers()
    results, cut_results = _ended(Status.COMPLETED)
    failed, cut_failed = _ended(Status.FAILED)
    return queues | {
        "workers": workers,
        "results": results,
        "failed_tasks": failed,
        "truncated": {
            **cut,
            "workers": cut_workers,
            "results": cut_results,
            "failed_tasks": cut_failed,
        },
    }


def _queues() -> tuple[dict[str, list[Any]], dict[str, bool]]:
    queues = broker().stats().queues
    lists, cut = {}, {}
    for level in LEVELS:
        filled = [queue for queue in queues if queue.levels[level - 1]]
        ids: list[str] = []
        for queue in filled:
            if len(ids) < MOST:
                ids += broker().ready_ids(queue.name, level, MOST - len(ids))
        glances = broker().glance(ids)
        lists[f"queue_{level}"] = [_shown(glances[i]) for i in ids if i in glances]
        cut[f"queue_{level}"] = sum(queue.levels[level - 1] for queue in filled) > MOST
    return lists, cut


def _workers() -> tuple[dict[str, dict[str, Any]], bool]:
    register = sorted(broker().fleet.workers())
    cut = len(register) > MOST
    found = {}
    for worker in register[:MOST]:
        held = [i for shard in keys.shards() for i in _held(worker, shard)]
        cut = cut or len(held) > MOST
        glances = broker().glance(held[:MOST])
        found[worker] = {
            "assigned_tasks": _with(Status.ASSIGNED, glances.values()),
            "processing_tasks": _with(Status.PROCESSING, glances.values()),
            "completed_tasks": _completed_by(worker),
        }
    return found, cut


def _held(worker: str, shard: int) -> Iterable[str]:
    for executor in broker().fleet.executors(worker, shard):
        yield from broker().held_ids(executor, shard)


def _with(status: Status, glances: Iterable[Glance]) -> dict[str, Any]:
    return {each.id: _shown(each) for each in glances if each.state.status is status}


def _completed_by(worker: str) -> dict[str, Any]:
    rows = TaskRecord.objects.filter(worker=worker).order_by("-id").only(*FIELDS)[:MOST]
    return _since_reset(row for row in rows if row.status == Status.COMPLETED)


def _ended(status: Status) -> tuple[dict[str, Any], bool]:
    rows = TaskRecord.objects.filter(status=status).order_by("-id").only(*FIELDS)
    found = _since_reset(rows[: MOST + 1])
    return dict(list(found.items())[:MOST]), len(found) > MOST


def _since_reset(rows: Iterable[TaskRecord]) -> dict[str, Any]:
    reset_us = broker().reset_at_ms() * 1000
    return {row.id: row_of(row) for row in rows if row.finished_us >= reset_us}


def _shown(glance: Glance) -> dict[str, Any]:
    return {
        "task_id": glance.id,
        "task_type": glance.type,
        "queue": glance.queue,
        "priority": level_of(glance.priority),
        "status": glance.state.status.value,
        "submitted_at": rfc3339(glance.submitted_us),
    }
