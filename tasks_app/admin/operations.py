"""Bulk operations: who did what to how many tasks, and when."""

import json

from django.contrib import admin
from unfold.decorators import display

from ..models import Operation
from .readonly import ReadOnlyAdmin
from .text import block, isolated

COLOURS = {
    "done": "success", "running": "info", "pending": "info", "cancelled": "warning",
    "failed": "danger",
}  # fmt: skip


@admin.register(Operation)
class OperationAdmin(ReadOnlyAdmin):
    """Newest first. What is kept for how long says ``RETENTION``."""

    list_display = ("created_at", "what", "by", "stage", "matched", "done", "skipped", "failed")
    fields = (
        "id", "what", "by", "stage", "filter_text", "expected", "matched", "done", "skipped",
        "failed", "said", "created_at", "started_at", "ended_at",
    )  # fmt: skip
    readonly_fields = fields
    ordering = ("-id",)
    sortable_by = ()
    list_filter = ("action", "state")

    @display(description="action")
    def what(self, row: Operation) -> str:
        to = next(iter(row.parameters.values()), None)
        return isolated(row.action if to is None else f"{row.action}: {to}")

    @display(description="by")
    def by(self, row: Operation) -> str:
        return isolated(row.who)

    @display(description="state", label=COLOURS)
    def stage(self, row: Operation) -> str:
        return row.state

    @display(description="filter")
    def filter_text(self, row: Operation) -> str:
        return block(json.dumps(row.filter, indent=1, ensure_ascii=False))

    @display(description="message")
    def said(self, row: Operation) -> str:
        return isolated(row.message)
