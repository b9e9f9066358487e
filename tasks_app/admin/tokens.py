"""Keys to the API: made here, shown once, withdrawn by deleting."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin

from ..digest import digest_of, new_key, prefix_of
from ..models import ApiToken


@admin.register(ApiToken)
class TokenAdmin(ModelAdmin):
    """Who may see tokens sees and makes his own; a superuser those of everybody.

    A token acts as its user, so to make one for another user is to become him.
    """

    list_display = ("name", "prefix", "user", "created_at", "expires_at", "last_used_at")
    list_select_related = ("user",)
    ordering = ("-id",)
    fields = ("name", "user", "expires_at", "prefix", "created_at", "last_used_at")
    readonly_fields = ("prefix", "created_at", "last_used_at")
    search_fields = ("prefix", "name")
    list_disable_select_all = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiToken]:
        tokens = super().get_queryset(request)
        return tokens if request.user.is_superuser else tokens.filter(user=request.user)

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> tuple[str, ...]:
        if obj is not None:
            return self.fields
        return (
            ("name", "user", "expires_at") if request.user.is_superuser else ("name", "expires_at")
        )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        return False

    def save_model(
        self, request: HttpRequest, obj: ApiToken, form: ModelForm, change: bool
    ) -> None:
        key = new_key()
        obj.prefix, obj.digest = prefix_of(key), digest_of(key)
        if not request.user.is_superuser:
            obj.user = request.user
        super().save_model(request, obj, form, change)
        self.message_user(
            request,
            _("The key is %(key)s. Copy it now: it is not stored and cannot be shown again.")
            % {"key": key},
            messages.WARNING,
        )
