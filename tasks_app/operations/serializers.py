"""What requests about operations may hold, and what answers hold."""

from typing import Any

from django.utils.encoding import force_str
from rest_framework import serializers

from ..api.fields import (
    BooleanField,
    IntegerField,
    JSONObjectField,
    MomentField,
    QueueField,
    TextField,
)
from ..api.serializers.listing import FilterSerializer, RowSerializer
from ..api.serializers.strict import LONGEST_NAME, StrictSerializer
from ..states import Status
from .words import Action, Stage

PAGE, MOST_ON_PAGE = 50, 200
LONGEST_WORD = 200


class StatusesField(serializers.ListField):
    """One status, or a list of them."""

    def __init__(self, **options: Any):
        super().__init__(
            child=serializers.ChoiceField(Status.choices), allow_empty=False, **options
        )

    def to_internal_value(self, data: Any) -> frozenset[Status]:
        if isinstance(data, str):
            data = [word.strip() for word in force_str(data).split(",")]
        return frozenset(map(Status, super().to_internal_value(data)))


class OperationFilterSerializer(FilterSerializer):
    """Which tasks: the words of `GET /api/tasks`, and more. All that are given must match."""

    status = StatusesField(
        required=False, source="statuses", help_text="One, or a list; default: as the action says."
    )
    finished_after = MomentField(source="finished_after_us", help_text="At that moment too.")
    finished_before = MomentField(source="finished_before_us")
    error = TextField(
        required=False, max_length=LONGEST_WORD,
        help_text="What the last error contains, whatever its case.",
    )  # fmt: skip
    tag = TextField(required=False, max_length=LONGEST_NAME)

    def validate_status(self, value: frozenset[Status]) -> frozenset[Status]:
        return value


class OperationMakeSerializer(StrictSerializer):
    """An operation to begin."""

    action = serializers.ChoiceField(Action.choices)
    filter = JSONObjectField(required=True, help_text="Words as of `GET /api/tasks`, and more.")
    priority = IntegerField(
        required=False, min_value=1, max_value=10, help_text="The new one, for `priority`."
    )
    queue = QueueField(required=False, help_text="The new one, for `queue`.")
    dry_run = BooleanField(
        required=False, help_text="Only tell how many tasks there are, and show some."
    )


class OperationSerializer(serializers.Serializer):
    """An operation, and how far it is."""

    id = serializers.CharField()
    action = serializers.ChoiceField(Action.choices)
    filter = JSONObjectField()
    parameters = JSONObjectField(help_text="The new priority or queue.")
    who = serializers.CharField()
    state = serializers.ChoiceField(Stage.choices)
    expected = serializers.IntegerField(
        allow_null=True,
        help_text="Tasks found when it was asked for; null: more than counted.",
    )
    matched = serializers.IntegerField(help_text="Tasks found so far.")
    done = serializers.IntegerField()
    skipped = serializers.IntegerField(help_text="Whose state did not allow it any more.")
    failed = serializers.IntegerField()
    message = serializers.CharField(help_text="What was refused last, or why it ended.")
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)


class PreviewSerializer(serializers.Serializer):
    """What a dry run finds."""

    dry_run = serializers.BooleanField(help_text="true")
    action = serializers.ChoiceField(Action.choices)
    matched = serializers.IntegerField()
    more = serializers.BooleanField(
        help_text="There may be more: it was counted up to 10,000, and for two seconds."
    )
    sample = RowSerializer(many=True, help_text="The newest ten.")


class OperationsQuerySerializer(StrictSerializer):
    cursor = serializers.CharField(
        required=False, max_length=64, help_text="`next` of the page before."
    )
    limit = serializers.IntegerField(
        default=PAGE, min_value=1, max_value=MOST_ON_PAGE, help_text="Operations on the page."
    )


class OperationsSerializer(serializers.Serializer):
    """The newest operations first."""

    results = OperationSerializer(many=True)
    next = serializers.CharField(allow_null=True)
