"""A list that costs the same on every page: no COUNT, no OFFSET, no order but that of the ids.

The page number in the address is the id that a page starts below. A page that cannot be read
from one index alone looks at the newest ``WINDOW`` rows of its most selective filter, shows what
it found there, and the next page goes on below.
"""

from typing import Any
from uuid import UUID

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Coalesce
from django.db.models.lookups import Exact
from django.http import HttpRequest

WINDOW = 50_000  # rows that one page may look at; some 0.2 s on SQLite


class EqualFilter(SimpleListFilter):
    """One value of one field that has an index together with the id."""

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        value = self.value()
        return queryset.filter(**{self.parameter_name: value}) if value else queryset

    def value(self) -> str | None:
        value = super().value()
        return value.replace("\0", "") if value else None  # which Postgres refuses


class Links:
    """What the pagination template needs in the place of a paginator."""

    template_name = "tasks_app/admin/pagination.html"


def bounds_of(prefix: str) -> tuple[str, str] | None:
    """The lowest and the highest id that begin so; None if none can.

    Both are whole ids, so that a range between them means the same under any collation.
    """
    digits = prefix.strip().lower().replace("-", "")
    if not digits or len(digits) > 32 or digits.strip("0123456789abcdef"):
        return None
    return str(UUID(digits.ljust(32, "0"))), str(UUID(digits.ljust(32, "f")))


class KeysetList(ChangeList):
    """Newest first, from one index."""

    next_page: str | None = None

    def get_results(self, request: HttpRequest) -> None:
        self.before = self._page_start(request)
        rows, floor = self._rows(request)
        found = list(rows[: self.list_per_page + 1])
        self.result_list = found[: self.list_per_page]
        if len(found) > self.list_per_page:
            self.next_page = self.result_list[-1].pk
        else:
            self.next_page = floor or None
        self.result_count = self.full_result_count = len(self.result_list)
        self.show_full_result_count = self.can_show_all = self.multi_page = False
        self.show_admin_actions = True
        self.paginator = Links()
        self.model_admin.complete(self.result_list)

    @property
    def next_url(self) -> str:
        return self.get_query_string({PAGE_VAR: self.next_page})

    @property
    def first_url(self) -> str:
        return self.get_query_string()

    def _page_start(self, request: HttpRequest) -> str:
        bounds = bounds_of(request.GET.get(PAGE_VAR, ""))
        return bounds[0] if bounds and request.GET[PAGE_VAR] == bounds[0] else ""

    def _rows(self, request: HttpRequest) -> tuple[QuerySet, str]:
        """The rows of this page and below, and the id at which it stops looking ("": never)."""
        start = self.root_queryset.filter(pk__lt=self.before) if self.before else self.root_queryset
        start, _ = self.model_admin.get_search_results(request, start, self.query)
        start = start.order_by("-pk")
        equal = {
            spec.parameter_name: spec.value()
            for spec in self.filter_specs
            if isinstance(spec, EqualFilter) and spec.value()
        }
        others = [
            spec for spec in self.filter_specs if not isinstance(spec, EqualFilter) and spec.value()
        ]
        if not others and len(equal) < 2:
            return start.filter(**equal), ""
        lead, floor = self._lead(start, equal)
        rows = start.filter(**lead, pk__gte=floor)
        for name, value in equal.items():
            if name not in lead:  # not by its index: only the leader's bounds what is looked at
                rows = rows.filter(Exact(Coalesce(F(name), Value("")), value))
        for spec in others:
            rows = spec.queryset(request, rows)
        return rows, floor

    def _lead(self, start: QuerySet, equal: dict[str, str]) -> tuple[dict[str, str], str]:
        """The filter whose window reaches furthest down, and where that ends."""
        leads: list[dict[str, str]] = [{name: value} for name, value in equal.items()] or [{}]
        floors = [(self._floor(start.filter(**lead)), n) for n, lead in enumerate(leads)]
        floor, n = min(floors)
        return leads[n], floor

    @staticmethod
    def _floor(rows: QuerySet) -> str:
        return next(iter(rows.values_list("pk", flat=True)[WINDOW : WINDOW + 1]), "")


class KeysetMixin:
    """For a ModelAdmin whose primary key is a UUID that sorts by time."""

    list_per_page = 50
    sortable_by = ()
    search_fields = ("id",)  # that there are some shows the field
    search_help_text = "Id, or its beginning"

    def get_changelist(self: ModelAdmin, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        if not search_term.strip():
            return queryset, False
        bounds = bounds_of(search_term)
        return (queryset.filter(pk__range=bounds) if bounds else queryset.none()), False

    def lookup_allowed(self: ModelAdmin, lookup: str, value: Any, request: HttpRequest) -> bool:
        return lookup in {each.parameter_name for each in self.list_filter}

    def complete(self, rows: list[Any]) -> None:
        """Add to the rows of a page what the database does not know."""
