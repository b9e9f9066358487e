"""Find a task wherever it is by now: live in Redis, or in the history."""

import re
from collections.abc import Iterable
from typing import Any

from django.apps import apps

from .broker import broker
from .message import StoredTask

ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def is_id(text: Any) -> bool:
    """Whether this can be the id of a task at all."""
    return isinstance(text, str) and ID.fullmatch(text) is not None


def find(task_id: str) -> StoredTask | None:
    """A task as it stands now; None if there is none, or this is no id."""
    return find_many([task_id]).get(task_id) if is_id(task_id) else None


def find_many(ids: Iterable[str]) -> dict[str, StoredTask]:
    """Those of the tasks that exist, by id.

    Redis forgets a task only after the database has committed it: so a task that Redis does not
    know is in the database, unless it was never submitted, or was opened again in between, and
    then Redis knows it. Hence three looks, and no gap. The last one is at what the database could
    not take as a row.

    Raise QueueUnavailable while Redis is away, also for a task that the database knows as final:
    it may have been opened again since.
    """
    wanted = [task_id for task_id in ids if is_id(task_id)]
    found = _live(wanted) if wanted else {}
    for look in (_recorded, _live, _quarantined):
        missing = [task_id for task_id in wanted if task_id not in found]
        if not missing:
            break
        found |= look(missing)
    return found


def _live(ids: list[str]) -> dict[str, StoredTask]:
    try:
        return broker().get_many(ids)
    except ValueError:  # one cannot be read; the others are not to suffer for it
        if len(ids) == 1:
            return {}
        return {task_id: task for each in ids for task_id, task in _live([each]).items()}


def _recorded(ids: list[str]) -> dict[str, StoredTask]:
    # By name: this module may be imported while the apps are still loading.
    records = apps.get_model("tasks_app", "TaskRecord").objects
    return {record.id: record.stored for record in records.filter(id__in=ids)}


def _quarantined(ids: list[str]) -> dict[str, StoredTask]:
    rows = apps.get_model("tasks_app", "Quarantine").objects
    return {row.task_id: row.stored for row in rows.filter(task_id__in=ids).order_by("id")}
