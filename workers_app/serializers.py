"""What requests about workers and the whole system may hold, and what answers hold."""

from django.db import models
from rest_framework import serializers

from tasks_app.fields import BooleanField, IntegerField
from tasks_app.serializers import StrictSerializer

from .control import MOST_SLOTS


class WorkerStatus(models.TextChoices):
    ACTIVE = "active"
    STOPPING = "stopping"  # it drains
    INACTIVE = "inactive"  # silent for longer than its lease


class StartSerializer(StrictSerializer):
    """A worker to start. ``PoolConfig`` has the defaults and compares the numbers."""

    poolSize = IntegerField(
        required=False, min_value=1, max_value=MOST_SLOTS, help_text="Slots; default 5."
    )
    enableSteal = BooleanField(required=False, help_text="Default true.")
    minWorkers = IntegerField(
        required=False, min_value=1, max_value=MOST_SLOTS,
        help_text="The fewest slots; default 1.",
    )  # fmt: skip
    maxWorkers = IntegerField(
        required=False, min_value=1, max_value=MOST_SLOTS,
        help_text="The most slots; default 10, or poolSize if that is more.",
    )  # fmt: skip


class PoolSerializer(serializers.Serializer):
    poolSize = serializers.IntegerField()
    enableSteal = serializers.BooleanField()
    minWorkers = serializers.IntegerField()
    maxWorkers = serializers.IntegerField()


class StartedSerializer(serializers.Serializer):
    status = serializers.CharField(help_text="`Worker started`")
    config = PoolSerializer()
    id = serializers.CharField()


class StoppedSerializer(serializers.Serializer):
    status = serializers.CharField(help_text="`Worker stopped`")
    id = serializers.CharField()


class WorkerSerializer(serializers.Serializer):
    id = serializers.CharField()
    lastSeen = serializers.DateTimeField()
    tasksProcessed = serializers.IntegerField()
    activeTasks = serializers.IntegerField()
    status = serializers.ChoiceField(choices=WorkerStatus.choices)
    hostname = serializers.CharField()
    slots = serializers.IntegerField()
    queues = serializers.ListField(child=serializers.CharField())
    config = PoolSerializer()


class MetricsSerializer(serializers.Serializer):
    activeWorkers = serializers.IntegerField()
    totalTasks = serializers.IntegerField(help_text="Ready in all queues.")
    processedTasks = serializers.IntegerField(help_text="Successes since the last reset.")
    failedTasks = serializers.IntegerField(help_text="Final failures since the last reset.")
    queueLengths = serializers.DictField(
        child=serializers.IntegerField(), help_text='Ready at each level from "1" to "10".'
    )
    workerMetrics = serializers.DictField(child=WorkerSerializer())
    scheduledTasks = serializers.IntegerField(help_text="Scheduled, or waiting for a retry.")
    submittedTasks = serializers.IntegerField()
    cancelledTasks = serializers.IntegerField()
    expiredTasks = serializers.IntegerField()
    retriedAttempts = serializers.IntegerField()
    crashedAttempts = serializers.IntegerField()
    lateTasks = serializers.IntegerField(help_text="That ended after their deadline.")
    unrecordedChanges = serializers.IntegerField(help_text="That the history lacks still.")


class ResetQuerySerializer(StrictSerializer):
    history = serializers.BooleanField(default=False, help_text="Delete the history too.")


class ResetSerializer(serializers.Serializer):
    status = serializers.CharField(help_text="`System reset successful`")
    cancelled = serializers.IntegerField(help_text="Tasks that were open.")
    deleted = serializers.IntegerField(help_text="Tasks of the history.")
