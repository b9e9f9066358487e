"""What requests may hold, and what answers hold."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from rest_framework import serializers
from rest_framework.settings import api_settings

from .. import registry
from ..broker.durability import MODES
from ..exceptions import UnknownTaskType
from ..options.dependence import IF_PARENT_FAILS
from ..options.limits import MOST_AT_ONCE
from ..states import Status
from .fields import (
    QUEUE,
    BackoffField,
    BooleanField,
    IdsField,
    IntegerField,
    JSONListField,
    JSONObjectField,
    JSONValueField,
    MomentField,
    NamesField,
    NumberField,
    PerField,
    QueueField,
    SensitiveField,
    TextField,
    UniqueField,
)
from .parsers import shown

MOST_RETRIES = 1000
MOST_SECONDS = 30 * 86_400  # of a timeout or a pause
LONGEST_NAME = 255
PAGE, MOST_ON_PAGE = 50, 200
MOST_IN_BULK = 1000


class StrictSerializer(serializers.Serializer):
    """Refuses names that it does not know, rather than ignore a misspelt option."""

    def to_internal_value(self, data: Any) -> Any:
        errors = self._unknown(data) if isinstance(data, Mapping) else {}
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError({**errors, **error.detail}) from error
        if errors:
            raise serializers.ValidationError(errors)
        return values

    def _unknown(self, data: Mapping[str, Any]) -> dict[str, list[str]]:
        return {
            shown(name)[:100]: [f"There is no such field.{_hint(name, self.fields)}"]
            for name in data
            if name not in self.fields
        }


def _hint(name: str, known: Mapping[str, Any]) -> str:
    guess = get_close_matches(name[:100], list(known), n=1)
    if guess:
        return f" Did you mean {guess[0]}?"
    return f" Known are: {', '.join(known)}." if known else ""


def durability() -> serializers.ChoiceField:
    return serializers.ChoiceField(
        MODES, required=False, help_text="What the answer promises: see guarantees; default `fast`."
    )


class SubmitSerializer(StrictSerializer):
    """One task to submit."""

    taskType = TextField(max_length=LONGEST_NAME, help_text="See `/api/task-types`.")
    payload = JSONValueField(help_text="Handed to the task as its first argument.")
    args = JSONListField(help_text="Positional arguments, instead of `payload`.")
    kwargs = JSONObjectField(help_text="Keyword arguments, instead of `payload`.")
    priority = IntegerField(
        required=False, min_value=1, max_value=10, help_text="10 is the most urgent; default 5."
    )
    retries = IntegerField(
        required=False, min_value=0, max_value=MOST_RETRIES,
        help_text="Attempts after the first one; default 3.",
    )  # fmt: skip
    queue = QueueField(required=False, help_text=f"`{QUEUE}`; default: that of the type.")
    deadline = MomentField(help_text="Due by then: orders the work; lateness is marked.")
    expires = MomentField(help_text="Begun by then, or never run.")
    runAfter = MomentField(help_text="Not before.")
    backoff = BackoffField(
        required=False,
        help_text="Seconds before the first retry, doubled each time; or a list of pauses; or an "
        "object with `kind` (exponential, linear, fixed, list), `seconds`, `steps`, `most`.",
    )
    retryOn = NamesField(
        help_text="Dotted paths of exceptions; after any other there is no retry. Default: all."
    )
    giveUpOn = NamesField(help_text="Dotted paths of exceptions after which there is no retry.")
    timeout = NumberField(
        required=False, min_value=0, max_value=MOST_SECONDS,
        help_text="Seconds that an attempt may take; 0: no bound.",
    )  # fmt: skip
    tags = NamesField(help_text="Words to find it by.")
    durability = durability()
    unique = UniqueField(
        required=False,
        help_text="At most one task of a key: true, if that is all arguments; names of some; or an "
        "object with `key` or `on`, `seconds` for how long (0: while it is open), and `duplicate` "
        "(existing, replace, refuse).",
    )
    debounce = NumberField(
        required=False, min_value=0, max_value=MOST_SECONDS,
        help_text="Seconds that it waits for a newer one of the same key, which replaces it.",
    )  # fmt: skip
    debounceMost = NumberField(
        required=False, min_value=0, max_value=MOST_SECONDS,
        help_text="Seconds that it can be put off by that; default: ten waits.",
    )  # fmt: skip
    idempotencyKey = TextField(
        required=False, max_length=LONGEST_NAME,
        help_text="Of a call that may be repeated: see the header `Idempotency-Key`.",
    )  # fmt: skip

    rate = TextField(
        required=False, allow_blank=True, max_length=LONGEST_NAME,
        help_text="Most starts of its type in some time: `10/s`, `100/m`, `1000/h`, `5/30s`.",
    )  # fmt: skip
    concurrency = IntegerField(
        required=False, min_value=0, max_value=MOST_AT_ONCE,
        help_text="Most tasks of its type that are in hand at once; 0: no bound.",
    )  # fmt: skip
    per = PerField(
        required=False,
        help_text="Whose limits these are: names of arguments, or a text such as `{tenant}`. Those "
        "with one value have limits of their own.",
    )
    limitKey = TextField(
        required=False, max_length=LONGEST_NAME,
        help_text="A name for limits that several types share; default: the type.",
    )  # fmt: skip

    sensitive = SensitiveField(
        required=False,
        help_text="Arguments that nobody is to see, beside those that the type names: true for all "
        "of them and the result; or names, such as `password`, `card.number` or `return`.",
    )

    dependsOn = IdsField(
        required=False,
        help_text="Tasks that it waits for: an id, or a list of ids. It is stored by the database "
        "then, and its status is `waiting`.",
    )
    ifParentFails = serializers.ChoiceField(
        IF_PARENT_FAILS, required=False,
        help_text="What becomes of it when one of these does not complete; default `cancel`.",
    )  # fmt: skip
    takesResults = BooleanField(
        required=False,
        help_text="Its first argument is what these returned: a list, if `dependsOn` is one.",
    )

    def validate_taskType(self, name: str) -> str:
        try:
            registry.get(name)
        except UnknownTaskType as error:
            raise serializers.ValidationError(str(error)) from error
        return name

    def validate(self, task: dict[str, Any]) -> dict[str, Any]:
        if "payload" in task and ("args" in task or "kwargs" in task):
            raise serializers.ValidationError({"payload": ["Give either payload or args, kwargs."]})
        expires_us = task.get("expires") or 0
        if 0 < expires_us <= (task.get("runAfter") or 0):
            raise serializers.ValidationError({"expires": ["Is not after runAfter."]})
        return task


class BulkSerializer(StrictSerializer):
    """Tasks to submit, all of them or none."""

    tasks = SubmitSerializer(many=True, allow_empty=False, max_length=MOST_IN_BULK)
    durability = durability()

    def validate_tasks(self, tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        said = {"durability": ["Say it once, beside `tasks`."]}
        wrong = [said if "durability" in task else {} for task in tasks]
        if any(wrong):
            raise serializers.ValidationError(wrong)
        return tasks

    def to_internal_value(self, data: Any) -> Any:
        try:
            return super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError(by_index(error.detail)) from error


def by_index(detail: dict[str, Any]) -> dict[str, Any]:
    """The errors of the wrong tasks by index, or those of the list as such."""
    errors = detail.get("tasks")
    if isinstance(errors, dict) and api_settings.NON_FIELD_ERRORS_KEY in errors:
        errors = errors[api_settings.NON_FIELD_ERRORS_KEY]
    elif isinstance(errors, list) and errors and isinstance(errors[0], dict):  # DRF before 3.18
        errors = {index: error for index, error in enumerate(errors) if error}
    return {**detail, "tasks": errors} if errors else detail


class SubmittedSerializer(serializers.Serializer):
    taskId = serializers.CharField()
    status = serializers.CharField(help_text="`queued`")
    duplicate = serializers.BooleanField(
        required=False,
        help_text="Only if nothing was stored (200): this task was there, and stands for it.",
    )


class BulkSubmittedSerializer(serializers.Serializer):
    taskIds = serializers.ListField(child=serializers.CharField(), help_text="In the order given.")
    status = serializers.CharField(help_text="`queued`")
    duplicates = serializers.ListField(
        required=False,
        child=serializers.IntegerField(),
        help_text="Only if some were not stored: their indices. Other tasks stand for them.",
    )


class TaskMetricsSerializer(serializers.Serializer):
    processing_time = serializers.IntegerField(help_text="Nanoseconds.")
    queue_wait_time = serializers.IntegerField(help_text="Nanoseconds.")
    memory_usage = serializers.IntegerField(help_text="Bytes.")
    cpu_time = serializers.FloatField(help_text="Seconds.")


class StatusSerializer(serializers.Serializer):
    """What became of a task so far."""

    task_id = serializers.CharField()
    status = serializers.ChoiceField(choices=Status.choices)
    output = JSONValueField(help_text="What the task returned.")
    error = serializers.CharField(help_text="Of the last attempt; empty if it did not fail.")
    start_time = serializers.DateTimeField(allow_null=True, help_text="Of the last attempt.")
    end_time = serializers.DateTimeField(allow_null=True, help_text="Of the task.")
    retry_count = serializers.IntegerField()
    worker_id = serializers.CharField(help_text="Of the last attempt; empty if there was none.")
    metrics = TaskMetricsSerializer()
    deadline_missed = serializers.BooleanField(help_text="It ended after its deadline.")


class AttemptSerializer(serializers.Serializer):
    number = serializers.IntegerField()
    run = serializers.IntegerField()
    worker_id = serializers.CharField()
    start_time = serializers.DateTimeField(allow_null=True)
    end_time = serializers.DateTimeField(allow_null=True)
    outcome = serializers.CharField(
        help_text="A final status, retrying, pending (given back, nothing counted), scheduled "
        "(snoozed, nothing counted) or crashed."
    )
    snoozes = serializers.IntegerField(help_text="In a row, of which this is the last; mostly 0.")
    error_type = serializers.CharField()
    error = serializers.CharField()
    traceback = serializers.CharField(
        help_text="Of a crash: the last lines that its process logged."
    )
    cpu_time = serializers.FloatField(help_text="Seconds.")
    memory_usage = serializers.IntegerField(help_text="Bytes.")


class ProgressSerializer(serializers.Serializer):
    """How far a task is, as it said last."""

    done = serializers.FloatField()
    total = serializers.FloatField(allow_null=True)
    note = serializers.CharField()
    at = serializers.DateTimeField()
    run = serializers.IntegerField()
    attempt = serializers.IntegerField()


class TaskSerializer(StatusSerializer):
    """A task with all that is known of it."""

    task_type = serializers.CharField()
    args = JSONListField(help_text="Those that are sensitive are `[redacted]`.")
    kwargs = JSONObjectField()
    sensitive = SensitiveField(help_text="Names of arguments and `return`; true: all of that.")
    queue = serializers.CharField()
    priority = serializers.IntegerField(help_text="1 to 10.")
    submitted_at = serializers.DateTimeField()
    run_after = serializers.DateTimeField(allow_null=True)
    deadline = serializers.DateTimeField(allow_null=True)
    expires = serializers.DateTimeField(allow_null=True)
    retries = serializers.IntegerField(help_text="That it may have.")
    backoff = JSONValueField(help_text="As a submit gives it.")
    retry_on = serializers.ListField(
        child=serializers.CharField(), help_text="Dotted paths of exceptions; none: all."
    )
    give_up_on = serializers.ListField(child=serializers.CharField())
    timeout = serializers.FloatField(help_text="Seconds; 0: no bound.")
    tags = serializers.ListField(child=serializers.CharField())
    unique = JSONValueField(help_text="As a submit gives it; null: it is not.")
    debounce = serializers.FloatField(help_text="Seconds; 0: it did not wait.")
    idempotency_key = serializers.CharField(help_text="Empty: it has none.")
    rate = serializers.CharField(help_text="Most starts in some time; empty: no bound.")
    concurrency = serializers.IntegerField(help_text="Most at once; 0: no bound.")
    limit = serializers.CharField(help_text="What has these limits; empty: nothing.")
    workflow = serializers.CharField(help_text="Its id; empty: it belongs to none.")
    depends_on = serializers.ListField(
        child=serializers.CharField(), help_text="Tasks that it waited for; the first 100."
    )
    if_parent_fails = serializers.CharField()
    takes_results = serializers.BooleanField()
    run = serializers.IntegerField(help_text="Grows when a finished task is retried.")
    crashes = serializers.IntegerField(help_text="Of processes that ran it; no failures.")
    note = serializers.CharField(
        help_text="What holds it up, or ended it, where the status does not say so; or empty."
    )
    progress = ProgressSerializer(allow_null=True, help_text="null: it told none.")
    checkpoint = JSONValueField(help_text="The `state` that it saved last; null: none.")
    attempts = AttemptSerializer(many=True)


class LineSerializer(serializers.Serializer):
    at = serializers.DateTimeField()
    level = serializers.CharField(help_text="Such as INFO.")
    logger = serializers.CharField(help_text="Empty: told by `context.log`.")
    text = serializers.CharField()
    run = serializers.IntegerField()
    attempt = serializers.IntegerField()


class LogSerializer(serializers.Serializer):
    """What a task logged."""

    task_id = serializers.CharField()
    lines = LineSerializer(many=True, help_text="Oldest first.")
    dropped = serializers.IntegerField(help_text="Older lines that are not kept.")


class ReasonSerializer(serializers.Serializer):
    code = serializers.CharField(help_text="For programs, such as `queue_paused` or `behind`.")
    sentence = serializers.CharField(help_text="For people.")
    numbers = serializers.DictField(help_text="What the sentence is made of.")


class WhySerializer(serializers.Serializer):
    """Why a task is where it is."""

    task_id = serializers.CharField()
    status = serializers.ChoiceField(choices=Status.choices)
    reasons = ReasonSerializer(many=True, help_text="The most telling first; never empty.")


class RowSerializer(serializers.Serializer):
    """A task in a list."""

    task_id = serializers.CharField()
    task_type = serializers.CharField()
    queue = serializers.CharField()
    priority = serializers.IntegerField(help_text="1 to 10.")
    status = serializers.ChoiceField(choices=Status.choices)
    worker_id = serializers.CharField()
    submitted_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    failures = serializers.IntegerField()
    deadline_missed = serializers.BooleanField()
    error = serializers.CharField()


class FilterSerializer(StrictSerializer):
    """Which tasks; what is left out does not matter."""

    status = serializers.ChoiceField(required=False, choices=Status.choices, source="statuses")
    type = serializers.CharField(required=False, max_length=LONGEST_NAME)
    queue = serializers.CharField(required=False, max_length=LONGEST_NAME)
    priority = serializers.IntegerField(
        required=False, min_value=1, max_value=10, source="level", help_text="1 to 10."
    )
    worker = serializers.CharField(required=False, max_length=LONGEST_NAME)
    search = serializers.CharField(required=False, max_length=64, help_text="How the id begins.")
    submitted_after = MomentField(source="submitted_after_us", help_text="At that moment too.")
    submitted_before = MomentField(source="submitted_before_us")

    def validate_status(self, value: str) -> frozenset[Status]:
        return frozenset({Status(value)})


class PageQuerySerializer(FilterSerializer):
    """Which tasks to list."""

    cursor = serializers.CharField(
        required=False, max_length=64, source="below", help_text="`next` of the page before."
    )
    limit = serializers.IntegerField(
        default=PAGE, min_value=1, max_value=MOST_ON_PAGE, help_text="Tasks on the page."
    )


class PageSerializer(serializers.Serializer):
    """The newest tasks first."""

    results = RowSerializer(many=True)
    next = serializers.CharField(
        allow_null=True, help_text="The `cursor` of the next page; null: this was the last one."
    )


class CancelledSerializer(serializers.Serializer):
    task_id = serializers.CharField()
    status = serializers.CharField(help_text="`cancelled`")
    before = serializers.ChoiceField(choices=Status.choices)


class RetriedSerializer(serializers.Serializer):
    task_id = serializers.CharField()
    status = serializers.CharField(help_text="`pending`")
    run = serializers.IntegerField()


class TaskTypeSerializer(serializers.Serializer):
    name = serializers.CharField()
    description = serializers.CharField()
    queue = serializers.CharField()
    priority = serializers.IntegerField(help_text="1 to 10.")
    retries = serializers.IntegerField(help_text="That a submit gets which does not say.")
    backoff = JSONValueField(help_text="As a submit gives it; kind `declared`: by its code.")
    timeout = serializers.FloatField(help_text="Seconds; 0: no bound.")
    is_async = serializers.BooleanField()


class QueueSerializer(serializers.Serializer):
    name = serializers.CharField()
    paused = serializers.BooleanField()
    ready = serializers.IntegerField()
    scheduled = serializers.IntegerField(help_text="Or waiting for a retry.")
    waiting = serializers.IntegerField(help_text="For a place in a limit, or for other tasks.")
    levels = serializers.DictField(child=serializers.IntegerField(), help_text="Ready, by level.")


class PausedSerializer(serializers.Serializer):
    name = serializers.CharField()
    paused = serializers.BooleanField()


class ErrorSerializer(serializers.Serializer):
    """What was wrong: a sentence in `detail`, or sentences by field."""

    detail = serializers.CharField(required=False)
    code = serializers.CharField(required=False)
