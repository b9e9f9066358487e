"""What answers about retention hold."""

from rest_framework import serializers

from .rules import STATUSES


class EstimateSerializer(serializers.Serializer):
    """What would go now of the tasks with one status."""

    status = serializers.ChoiceField([(status, status) for status in STATUSES])
    seconds = serializers.FloatField(
        allow_null=True, help_text="For how long they are kept; null: for ever."
    )
    tasks = serializers.IntegerField()
    bytes = serializers.IntegerField(help_text="Of their definitions and states.")
    more = serializers.BooleanField(help_text="Only the oldest 50,000 were looked at.")


class RetentionSerializer(serializers.Serializer):
    """How long the history keeps what has ended, and what would go now."""

    statuses = EstimateSerializer(many=True)
    types = serializers.DictField(
        help_text="Types with rules of their own: status to seconds, null: for ever."
    )
    others = serializers.DictField(
        help_text="Seconds for `quarantine`, `firings`, `operations`, `workers`; null: for ever."
    )
    max_records = serializers.IntegerField(help_text="0: no bound.")
    records = serializers.IntegerField(
        allow_null=True, help_text="Tasks in the history; null without a bound: not counted."
    )
