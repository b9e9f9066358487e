"""The newest tasks: the database's rows, and over them what Redis knows better."""

import logging
from typing import Any

from django.db import DatabaseError

from tasks_app.broker import broker
from tasks_app.broker.glance import Glance
from tasks_app.message import level_of
from tasks_app.models import TaskRecord
from tasks_app.states import FINAL, Status

SHOWN = 20
FIELDS = (
    "id", "type", "queue", "priority", "status", "worker", "submitted_us", "started_us",
    "finished_us", "run", "version", "failures", "deadline_missed", "error",
)  # fmt: skip  # not the payloads and results

logger = logging.getLogger(__name__)


def latest(limit: int = SHOWN) -> list[dict[str, Any]]:
    """The newest tasks first. Without the database: those that Redis still holds."""
    rows = {row["id"]: row for row in _rows(limit)}
    glances = broker().glance(list(rows), newest=limit)
    ids = sorted(rows.keys() | glances.keys(), reverse=True)[:limit]  # UUIDv7: by time
    return [_line(rows.get(task_id), glances.get(task_id)) for task_id in ids]


def _rows(limit: int) -> list[dict[str, Any]]:
    try:
        return list(TaskRecord.objects.order_by("-id").values(*FIELDS)[:limit])
    except DatabaseError:
        logger.warning("The newest tasks come from Redis alone: no answer from the database.")
        return []


def _line(row: dict[str, Any] | None, glance: Glance | None) -> dict[str, Any]:
    line = _of_row(row) if row else {}
    if glance and (not row or _is_newer(glance, row)):
        line |= _of_glance(glance)
    return line


def _is_newer(glance: Glance, row: dict[str, Any]) -> bool:
    return (glance.state.run, glance.state.version) > (row["run"], row["version"])


def _of_row(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "type": row["type"],
        "queue": row["queue"],
        "priority": level_of(row["priority"]),
        "status": row["status"],
        "worker": row["worker"],
        "submittedAt": row["submitted_us"] // 1000,
        "startedAt": row["started_us"] // 1000 or None,
        "finishedAt": row["finished_us"] // 1000 or None,
        "failures": row["failures"],
        "deadlineMissed": row["deadline_missed"],
        "error": row["error"],
    }


def _of_glance(glance: Glance) -> dict[str, Any]:
    state = glance.state
    line = {
        "id": glance.id,
        "type": glance.type,
        "queue": glance.queue,
        "priority": level_of(glance.priority),
        "status": str(state.status.value),
        "submittedAt": glance.submitted_us // 1000,
        "finishedAt": state.changed_ms if state.status in FINAL else None,
        "failures": state.failures,
    }
    if state.worker:
        line["worker"] = state.worker
    if state.status == Status.PROCESSING:
        line["startedAt"] = state.changed_ms
    return line
