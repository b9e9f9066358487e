"""What happened: one row a task, written by the recorder and by nobody else."""

from datetime import datetime
from functools import cached_property

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from msgspec import structs

from .message import (
    UNREADABLE,
    Attempt,
    State,
    StoredTask,
    TaskMessage,
    level_of,
    moment,
    us_of,
)
from .operations.models import Operation  # noqa: F401  Django looks for models here
from .schedules.models import Firing, Schedule  # noqa: F401  Django looks for models here
from .states import FINAL, Status
from .workflows.models import Dependency, Member, WorkflowRecord  # noqa: F401

# Texts that message.py did not write, and numbers that are no moments.
UNREADABLE_ERRORS = (ValueError, OverflowError, RecursionError)


class TaskRecord(models.Model):
    """A task as the recorder last saw it: two texts as Redis had them, and what is searched for.

    Moments are microseconds since the epoch, 0 for none: exact, and quick to write.
    """

    id = models.CharField(primary_key=True, max_length=64)
    type = models.CharField(max_length=255)
    queue = models.CharField(max_length=255)
    priority = models.SmallIntegerField(help_text=_("Django's, -100 to 100"))
    status = models.CharField(max_length=10, choices=Status)
    worker = models.CharField(max_length=64, blank=True, help_text=_("of the last attempt"))
    submitted_us = models.BigIntegerField()
    started_us = models.BigIntegerField(default=0, help_text=_("of the first attempt"))
    finished_us = models.BigIntegerField(default=0)
    epoch = models.BigIntegerField(default=1)
    run = models.IntegerField(default=1)
    version = models.IntegerField(default=1)
    failures = models.IntegerField(default=0)
    deadline_missed = models.BooleanField(default=False)
    error = models.CharField(max_length=500, blank=True, help_text=_("of the last failure, cut"))
    definition = models.BinaryField(help_text=_("as message.py encodes it"))
    state = models.BinaryField(help_text=_("as message.py encodes it"))

    class Meta:
        verbose_name = _("task")
        verbose_name_plural = _("tasks")
        default_permissions = ()
        permissions = [
            ("view_task", _("May see tasks, workers and metrics")),
            ("submit_task", _("May submit tasks")),
            ("operate_task", _("May cancel, retry, pause, purge, and start and stop workers")),
        ]
        indexes = [
            # Ids are UUIDv7: their order is that of time.
            models.Index(fields=["status", "id"], name="task_status_id"),
            models.Index(fields=["type", "id"], name="task_type_id"),
            models.Index(fields=["queue", "id"], name="task_queue_id"),
            models.Index(fields=["worker", "id"], name="task_worker_id"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.id}"

    @cached_property
    def stored(self) -> StoredTask:
        """The task in the form that Redis gives."""
        message = TaskMessage.decode(bytes(self.definition))
        return StoredTask(message, State.decode(bytes(self.state)))

    @property
    def is_final(self) -> bool:
        return self.status in FINAL

    @property
    def level(self) -> int:
        return level_of(self.priority)

    @property
    def submitted_at(self) -> datetime | None:
        return moment(self.submitted_us)

    @property
    def started_at(self) -> datetime | None:
        return moment(self.started_us)

    @property
    def finished_at(self) -> datetime | None:
        return moment(self.finished_us)


class TaskRemarks(models.Model):
    """What a task said of itself, for the few that did; written by the recorder. See remarks.py."""

    id = models.CharField(primary_key=True, max_length=64, help_text=_("of the task"))
    at_ms = models.BigIntegerField(help_text=_("by Redis' clock: when it said something last"))
    text = models.BinaryField()

    class Meta:
        verbose_name = _("remarks of a task")
        verbose_name_plural = _("remarks of tasks")
        default_permissions = ()

    def __str__(self) -> str:
        return self.id


class Quarantine(models.Model):
    """A task that the database refused, kept as it was so that nothing is lost."""

    task_id = models.CharField(max_length=64)
    definition = models.BinaryField()
    state = models.BinaryField(blank=True)
    reason = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("quarantined task")
        verbose_name_plural = _("quarantine")
        indexes = [models.Index(fields=["task_id"], name="quarantine_task")]

    def __str__(self) -> str:
        return self.task_id

    @property
    def stored(self) -> StoredTask:
        """The task as far as it can be read; what cannot is replaced by the reason."""
        return StoredTask(self._read_definition(), self._read_state())

    def _read_definition(self) -> TaskMessage:
        try:
            message = TaskMessage.decode(bytes(self.definition))
            for us in (message.submitted_us, message.run_after_us, message.deadline_us):
                moment(us)
        except UNREADABLE_ERRORS:
            message = TaskMessage(
                id=self.task_id, type=UNREADABLE, submitted_us=us_of(self.created_at)
            )
        return message

    def _read_state(self) -> State:
        try:
            state = State.decode(bytes(self.state))
        except UNREADABLE_ERRORS:
            state = State(status=Status.FAILED, failures=1)
        try:
            for attempt in state.attempts:
                moment(attempt.started_us), moment(attempt.ended_us)
        except UNREADABLE_ERRORS:
            said = Attempt(run=state.run, outcome=state.status.value, error=self.reason)
            state = structs.replace(state, lines=said.encode() + b"\n")
        return state


class Outbox(models.Model):
    """A task that was enqueued in a transaction, until Redis has it. See outbox.py."""

    id = models.CharField(primary_key=True, max_length=64, help_text=_("of the task"))
    definition = models.BinaryField(help_text=_("as message.py encodes it"))
    durability = models.CharField(max_length=10, default="fast", help_text=_("of its submit"))
    created_us = models.BigIntegerField(help_text=_("by the clock of who enqueued it"))
    turn_us = models.BigIntegerField(
        help_text=_("by Redis' clock: until then whoever wrote this may push it, and nobody else")
    )
    tries = models.IntegerField(default=0, help_text=_("that Redis refused"))
    reason = models.CharField(max_length=500, blank=True, help_text=_("of the last refusal, cut"))

    class Meta:
        verbose_name = _("task in the outbox")
        verbose_name_plural = _("outbox")
        default_permissions = ("view",)
        indexes = [models.Index(fields=["turn_us"], name="outbox_turn")]

    def __str__(self) -> str:
        return self.id


class Ledger(models.Model):
    """How far the record is, as it says itself: one row, by which a Redis is judged.

    A Redis that lacks the epoch was wiped; one that has not seen the last change was rolled back.
    """

    id = models.SmallIntegerField(primary_key=True, default=1)
    epoch = models.BigIntegerField(default=0, help_text=_("0: none has begun"))
    run_id = models.CharField(max_length=64, blank=True, help_text=_("of the server found sound"))
    last_change = models.JSONField(
        default=dict, blank=True, help_text=_("by shard: no row tells of a later change")
    )
    restored = models.BigIntegerField(default=0, help_text=_("tasks that Redis had lost"))
    dropped = models.BigIntegerField(default=0, help_text=_("tasks that Redis had again"))
    reconciled_at = models.DateTimeField(null=True, blank=True, help_text=_("the last time"))
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("ledger")
        verbose_name_plural = _("ledger")
        default_permissions = ()
        # Else a check would ask the database at each start, and a locked one would say no.
        required_db_features = ["supports_json_field"]

    def __str__(self) -> str:
        return f"epoch {self.epoch}"


class WorkerRecord(models.Model):
    """A worker's registration, copied from Redis by the registrar."""

    id = models.CharField(primary_key=True, max_length=64)
    hostname = models.CharField(max_length=255)
    pid = models.IntegerField(default=0)
    queues = models.TextField(blank=True, help_text=_("comma-separated"))
    slots = models.IntegerField(default=0)
    status = models.CharField(max_length=10)
    started_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    stopped_at = models.DateTimeField(null=True, blank=True)
    processed = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")
        indexes = [models.Index(fields=["-last_seen_at"], name="worker_last_seen")]

    def __str__(self) -> str:
        return self.id


class ApiToken(models.Model):
    """A key to the API that acts as its user. Only the key's hash is stored."""

    # No name for the way back: Wagtail's tokens have taken the obvious one.
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=100, help_text=_("what it is used for"))
    prefix = models.CharField(max_length=12, help_text=_("the beginning, to recognise it by"))
    digest = models.CharField(max_length=64, unique=True, help_text=_("SHA-256 of the key"))
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")
        default_permissions = ("view", "delete")

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
