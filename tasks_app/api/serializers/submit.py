"""What a submit may hold, of one task or of many, and its answers."""

from typing import Any

from rest_framework import serializers
from rest_framework.settings import api_settings

from ... import registry
from ...broker.durability import MODES
from ...exceptions import UnknownTaskType
from ...options.dependence import IF_PARENT_FAILS
from ...options.limits import MOST_AT_ONCE
from ..fields import (
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
from .strict import LONGEST_NAME, StrictSerializer

MOST_RETRIES = 1000
MOST_SECONDS = 30 * 86_400  # of a timeout or a pause
MOST_IN_BULK = 1000


def durability() -> serializers.ChoiceField:
    return serializers.ChoiceField(
        MODES, required=False, help_text="What the answer promises: see guarantees; default `fast`."
    )


def with_one_payload(asked: dict[str, Any]) -> dict[str, Any]:
    """The same. Raise ValidationError if its arguments are given in both ways."""
    if "payload" in asked and ("args" in asked or "kwargs" in asked):
        raise serializers.ValidationError({"payload": ["Give either payload or args, kwargs."]})
    return asked


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
        task = with_one_payload(task)
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
