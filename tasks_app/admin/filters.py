"""What the list of tasks can be narrowed by: known words, never a look through the table."""

from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ..broker import broker
from ..exceptions import QueueUnavailable
from ..message import HIGHEST_PRIORITY, LEVELS, LOWEST_PRIORITY, level_of
from ..registry import task_types
from ..states import Status
from .keyset import EqualFilter

MOST_SHOWN = 100  # choices in one filter


class StatusFilter(EqualFilter):
    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return list(Status.choices)


class TypeFilter(EqualFilter):
    title = _("type")
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [(name, name) for name in sorted(task_types())[:MOST_SHOWN]]


class QueueFilter(EqualFilter):
    title = _("queue")
    parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        try:
            names = [queue.name for queue in broker().stats().queues]
        except QueueUnavailable:
            names = []
        return [(name, name) for name in dict.fromkeys(["default", *names[:MOST_SHOWN]])]


class LevelFilter(SimpleListFilter):
    """By level, which has no index: see the window of ``KeysetList``."""

    title = _("priority")
    parameter_name = "level"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [(str(level), str(level)) for level in reversed(LEVELS)]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        priorities = [
            each
            for each in range(LOWEST_PRIORITY, HIGHEST_PRIORITY + 1)
            if str(level_of(each)) == self.value()
        ]
        if not priorities:
            return queryset.none() if self.value() else queryset
        return queryset.filter(priority__range=(priorities[0], priorities[-1]))
