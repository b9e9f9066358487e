"""Which tasks a list is about, and what it tells of each."""

from rest_framework import serializers

from ...states import Status
from ..fields import MomentField
from .strict import LONGEST_NAME, StrictSerializer

PAGE, MOST_ON_PAGE = 50, 200


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
