"""Who may do what: see, submit, or operate."""

from django.http import HttpRequest
from rest_framework.permissions import BasePermission

VIEW = "tasks_app.view_task"
SUBMIT = "tasks_app.submit_task"
OPERATE = "tasks_app.operate_task"


class MayDo(BasePermission):
    """The permission that the view's ``needs`` names for a method; without one, a login."""

    def has_permission(self, request: HttpRequest, view: object) -> bool:
        if not request.user or not request.user.is_authenticated:
            return False
        method = "GET" if request.method == "HEAD" else request.method
        needed = getattr(view, "needs", {}).get(method)
        return needed is None or request.user.has_perm(needed)
