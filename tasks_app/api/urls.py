"""The API's addresses for tasks, below ``/api/``; each with and without a slash at its end."""

from collections.abc import Callable
from typing import Any

from django.urls import URLPattern, path

from ..operations import views as operations
from ..retention import views as retention
from ..schedules import views as schedules
from ..workflows import views as workflows
from . import views


def either(route: str, view: Callable[..., Any], name: str) -> list[URLPattern]:
    """Both forms of an address: a redirect from one to the other would lose a POST."""
    return [path(route, view, name=name), path(f"{route}/", view)]


urlpatterns = [
    *either("tasks/submit", views.SubmitView.as_view(), "task-submit"),
    *either("tasks/bulk", views.BulkView.as_view(), "task-bulk"),
    *either("tasks/status", views.StatusView.as_view(), "task-status"),
    *either("tasks", views.TasksView.as_view(), "tasks"),
    *either("tasks/<str:task_id>", views.TaskView.as_view(), "task"),
    *either("tasks/<str:task_id>/log", views.LogView.as_view(), "task-log"),
    *either("tasks/<str:task_id>/why", views.WhyView.as_view(), "task-why"),
    *either("tasks/<str:task_id>/cancel", views.CancelView.as_view(), "task-cancel"),
    *either("tasks/<str:task_id>/retry", views.RetryView.as_view(), "task-retry"),
    *either("task-types", views.TaskTypesView.as_view(), "task-types"),
    *either("queues", views.QueuesView.as_view(), "queues"),
    *either("queues/<str:name>/pause", views.PauseView.as_view(), "queue-pause"),
    *either("queues/<str:name>/resume", views.ResumeView.as_view(), "queue-resume"),
    *either("schedules", schedules.SchedulesView.as_view(), "schedules"),
    *either("schedules/<str:name>", schedules.ScheduleView.as_view(), "schedule"),
    *either("schedules/<str:name>/run", schedules.ScheduleRunView.as_view(), "schedule-run"),
    *either("schedules/<str:name>/pause", schedules.SchedulePauseView.as_view(), "schedule-pause"),
    *either(
        "schedules/<str:name>/resume", schedules.ScheduleResumeView.as_view(), "schedule-resume"
    ),
    *either("schedules/<str:name>/firings", schedules.FiringsView.as_view(), "schedule-firings"),
    *either("operations", operations.OperationsView.as_view(), "operations"),
    *either("operations/<str:operation_id>", operations.OperationView.as_view(), "operation"),
    *either(
        "operations/<str:operation_id>/cancel",
        operations.OperationCancelView.as_view(),
        "operation-cancel",
    ),
    *either("retention", retention.RetentionView.as_view(), "retention"),
    *either("workflows", workflows.WorkflowsView.as_view(), "workflows"),
    *either("workflows/<str:workflow_id>", workflows.WorkflowView.as_view(), "workflow"),
    *either(
        "workflows/<str:workflow_id>/graph", workflows.WorkflowGraphView.as_view(), "workflow-graph"
    ),
    *either(
        "workflows/<str:workflow_id>/cancel",
        workflows.WorkflowCancelView.as_view(),
        "workflow-cancel",
    ),
    *either(
        "workflows/<str:workflow_id>/retry", workflows.WorkflowRetryView.as_view(), "workflow-retry"
    ),
]
