"""The pages of workflows: how far each is, and one drawn with its tasks."""

from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.dateparse import parse_datetime
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

from tasks_app.api import loopback
from tasks_app.api.permissions import OPERATE, VIEW
from tasks_app.exceptions import WorkflowNotFound
from tasks_app.workflows import get_workflow, view

PAGE = 20
TASKS = 100


@require_safe
@never_cache
@ensure_csrf_cookie
def workflows_page(request: HttpRequest) -> HttpResponse:
    """The newest workflows: complete without JavaScript."""
    return _page(request, "dtps/workflows.html", _list(request.GET.get("cursor", "")[:64]))


@require_safe
@never_cache
@ensure_csrf_cookie
def workflow_page(request: HttpRequest, workflow_id: str) -> HttpResponse:
    """One workflow with its tasks; JavaScript draws it."""
    try:
        record = get_workflow(workflow_id).record
    except WorkflowNotFound as error:
        raise Http404(str(error)) from error
    tasks, more = view.tasks(record.id, -1, TASKS)
    context = {"workflow": _with_moment(view.shown(record)), "tasks": tasks, "more": more}
    return _page(request, "dtps/workflow.html", context)


def _page(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    user = loopback.LocalUser() if loopback.admits(request) else request.user
    if not user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    if not user.has_perm(VIEW):
        raise PermissionDenied
    return render(
        request, template, {"person": user, "may_operate": user.has_perm(OPERATE)} | context
    )


def _list(cursor: str) -> dict[str, Any]:
    found, below = view.page(cursor, PAGE)
    return {"workflows": list(map(_with_moment, found)), "next": below, "cursor": cursor}


def _with_moment(shown: dict[str, Any]) -> dict[str, Any]:
    return shown | {"at": parse_datetime(shown["created_at"])}
