"""What requests about schedules may hold, and what answers hold."""

from typing import Any

from rest_framework import serializers

from ..api.fields import (
    BooleanField,
    IntegerField,
    JSONListField,
    JSONObjectField,
    JSONValueField,
    MomentField,
    QueueField,
    TextField,
)
from ..api.serializers.strict import LONGEST_NAME, StrictSerializer
from ..api.serializers.submit import with_one_payload
from ..message import priority_of
from .policies import CatchUp, Overlap, Source

# What the API calls a field -> what a Definition calls it, if that is something else.
NAMES = {
    "taskType": "type",
    "starts": "starts_us",
    "ends": "ends_us",
    "catchUp": "catch_up",
    "catchUpMost": "catch_up_most",
}
API_NAMES = {ours: name for name, ours in NAMES.items()}
PAGE, MOST_ON_PAGE = 50, 200


class ScheduleChangeSerializer(StrictSerializer):
    """Fields of a schedule; those that are left out stay as they are."""

    taskType = TextField(
        max_length=LONGEST_NAME, required=False, help_text="See `/api/task-types`."
    )
    payload = JSONValueField(help_text="Handed to the task as its first argument.")
    args = JSONListField(help_text="Positional arguments, instead of `payload`.")
    kwargs = JSONObjectField(help_text="Keyword arguments, instead of `payload`.")
    queue = QueueField(required=False, allow_null=True, help_text="null: that of the type.")
    priority = IntegerField(
        required=False, allow_null=True, min_value=1, max_value=10,
        help_text="10 is the most urgent; null: that of the type.",
    )  # fmt: skip
    options = JSONObjectField(help_text='As of `@task`, like `{"max_attempts": 3}`.')
    cron = TextField(
        required=False, allow_null=True, max_length=200,
        help_text="Five fields, or six with seconds first; instead of `every`.",
    )  # fmt: skip
    every = IntegerField(
        required=False, allow_null=True, min_value=1, help_text="Seconds, instead of `cron`."
    )
    timezone = TextField(required=False, max_length=64, help_text="IANA name; default UTC.")
    starts = MomentField(help_text="No slot before.")
    ends = MomentField(help_text="No slot after.")
    catchUp = serializers.ChoiceField(
        CatchUp.choices, required=False, help_text="Of slots that were missed; default `last`."
    )
    catchUpMost = IntegerField(
        required=False, min_value=1, help_text="Slots at most, with `all`; default 100."
    )
    overlap = serializers.ChoiceField(
        Overlap.choices, required=False,
        help_text="While the task before is open; default `allow`.",
    )  # fmt: skip

    def validate(self, asked: dict[str, Any]) -> dict[str, Any]:
        return with_one_payload(asked)


class ScheduleMakeSerializer(ScheduleChangeSerializer):
    """A schedule to make."""

    name = TextField(max_length=200, help_text="Unique.")
    taskType = TextField(max_length=LONGEST_NAME, help_text="See `/api/task-types`.")
    enabled = BooleanField(required=False, help_text="Default true.")


def columns_of(asked: dict[str, Any]) -> dict[str, Any]:
    """The fields of a Definition that a validated request names."""
    found = {NAMES.get(name, name): value for name, value in asked.items()}
    found.pop("enabled", None)
    if "payload" in found:
        found |= {"args": [found.pop("payload")], "kwargs": {}}
    for name, none in (("queue", ""), ("cron", ""), ("every", 0), ("starts_us", 0), ("ends_us", 0)):
        if name in found and found[name] is None:
            found[name] = none
    # Naming one of the two gives the other up.
    if found.get("cron"):
        found.setdefault("every", 0)
    elif found.get("every"):
        found.setdefault("cron", "")
    if found.get("priority") is not None:
        found["priority"] = priority_of(found["priority"])
    return found


class ScheduleSerializer(serializers.Serializer):
    """A schedule. Moments are in its time zone."""

    name = serializers.CharField()
    taskType = serializers.CharField()
    args = JSONListField()
    kwargs = JSONObjectField()
    queue = serializers.CharField(allow_null=True)
    priority = serializers.IntegerField(allow_null=True)
    options = JSONObjectField()
    cron = serializers.CharField(allow_null=True)
    every = serializers.IntegerField(allow_null=True, help_text="Seconds.")
    timezone = serializers.CharField()
    starts = serializers.DateTimeField(allow_null=True)
    ends = serializers.DateTimeField(allow_null=True)
    catchUp = serializers.ChoiceField(CatchUp.choices)
    catchUpMost = serializers.IntegerField()
    overlap = serializers.ChoiceField(Overlap.choices)
    enabled = serializers.BooleanField(help_text="False: paused.")
    declared = serializers.BooleanField(help_text="False: code or settings have it no longer.")
    source = serializers.ChoiceField(Source.choices)
    words = serializers.CharField(help_text='Like "Every 5 minutes (Europe/Zurich)".')
    next = serializers.ListField(
        child=serializers.DateTimeField(), help_text="The next five slots; none while it is paused."
    )
    last = serializers.DateTimeField(allow_null=True, help_text="The last slot that was fired.")


class FiringSerializer(serializers.Serializer):
    """What became of a slot."""

    slot = serializers.DateTimeField(help_text="When it was due.")
    fired = serializers.DateTimeField(help_text="When it was dealt with.")
    manual = serializers.BooleanField(help_text="Run by an operator.")
    taskId = serializers.CharField(allow_null=True)
    status = serializers.CharField(
        help_text="Of the task; `skipped` without one, `unknown` if it is gone."
    )
    reason = serializers.CharField(help_text="Why there is no task.")


class ScheduleListedSerializer(ScheduleSerializer):
    """A schedule in the list of all."""

    lastFiring = FiringSerializer(allow_null=True, help_text="The newest one.")


class FiringsQuerySerializer(StrictSerializer):
    limit = serializers.IntegerField(
        default=PAGE, min_value=1, max_value=MOST_ON_PAGE, help_text="Firings; default 50."
    )


class RanSerializer(serializers.Serializer):
    taskId = serializers.CharField()
    status = serializers.CharField(help_text="`queued`")
