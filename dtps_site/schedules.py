"""The page of schedules: when each is due, and what came of the last time."""

from datetime import datetime
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

from tasks_app.api import loopback
from tasks_app.api.permissions import OPERATE, VIEW
from tasks_app.exceptions import QueueUnavailable
from tasks_app.lookup import find_many
from tasks_app.message import now_us
from tasks_app.models import Firing, Schedule
from tasks_app.schedules import view
from tasks_app.words import span


@require_safe
@never_cache
@ensure_csrf_cookie
def schedules_page(request: HttpRequest) -> HttpResponse:
    """All schedules by name: complete without JavaScript, which brings the controls."""
    user = loopback.LocalUser() if loopback.admits(request) else request.user
    if not user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    if not user.has_perm(VIEW):
        raise PermissionDenied
    context = {"person": user, "may_operate": user.has_perm(OPERATE)}
    return render(request, "dtps/schedules.html", context | _shown())


def _shown() -> dict[str, Any]:
    schedules = list(Schedule.objects.order_by("name"))
    last = view.last_firings(schedules)
    try:
        tasks, trouble = find_many({row.task_id for row in last.values() if row.task_id}), ""
    except QueueUnavailable as error:
        tasks, trouble = {}, str(error)
    rows = [_row(each, last.get(each.pk), tasks) for each in schedules]
    return {"schedules": rows, "trouble": trouble}


def _row(schedule: Schedule, last: Firing | None, tasks: dict[str, Any]) -> dict[str, Any]:
    coming = view.next_us(schedule)
    now = now_us()
    return {
        "schedule": schedule,
        "coming": [clock(view.local(schedule, us)) for us in coming],
        "next_in": _in_words(coming[0] - now) if coming else "",
        "last": last,
        "outcome": last and view.outcome_of(last, tasks.get(last.task_id)),
        "ago": last and f"{span((now - last.fired_us) / 1e6)} ago",
    }


def _in_words(us: int) -> str:
    return "now" if us < 1_000_000 else f"in {span(us / 1e6)}"


def clock(at: datetime | None) -> str:
    """A slot in its own time zone: "Fri 27 Nov 09:00:00 CET"; the year if it is another one."""
    if at is None:
        return ""
    year = "" if at.year == datetime.now(at.tzinfo).year else f" {at.year}"
    seconds = f":{at.second:02}" if at.second else ""
    return f"{at:%a} {at.day} {at:%b}{year} {at:%H:%M}{seconds} {at:%Z}"
