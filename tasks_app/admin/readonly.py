"""An admin page that shows what the system wrote and lets nobody change it."""

from typing import Any

from django.contrib.admin import ShowFacets
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator

from ..api.permissions import VIEW


class ReadOnlyAdmin(ModelAdmin):
    """Read with the permission ``tasks_app.view_task``, never written."""

    list_disable_select_all = True
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # they count
    paginator = InfinitePaginator  # which does not

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(VIEW)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
