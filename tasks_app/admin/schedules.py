"""Schedules: made, changed, paused and run here; and what became of their slots."""

from dataclasses import fields, replace
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminSplitDateTimeWidget

from .. import registry
from ..api.permissions import OPERATE
from ..exceptions import ScheduleNotFound, TaskSystemError
from ..message import moment, now_us, us_of
from ..models import Firing, Schedule
from ..schedules import operations, view
from ..schedules.definition import Definition, errors_of, project_zone
from ..schedules.policies import Source
from ..schedules.sealed import kept, shown_of
from ..schedules.timing import zones
from .readonly import ReadOnlyAdmin
from .text import NONE, block, clock, isolated, pretty

# What the form calls a field of a Definition, if that is something else.
FORM_NAMES = {"starts_us": "starts", "ends_us": "ends"}
WRITTEN = (
    "name", "type", "args", "kwargs", "queue", "priority", "options", "cron", "every", "timezone",
    "catch_up", "catch_up_most", "overlap", "enabled",
)  # fmt: skip


# What may be sensitive -> what shows it, where it is only shown.
HIDING = {"args": "args_shown", "kwargs": "kwargs_shown", "options": "options_shown"}


class ScheduleForm(forms.ModelForm):
    """The columns of a Definition; checked as everywhere."""

    starts = forms.SplitDateTimeField(
        required=False, widget=UnfoldAdminSplitDateTimeWidget, help_text=_("no slot before")
    )
    ends = forms.SplitDateTimeField(
        required=False, widget=UnfoldAdminSplitDateTimeWidget, help_text=_("no slot after")
    )

    class Meta:
        model = Schedule
        fields = WRITTEN

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if "type" not in self.fields:  # it is only shown
            return
        self.fields["type"].widget.choices = _choices(registry.task_types(), self.instance.type)
        self.fields["timezone"].widget.choices = _choices(zones(), self.instance.timezone)
        self.fields["every"].required = False
        self.fields["starts"].initial = moment(self.instance.starts_us)
        self.fields["ends"].initial = moment(self.instance.ends_us)
        if self.instance.pk is None:
            self.initial["timezone"] = project_zone()
        else:
            self.initial |= shown_of(self.instance)._asdict()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if self.errors or "type" not in self.fields:
            return cleaned
        for name, empty in (("every", 0), ("args", []), ("kwargs", {}), ("options", {})):
            cleaned[name] = cleaned[name] or empty
        self.definition = Definition(
            **{each.name: cleaned[each.name] for each in fields(Definition) if each.name in cleaned}
            | {f"{n}_us": us_of(cleaned[n]) if cleaned[n] else 0 for n in ("starts", "ends")}
        )
        if not isinstance(self.definition.args, list):
            self.add_error("args", _("Must be a list."))
            return cleaned
        if not isinstance(self.definition.kwargs, dict):
            self.add_error("kwargs", _("Must be an object."))
            return cleaned
        if self.instance.pk is not None:
            self._keep_hidden()
        for name, sentences in errors_of(self.definition).items():
            self.add_error(FORM_NAMES.get(name, name), sentences)
        return cleaned

    def _keep_hidden(self) -> None:
        """What the form showed as redacted, and nobody changed, stays as it is."""
        try:
            columns = kept(self.definition.type, self.definition.columns, self.instance)
        except TaskSystemError as error:
            self.add_error(None, str(error))
        else:
            self.definition = replace(self.definition, **columns._asdict())

    def _post_clean(self) -> None:
        """Change the row only when all is well, and plan it anew if its slots change."""
        definition = getattr(self, "definition", None)
        if definition is not None and not self.errors:
            try:
                definition.put_into(self.instance, now_us())
            except TaskSystemError as error:
                self.add_error(None, str(error))
        for name in ("args", "kwargs", "options"):  # as the row has them, maybe encrypted
            if name in self.cleaned_data:
                self.cleaned_data[name] = getattr(self.instance, name)
        super()._post_clean()


def _choices(names: Any, present: str) -> list[tuple[str, str]]:
    """The names, and the present one even if it is none of them."""
    return [(name, name) for name in sorted({*names, present} - {""})]


@admin.register(Schedule)
class ScheduleAdmin(ModelAdmin):
    """Whoever may see tasks sees schedules; whoever may operate makes and changes them.

    Of one that code or settings declare only the pause can be changed.
    """

    form = ScheduleForm
    list_display = ("name", "words_shown", "state", "next_shown", "last_shown", "source")
    ordering = ("name",)
    sortable_by = ("name",)
    search_fields = ("name", "type")
    list_filter = ("source", "enabled")
    actions = ("pause", "resume", "run")
    shown = ("words_shown", "preview", "last_shown", "source", "is_declared")

    def get_fields(self, request: HttpRequest, obj: Schedule | None = None) -> tuple[str, ...]:
        names = (*WRITTEN[:10], "starts", "ends", *WRITTEN[10:], *(self.shown if obj else ()))
        if self._is_form(request, obj):
            return names
        return tuple(HIDING.get(name, name) for name in names)

    def get_readonly_fields(
        self, request: HttpRequest, obj: Schedule | None = None
    ) -> tuple[str, ...]:
        if obj is None or obj.source == Source.OPERATOR:
            return (*self.shown, *HIDING.values())
        names = (HIDING.get(name, name) for name in WRITTEN if name != "enabled")
        return (*names, "starts", "ends", *self.shown)

    def _is_form(self, request: HttpRequest, obj: Schedule | None) -> bool:
        """Whether its columns can be changed here; else they are only shown."""
        is_ours = obj is None or obj.source == Source.OPERATOR
        return is_ours and self.has_change_permission(request, obj)

    def formfield_for_dbfield(self, field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if field.name in ("type", "timezone"):
            kwargs["widget"] = UnfoldAdminSelectWidget()
        return super().formfield_for_dbfield(field, request, **kwargs)

    def save_model(
        self, request: HttpRequest, obj: Schedule, form: forms.ModelForm, change: bool
    ) -> None:
        if change and "enabled" in form.changed_data and obj.enabled:
            obj.plan(now_us())  # what was due during the pause is not caught up
        if not change:
            obj.source = Source.OPERATOR
        obj.save()
        self.message_user(request, _("Next: %(next)s") % {"next": _next(obj)})

    # --- what is shown ---

    @display(description="when")
    def words_shown(self, row: Schedule) -> str:
        return isolated(row.words)

    @display(description="state", label={"active": "success", "paused": "warning"})
    def state(self, row: Schedule) -> str:
        return view.state_of(row)

    @display(description="next")
    def next_shown(self, row: Schedule) -> str:
        coming = view.next_us(row, 1)
        if not coming:
            return NONE
        return format_html('<span title="{}">{}</span>', _next(row), view.clock(row, coming[0]))

    @display(description="next five times")
    def preview(self, row: Schedule) -> str:
        return _next(row)

    @display(description="last")
    def last_shown(self, row: Schedule) -> str:
        return view.clock(row, row.last_us) if row.last_us else NONE

    @display(description="args")
    def args_shown(self, row: Schedule) -> str:
        return block(pretty(shown_of(row).args))

    @display(description="kwargs")
    def kwargs_shown(self, row: Schedule) -> str:
        return block(pretty(shown_of(row).kwargs))

    @display(description="options")
    def options_shown(self, row: Schedule) -> str:
        return block(pretty(shown_of(row).options))

    @display(description="starts")
    def starts(self, row: Schedule) -> str:
        return clock(moment(row.starts_us))

    @display(description="ends")
    def ends(self, row: Schedule) -> str:
        return clock(moment(row.ends_us))

    # --- what is done ---

    @admin.action(description=_("Pause"))
    def pause(self, request: HttpRequest, rows: QuerySet[Schedule]) -> None:
        self._each(request, rows, lambda row: operations.set_enabled(row.name, False))

    @admin.action(description=_("Resume"))
    def resume(self, request: HttpRequest, rows: QuerySet[Schedule]) -> None:
        self._each(request, rows, lambda row: operations.set_enabled(row.name, True))

    @admin.action(description=_("Run now"))
    def run(self, request: HttpRequest, rows: QuerySet[Schedule]) -> None:
        self._each(request, rows, lambda row: operations.run_now(row.name))

    def _each(self, request: HttpRequest, rows: QuerySet[Schedule], do: Any) -> None:
        if not request.user.has_perm(OPERATE):
            self.message_user(request, _("You may not do that."), messages.ERROR)
            return
        done = 0
        for row in rows:
            try:
                do(row)
                done += 1
            except ScheduleNotFound:
                continue
            except TaskSystemError as error:
                self.message_user(request, f"{row.name}: {error}", messages.ERROR)
        self.message_user(request, _("Done with %(count)d.") % {"count": done})

    # --- who may ---

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return ReadOnlyAdmin.has_view_permission(self, request, obj)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(OPERATE)

    def has_change_permission(self, request: HttpRequest, obj: Schedule | None = None) -> bool:
        return request.user.has_perm(OPERATE)

    def has_delete_permission(self, request: HttpRequest, obj: Schedule | None = None) -> bool:
        is_ours = obj is None or obj.source == Source.OPERATOR or not obj.is_declared
        return is_ours and obj is not None and request.user.has_perm(OPERATE)


@admin.register(Firing)
class FiringAdmin(ReadOnlyAdmin):
    """Newest first."""

    list_display = ("slot", "of", "fired", "is_manual", "task_id", "why")
    fields = ("of", "slot", "fired", "is_manual", "task_id", "why")
    readonly_fields = fields
    list_select_related = ("schedule",)
    list_filter = ("schedule",)
    ordering = ("-id",)
    sortable_by = ()

    @display(description="schedule")
    def of(self, row: Firing) -> str:
        return isolated(row.schedule.name)

    @display(description="due")
    def slot(self, row: Firing) -> str:
        return view.clock(row.schedule, row.slot_us)

    @display(description="fired")
    def fired(self, row: Firing) -> str:
        return clock(row.fired_at)

    @display(description="reason")
    def why(self, row: Firing) -> str:
        return isolated(row.reason) if row.reason else NONE


def _next(schedule: Schedule) -> str:
    coming = view.next_us(schedule)
    return ", ".join(view.clock(schedule, us) for us in coming) or _(
        "not while it is paused or over"
    )
