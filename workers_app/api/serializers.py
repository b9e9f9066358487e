"""What requests about workers and the whole system may hold, and what answers hold."""

from django.db import models
from rest_framework import serializers

from tasks_app.api.fields import BooleanField, IntegerField
from tasks_app.api.serializers.strict import StrictSerializer

from ..control import MOST_SLOTS
from ..live.decisions import KEPT


class WorkerStatus(models.TextChoices):
    ACTIVE = "active"
    PAUSED = "paused"  # it starts nothing until it is resumed
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


class NothingSerializer(StrictSerializer):
    """No body, or an empty object."""


class OrderedSerializer(serializers.Serializer):
    status = serializers.CharField(help_text="What was ordered, as a sentence.")
    id = serializers.CharField()


class ScaleSerializer(StrictSerializer):
    """How many slots a worker is to have from now on."""

    slots = IntegerField(
        min_value=1, max_value=MOST_SLOTS, help_text="Beyond the worker's `bounds`: these move too."
    )


class ScaledSerializer(OrderedSerializer):
    slots = serializers.IntegerField()


class RunningSerializer(serializers.Serializer):
    """A task that runs now, and what it is doing."""

    task_id = serializers.CharField()
    task_type = serializers.CharField()
    executor = serializers.CharField()
    seconds = serializers.FloatField(help_text="Since it started.")
    stack = serializers.CharField(help_text="The innermost call first; empty if unknown.")


class StacksSerializer(serializers.Serializer):
    id = serializers.CharField()
    stacks = RunningSerializer(many=True)
    others = serializers.CharField(help_text="The stacks of all other threads.")


class DecisionsQuerySerializer(StrictSerializer):
    """Whose decisions, and how many."""

    id = serializers.CharField(
        required=False, default="", max_length=255, help_text="Of this worker only."
    )
    limit = serializers.IntegerField(default=50, min_value=1, max_value=KEPT)


class DecisionSerializer(serializers.Serializer):
    """One decision of an autoscaler."""

    at = serializers.DateTimeField()
    worker = serializers.CharField()
    to = serializers.IntegerField(help_text="Slots after it.")
    reason = serializers.CharField(help_text="In words.")
    numbers = serializers.DictField(help_text="What it was decided on.")

    def get_fields(self) -> dict[str, serializers.Field]:
        """``from`` is a word of Python's."""
        return super().get_fields() | {"from": serializers.IntegerField(help_text="Slots before.")}


class ExecutorSerializer(serializers.Serializer):
    id = serializers.CharField()
    pid = serializers.IntegerField()
    active = serializers.IntegerField()
    reserved = serializers.IntegerField()
    memoryBytes = serializers.IntegerField(help_text="Resident.")


class WorkerSerializer(serializers.Serializer):
    id = serializers.CharField()
    lastSeen = serializers.DateTimeField()
    tasksProcessed = serializers.IntegerField()
    activeTasks = serializers.IntegerField()
    status = serializers.ChoiceField(choices=WorkerStatus.choices)
    tasksFailed = serializers.IntegerField()
    reserved = serializers.IntegerField(help_text="Held but not started.")
    stolen = serializers.IntegerField(help_text="Tasks that it took from busy executors.")
    stolenFrom = serializers.IntegerField(help_text="Tasks that others took from it.")
    crashed = serializers.IntegerField(help_text="Executors that died.")
    recycled = serializers.IntegerField(help_text="Executors replaced after so many tasks.")
    hostname = serializers.CharField()
    pid = serializers.IntegerField()
    startedAt = serializers.DateTimeField()
    queues = serializers.ListField(child=serializers.CharField())
    kind = serializers.CharField(help_text="What a slot is: `processes` or `threads`.")
    slots = serializers.IntegerField()
    bounds = serializers.ListField(
        child=serializers.IntegerField(), help_text="The fewest and the most slots; or empty."
    )
    executors = ExecutorSerializer(many=True)
    types = serializers.IntegerField(help_text="Task types that it knows.")
    config = PoolSerializer()
    version = serializers.CharField()


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
    stolenTasks = serializers.IntegerField(help_text="That changed hands before they started.")
    staleResults = serializers.IntegerField(help_text="Of executors that had lost their task.")
    slots = serializers.IntegerField(help_text="Of all workers that are alive.")
    unrecordedChanges = serializers.IntegerField(help_text="That the history lacks still.")
    outboxTasks = serializers.IntegerField(
        allow_null=True, help_text="Committed, and not in Redis yet; counted up to 10,000."
    )
    outboxSeconds = serializers.FloatField(
        allow_null=True, help_text="For how long the oldest of these waits."
    )


class ResetQuerySerializer(StrictSerializer):
    history = serializers.BooleanField(default=False, help_text="Delete the history too.")


class ResetSerializer(serializers.Serializer):
    status = serializers.CharField(help_text="`System reset successful`")
    cancelled = serializers.IntegerField(help_text="Tasks that were open.")
    deleted = serializers.IntegerField(help_text="Tasks of the history.")
