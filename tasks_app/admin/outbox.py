"""Tasks that were committed and are not in Redis yet: normally none."""

from django.contrib import admin
from unfold.decorators import display

from ..message import TaskMessage, moment
from ..models import UNREADABLE_ERRORS, Outbox
from ..secrecy.sensitive import shown_definition
from .readonly import ReadOnlyAdmin
from .text import block, cut, isolated


@admin.register(Outbox)
class OutboxAdmin(ReadOnlyAdmin):
    """Oldest first; of the default database."""

    list_display = ("id", "type", "enqueued_at", "tries", "why")
    fields = ("id", "type", "enqueued_at", "durability", "tries", "why", "definition_text")
    readonly_fields = fields
    ordering = ("id",)
    sortable_by = ()

    @display(description="type")
    def type(self, row: Outbox) -> str:
        try:
            return isolated(TaskMessage.decode(bytes(row.definition)).type)
        except UNREADABLE_ERRORS:
            return ""

    @display(description="enqueued")
    def enqueued_at(self, row: Outbox):
        return moment(row.created_us)

    @display(description="refused because")
    def why(self, row: Outbox) -> str:
        return isolated(row.reason)

    @display(description="definition")
    def definition_text(self, row: Outbox) -> str:
        return block(cut(shown_definition(bytes(row.definition))))
