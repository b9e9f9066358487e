"""Workers as the registrar last saw them."""

from django.contrib import admin
from unfold.decorators import display

from ..models import WorkerRecord
from .readonly import ReadOnlyAdmin
from .text import isolated

COLOURS = {"active": "success", "paused": "warning", "stopping": "warning", "inactive": "danger"}


@admin.register(WorkerRecord)
class WorkerAdmin(ReadOnlyAdmin):
    """A table of some hundred rows, with an index on when each was last seen."""

    list_display = ("id", "where", "state", "slots", "processed", "failed", "last_seen_at")
    fields = (
        "id", "where", "pid", "queues", "state", "slots", "processed", "failed",
        "started_at", "last_seen_at", "stopped_at",
    )  # fmt: skip
    readonly_fields = fields
    ordering = ("-last_seen_at",)
    sortable_by = ()

    @display(description="host")
    def where(self, worker: WorkerRecord) -> str:
        return isolated(worker.hostname)

    @display(description="status", label=COLOURS)
    def state(self, worker: WorkerRecord) -> str:
        return worker.status
