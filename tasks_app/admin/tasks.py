"""Tasks with their attempts: looked at, retried and cancelled."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm

from .. import actions, lookup
from ..api.permissions import OPERATE
from ..exceptions import QueueUnavailable, TaskSystemError
from ..message import Attempt
from ..models import TaskRecord, moment
from ..note import note_of
from ..remarks import NOTHING, Line, Remarks
from ..secrecy.sensitive import shown_call, shown_result
from ..states import FINAL, HELD, OPEN, Status
from .filters import LevelFilter, QueueFilter, StatusFilter, TypeFilter
from .keyset import KeysetMixin
from .overlay import lay_over, stored
from .readonly import ReadOnlyAdmin
from .text import NONE, block, clock, cut, isolated, pretty, seconds

COLOURS = {
    Status.COMPLETED: "success",
    Status.FAILED: "danger",
    Status.RETRYING: "warning",
    Status.EXPIRED: "warning",
    Status.ASSIGNED: "info",
    Status.PROCESSING: "info",
}
UNREADABLE = _("What is stored of this task cannot be read by this version.")


@admin.register(TaskRecord)
class TaskAdmin(KeysetMixin, ReadOnlyAdmin):
    """Every row with what Redis says of it, where that is newer."""

    list_display = (
        "status_shown", "id_shown", "type_shown", "queue_shown", "level", "submitted", "took",
        "error_shown",
    )  # fmt: skip
    list_display_links = ("id_shown",)
    list_filter = (StatusFilter, TypeFilter, QueueFilter, LevelFilter)
    list_fullwidth = True
    change_form_after_template = "tasks_app/admin/attempts.html"
    actions = ("retry_selected", "cancel_selected")
    actions_detail = ("retry_this", "cancel_this")
    readonly_fields = (
        "id", "type_shown", "queue_shown", "level", "status_now", "note", "source", "worker_shown",
        "submitted", "started", "finished", "waited", "took", "due", "expires", "late",
        "failed_times", "run", "tags", "progress", "arguments", "result", "checkpoint",
        "log",
    )  # fmt: skip
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "id",
                    "type_shown",
                    "queue_shown",
                    "level",
                    "status_now",
                    "note",
                    "source",
                )
            },
        ),
        (
            _("Course"),
            {
                "fields": (
                    ("submitted", "started", "finished"),
                    ("waited", "took", "worker_shown"),
                    ("due", "expires", "late"),
                    ("failed_times", "run", "progress"),
                    "tags",
                )
            },
        ),
        (_("Input and output"), {"fields": ("arguments", "result")}),
        (_("What it said"), {"fields": ("checkpoint", "log")}),
    )

    def has_operate_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(OPERATE)

    def get_queryset(self, request: HttpRequest) -> QuerySet[TaskRecord]:
        rows = super().get_queryset(request)
        if request.resolver_match and request.resolver_match.url_name.endswith("_changelist"):
            return rows.defer("definition", "state")  # up to megabytes each
        return rows

    def get_object(self, request: HttpRequest, *args: Any, **kwargs: Any) -> TaskRecord | None:
        task = super().get_object(request, *args, **kwargs)
        if task is not None:
            lay_over([task])
            task.said = _said(task)
        return task

    def complete(self, rows: list[TaskRecord]) -> None:
        lay_over([row for row in rows if row.status in OPEN])

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        context |= _attempts(context["original"])
        return super().render_change_form(request, context, *args, **kwargs)

    # --- columns and fields ---

    @display(description=_("id"))
    def id_shown(self, task: TaskRecord) -> str:
        return format_html('<span class="whitespace-nowrap">{}</span>', task.pk)

    @display(description=_("type"))
    def type_shown(self, task: TaskRecord) -> str:
        return isolated(cut(task.type, 100))

    @display(description=_("queue"))
    def queue_shown(self, task: TaskRecord) -> str:
        return isolated(cut(task.queue, 64))

    @display(description=_("priority"))
    def level(self, task: TaskRecord) -> int:
        return task.level

    @display(description=_("status"), label=COLOURS)
    def status_shown(self, task: TaskRecord) -> tuple[str, str]:
        return task.status, Status(task.status).label

    @display(description=_("status"))
    def status_now(self, task: TaskRecord) -> str:
        return str(Status(task.status).label)

    @display(description=_("what that means"))
    def note(self, task: TaskRecord) -> str:
        known = stored(task)
        return (note_of(known.state) if known else "") or NONE

    @display(description=_("according to"))
    def source(self, task: TaskRecord) -> str:
        return task.source

    @display(description=_("worker"))
    def worker_shown(self, task: TaskRecord) -> str:
        holds = task.live.state.worker if task.live else ""
        return isolated(holds or task.worker or NONE)

    @display(description=_("submitted"))
    def submitted(self, task: TaskRecord) -> str:
        return clock(task.submitted_at)

    @display(description=_("started"))
    def started(self, task: TaskRecord) -> str:
        return clock(task.started_at)

    @display(description=_("finished"))
    def finished(self, task: TaskRecord) -> str:
        return clock(task.finished_at)

    @display(description=_("waited"))
    def waited(self, task: TaskRecord) -> str:
        return seconds(task.started_us - task.submitted_us) if task.started_us else NONE

    @display(description=_("took"))
    def took(self, task: TaskRecord) -> str:
        if not (task.started_us and task.finished_us and task.status in FINAL):
            return NONE
        return seconds(task.finished_us - task.started_us)

    @display(description=_("due"))
    def due(self, task: TaskRecord) -> str:
        known = stored(task)
        return clock(moment(known.message.deadline_us)) if known else NONE

    @display(description=_("tags"))
    def tags(self, task: TaskRecord) -> str:
        known = stored(task)
        words = ", ".join(known.message.tags) if known else ""
        return isolated(words) if words else NONE

    @display(description=_("expires"))
    def expires(self, task: TaskRecord) -> str:
        known = stored(task)
        return clock(moment(known.message.expires_us)) if known else NONE

    @display(description=_("late"))
    def late(self, task: TaskRecord) -> str:
        return str(_("yes") if task.deadline_missed else _("no"))

    @display(description=_("failures"))
    def failed_times(self, task: TaskRecord) -> str:
        known = stored(task)
        return f"{task.failures} / {known.message.max_attempts}" if known else str(task.failures)

    @display(description=_("error"))
    def error_shown(self, task: TaskRecord) -> str:
        return isolated(cut(task.error, 100))

    @display(description=_("arguments"))
    def arguments(self, task: TaskRecord) -> str:
        known = stored(task)
        if known is None:
            return str(UNREADABLE)
        args, kwargs = shown_call(known.message)
        return block(pretty({"args": args, "kwargs": kwargs}))

    @display(description=_("result"))
    def result(self, task: TaskRecord) -> str:
        known = stored(task)
        done = [a for a in (known.state.attempts if known else []) if a.outcome == Status.COMPLETED]
        if not done or known.state.status != Status.COMPLETED:
            return NONE
        return block(pretty(shown_result(known.message, done[-1])))

    @display(description=_("progress"))
    def progress(self, task: TaskRecord) -> str:
        far = task.said.progress
        if far is None:
            return NONE
        total = "" if far.total is None else f" / {far.total:g}"
        return isolated(f"{far.done:g}{total} {far.note}".rstrip())

    @display(description=_("checkpoint"))
    def checkpoint(self, task: TaskRecord) -> str:
        return NONE if task.said.state is None else block(pretty(task.said.state))

    @display(description=_("log"))
    def log(self, task: TaskRecord) -> str:
        lines = [_line(line) for line in task.said.log]
        return block(cut("\n".join(lines))) if lines else NONE

    # --- orders ---

    @admin.action(description=_("Retry the selected tasks"), permissions=["operate"])
    def retry_selected(self, request: HttpRequest, queryset: QuerySet) -> None:
        _tell(request, _retry(_selected(request)))

    @admin.action(description=_("Cancel the selected tasks"), permissions=["operate"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet) -> None:
        _tell(request, _cancel(_selected(request), request.user))

    @action(
        description=_("Retry"),
        icon="replay",
        permissions=["operate"],
        dialog={"title": _("Retry"), "description": _("Run this finished task once more?")},
    )
    def retry_this(
        self, request: HttpRequest, form: BaseDialogForm, object_id: str
    ) -> HttpResponse:
        _tell(request, _retry([object_id]))
        return _back_to(request, object_id)

    @action(
        description=_("Cancel"),
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["operate"],
        dialog={
            "title": _("Cancel"),
            "description": _(
                "End this task? If it runs, it is interrupted; what it returns is not recorded."
            ),
        },
    )
    def cancel_this(
        self, request: HttpRequest, form: BaseDialogForm, object_id: str
    ) -> HttpResponse:
        _tell(request, _cancel([object_id], request.user))
        return _back_to(request, object_id)


def _said(task: TaskRecord) -> Remarks:
    """What the task said of itself; without Redis, as far as the history knows."""
    try:
        return lookup.find_remarks(task.pk)
    except QueueUnavailable:
        return lookup.recorded_remarks([task.pk]).get(task.pk, NOTHING)


def _line(line: Line) -> str:
    return " ".join(filter(None, (clock(moment(line.at_us)), line.level, line.logger, line.text)))


Report = list[tuple[int, str]]  # level and sentence


def _selected(request: HttpRequest) -> list[str]:
    """What was ticked on this page; whether it can be done, Redis decides for each."""
    return request.POST.getlist(admin.helpers.ACTION_CHECKBOX_NAME)


def _attempts(task: TaskRecord) -> dict[str, Any]:
    """What the table of attempts needs."""
    known = stored(task)
    return {
        "is_readable": known is not None,
        "attempts": [_attempt_row(each) for each in known.state.attempts] if known else [],
        "holder": known.state.worker if known and known.state.status in HELD else "",
    }


def _attempt_row(attempt: Attempt) -> dict[str, Any]:
    ran_us = attempt.ended_us - attempt.started_us if attempt.started_us else 0
    return {
        "it": attempt,
        "started": clock(moment(attempt.started_us)),
        "ended": clock(moment(attempt.ended_us)),
        "took": seconds(ran_us) if attempt.started_us else NONE,
        "error": cut(attempt.error, 2000),
        "traceback": cut(attempt.traceback),
        "mebibytes": f"{attempt.memory_bytes / 2**20:.1f}" if attempt.memory_bytes else NONE,
    }


def _retry(ids: list[str]) -> Report:
    return _each(ids, actions.retry, _("Retried"))


def _cancel(ids: list[str], user: Any) -> Report:
    return _each(ids, partial(actions.cancel, by=user.get_username()), _("Cancelled"))


def _each(ids: list[str], order: Callable[[str], object], done: str) -> Report:
    count, report = 0, []
    for task_id in ids:
        try:
            order(task_id)
            count += 1
        except TaskSystemError as error:
            report.append((messages.ERROR, f"{task_id}: {error}"))
    return [*([(messages.SUCCESS, f"{done}: {count}")] if count else []), *report[:10]]


def _tell(request: HttpRequest, report: Report) -> None:
    for level, sentence in report:
        messages.add_message(request, level, sentence)


def _back_to(request: HttpRequest, object_id: str) -> HttpResponse:
    address = reverse("admin:tasks_app_taskrecord_change", args=[object_id])
    if "HX-Request" in request.headers:  # the dialog's own script
        return HttpResponse(headers={"HX-Redirect": address})
    return HttpResponseRedirect(address)
