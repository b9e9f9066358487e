"""What answers about queues hold, and about the task types that may be submitted."""

from rest_framework import serializers

from ..fields import JSONValueField


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


class TaskTypeSerializer(serializers.Serializer):
    name = serializers.CharField()
    description = serializers.CharField()
    queue = serializers.CharField()
    priority = serializers.IntegerField(help_text="1 to 10.")
    retries = serializers.IntegerField(help_text="That a submit gets which does not say.")
    backoff = JSONValueField(help_text="As a submit gives it; kind `declared`: by its code.")
    timeout = serializers.FloatField(help_text="Seconds; 0: no bound.")
    is_async = serializers.BooleanField()
