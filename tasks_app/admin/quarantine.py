"""Tasks that the database refused, as they were."""

from django.contrib import admin
from unfold.decorators import display

from ..models import Quarantine
from .readonly import ReadOnlyAdmin
from .text import block, cut, isolated


@admin.register(Quarantine)
class QuarantineAdmin(ReadOnlyAdmin):
    """Newest first."""

    list_display = ("task_id", "why", "created_at")
    fields = ("task_id", "why", "created_at", "definition_text", "state_text")
    readonly_fields = fields
    ordering = ("-id",)
    sortable_by = ()

    @display(description="reason")
    def why(self, row: Quarantine) -> str:
        return isolated(cut(row.reason, 500))

    @display(description="definition")
    def definition_text(self, row: Quarantine) -> str:
        return block(_readable(row.definition))

    @display(description="state")
    def state_text(self, row: Quarantine) -> str:
        return block(_readable(row.state))


def _readable(raw: bytes) -> str:
    return cut(bytes(raw).decode(errors="backslashreplace"))
