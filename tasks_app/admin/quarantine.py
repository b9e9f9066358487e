"""Tasks that the database refused, as they were."""

from django.contrib import admin
from unfold.decorators import display

from ..models import Quarantine
from ..secrecy.sensitive import shown_definition, shown_state
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
        return block(cut(shown_definition(bytes(row.definition))))

    @display(description="state")
    def state_text(self, row: Quarantine) -> str:
        return block(cut(shown_state(bytes(row.definition), bytes(row.state))))
