"""A schedule and its firings as the API and the pages show them."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from ..lookup import find_many
from ..message import StoredTask, level_of, moment, now_us
from .models import Firing, Schedule
from .sealed import shown_of
from .timing import next_slots

SHOWN = 5  # of the next slots


def shown(schedule: Schedule) -> dict[str, Any]:
    """Everything about a schedule. Moments are in its own time zone."""
    columns = shown_of(schedule)
    return {
        "name": schedule.name,
        "taskType": schedule.type,
        "args": columns.args,
        "kwargs": columns.kwargs,
        "queue": schedule.queue or None,
        "priority": None if schedule.priority is None else level_of(schedule.priority),
        "options": columns.options,
        "cron": schedule.cron or None,
        "every": schedule.every or None,
        "timezone": schedule.timezone,
        "starts": _iso(schedule, schedule.starts_us),
        "ends": _iso(schedule, schedule.ends_us),
        "catchUp": schedule.catch_up,
        "catchUpMost": schedule.catch_up_most,
        "overlap": schedule.overlap,
        "enabled": schedule.enabled,
        "declared": schedule.is_declared,
        "source": schedule.source,
        "words": schedule.words,
        "next": [_iso(schedule, us) for us in next_us(schedule)],
        "last": _iso(schedule, schedule.last_us),
    }


def shown_all(schedules: Sequence[Schedule]) -> list[dict[str, Any]]:
    """Some schedules, with the newest firing of each. Raise QueueUnavailable."""
    last = last_firings(schedules)
    tasks = find_many({row.task_id for row in last.values() if row.task_id})
    return [
        shown(each) | {"lastFiring": _firing(each, row, tasks) if row else None}
        for each in schedules
        for row in [last.get(each.pk)]
    ]


def next_us(schedule: Schedule, most: int = SHOWN) -> list[int]:
    """The next slots of a schedule that is active."""
    if not schedule.is_active or not schedule.next_us:
        return []
    try:
        return next_slots(schedule.timing, max(schedule.next_us - 1, now_us()), most)
    except Exception:  # noqa: BLE001  a cron expression or a time zone that only others know
        return []


def state_of(schedule: Schedule) -> str:
    """ "active", "paused", or "gone" if code or settings have it no longer."""
    if not schedule.is_declared:
        return "gone"
    return "active" if schedule.enabled else "paused"


def local(schedule: Schedule, us: int) -> datetime | None:
    """A moment in the schedule's time zone; in UTC if this machine does not know that."""
    at = moment(us)
    try:
        return at and at.astimezone(ZoneInfo(schedule.timezone))
    except (KeyError, ValueError, OSError):
        return at and at.astimezone(UTC)


def clock(schedule: Schedule, us: int) -> str:
    """A moment as people read it, in the schedule's time zone: "Mon 2026-03-02 09:00:00 CET"."""
    return f"{local(schedule, us):%a %Y-%m-%d %H:%M:%S %Z}"


def _iso(schedule: Schedule, us: int) -> str | None:
    at = local(schedule, us)
    return at and at.isoformat()


def firings(schedule: Schedule, limit: int) -> list[dict[str, Any]]:
    """The newest firings, and what became of their tasks. Raise QueueUnavailable."""
    rows = list(schedule.firings.order_by("-id")[:limit])
    tasks = find_many({row.task_id for row in rows if row.task_id})
    return [_firing(schedule, row, tasks) for row in rows]


def _firing(schedule: Schedule, row: Firing, tasks: dict[str, StoredTask]) -> dict[str, Any]:
    return {
        "slot": _iso(schedule, row.slot_us),
        "fired": _iso(schedule, row.fired_us),
        "manual": row.is_manual,
        "taskId": row.task_id or None,
        "status": outcome_of(row, tasks.get(row.task_id)),
        "reason": row.reason,
    }


def outcome_of(row: Firing, stored: StoredTask | None) -> str:
    """The status of a firing's task, "skipped" if there was none, "unknown" if it is gone."""
    if not row.task_id:
        return "skipped"
    return stored.state.status.value if stored else "unknown"


def last_firings(schedules: Iterable[Schedule]) -> dict[int, Firing]:
    """The newest firing of each, by the schedule's key."""
    found = {}
    for schedule in schedules:  # each is one look into an index
        if row := schedule.firings.order_by("-id").first():
            found[schedule.pk] = row
    return found
