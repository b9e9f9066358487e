"""The pages."""

import json
from datetime import datetime
from typing import Any

from django.apps import apps
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.dateparse import parse_datetime
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

from tasks_app import registry
from tasks_app.api import loopback
from tasks_app.api.permissions import OPERATE, SUBMIT, VIEW
from tasks_app.api.submission import retries_of
from tasks_app.exceptions import QueueUnavailable
from tasks_app.message import level_of
from tasks_app.states import Status
from workers_app.live import snapshot as live

from .examples import EXAMPLES


@require_safe
@never_cache
@ensure_csrf_cookie
def live_page(request: HttpRequest) -> HttpResponse:
    """What goes on now: complete without JavaScript, and kept up to date with it."""
    user = loopback.LocalUser() if loopback.admits(request) else request.user
    if not user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    if not user.has_perm(VIEW):
        raise PermissionDenied
    context = {
        "person": user,
        "may_submit": user.has_perm(SUBMIT),
        "may_operate": user.has_perm(OPERATE),
        "task_types": _task_types(),
        "statuses": {status.value: str(status.label) for status in Status},
        "has_charts": apps.is_installed("unfold"),  # which brings Chart.js
    }
    return render(request, "dtps/live.html", context | _numbers())


def _numbers() -> dict[str, Any]:
    try:
        shown = live.snapshot()
    except QueueUnavailable as error:
        return {"trouble": str(error)}
    now_ms = _milliseconds(shown["at"])
    workers = list(shown["workers"].values())
    return {
        "snapshot": shown,
        "at": parse_datetime(shown["at"]),
        "workers": workers,
        "busy": sum(worker["activeTasks"] for worker in workers),
        "slots": sum(worker["slots"] for worker in workers if worker["status"] != "inactive"),
        "ended": shown["processed"] + shown["failed"],
        "latest": [task | {"times": _times(task, now_ms)} for task in shown["latest"]],
    }


def _times(task: dict[str, Any], now_ms: int) -> dict[str, Any]:
    started, finished = task.get("startedAt"), task.get("finishedAt")
    return {
        "ago": max(0, now_ms - task["submittedAt"]) // 1000,
        "took": finished - started if started and finished else None,
    }


def _milliseconds(at: str) -> int:
    return int(datetime.fromisoformat(at).timestamp() * 1000)


def _task_types() -> list[dict[str, Any]]:
    return [
        {
            "name": each.name,
            "doc": each.doc,
            "queue": each.queue,
            "priority": level_of(each.priority),
            "retries": retries_of(each),
            "example": _shown(EXAMPLES.get(each.name, "")),
        }
        for each in registry.task_types().values()
    ]


def _shown(example: Any) -> str:
    """As one would type it: a text without quotes, anything else as JSON."""
    return example if isinstance(example, str) else json.dumps(example)
