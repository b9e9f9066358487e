"""Workflows: how far each is, and its tasks."""

from django.contrib import admin
from unfold.decorators import display

from ..models import WorkflowRecord
from ..workflows import view
from .readonly import ReadOnlyAdmin
from .text import block, isolated

COLOURS = {"open": "info", "completed": "success", "failed": "danger", "cancelled": "warning"}
MOST_TASKS = 200  # shown


@admin.register(WorkflowRecord)
class WorkflowAdmin(ReadOnlyAdmin):
    """Newest first. It is cancelled and retried on its own page, and over the API."""

    list_display = ("id", "called", "state", "far", "created_at")
    fields = (
        "id", "called", "state", "far", "statuses", "on_failure", "layers", "created_at", "tasks",
    )  # fmt: skip
    readonly_fields = fields
    ordering = ("-id",)
    sortable_by = ()
    list_per_page = 20  # the tasks of each are counted

    @display(description="name")
    def called(self, row: WorkflowRecord) -> str:
        return isolated(row.name)

    @display(description="state", label=COLOURS)
    def state(self, row: WorkflowRecord) -> str:
        return _shown(row)["state"]

    @display(description="tasks that have ended")
    def far(self, row: WorkflowRecord) -> str:
        return f"{_shown(row)['done']:,} of {row.total:,}"

    @display(description="tasks")
    def statuses(self, row: WorkflowRecord) -> str:
        return ", ".join(f"{n:,} {status}" for status, n in _shown(row)["statuses"].items())

    @display(description="the first of them")
    def tasks(self, row: WorkflowRecord) -> str:
        found, _ = view.tasks(row.id, -1, MOST_TASKS)
        return block("\n".join(f"{t['task_id']}  {t['status']:<10}  {t['name']}" for t in found))


def _shown(row: WorkflowRecord) -> dict:
    """Counted once for each row."""
    if not hasattr(row, "shown"):
        row.shown = view.shown(row)
    return row.shown
