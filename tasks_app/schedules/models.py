"""Schedules, and what became of each of their slots."""

import secrets
from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..message import moment
from .policies import CatchUp, Overlap, Source
from .timing import Timing, in_words, next_slot


def new_salt() -> str:
    return secrets.token_hex(16)


class Schedule(models.Model):
    """A task to submit again and again. Moments are microseconds since the epoch, 0 for none."""

    name = models.CharField(max_length=200, unique=True)
    type = models.CharField(max_length=255, help_text=_("of the tasks"))
    args = models.JSONField(default=list, blank=True)
    kwargs = models.JSONField(default=dict, blank=True)
    queue = models.CharField(max_length=255, blank=True, help_text=_("empty: that of the type"))
    priority = models.SmallIntegerField(
        null=True, blank=True, help_text=_("-100 to 100; empty: that of the type")
    )
    options = models.JSONField(
        default=dict, blank=True, help_text=_('as of @task, like {"max_attempts": 3}')
    )
    cron = models.CharField(max_length=200, blank=True, help_text=_('like "*/5 * * * *"'))
    every = models.IntegerField(default=0, help_text=_("seconds, instead of cron; 0: none"))
    timezone = models.CharField(max_length=64, default="UTC", help_text=_("of the cron expression"))
    starts_us = models.BigIntegerField(default=0, help_text=_("no slot before"))
    ends_us = models.BigIntegerField(default=0, help_text=_("no slot after"))
    catch_up = models.CharField(max_length=4, choices=CatchUp, default=CatchUp.LAST)
    catch_up_most = models.IntegerField(default=100, help_text=_("slots, if all are fired"))
    overlap = models.CharField(max_length=6, choices=Overlap, default=Overlap.ALLOW)
    enabled = models.BooleanField(default=True, help_text=_("what an operator says"))
    source = models.CharField(max_length=8, choices=Source, default=Source.OPERATOR)
    is_declared = models.BooleanField(
        default=True, help_text=_("whether the code or the settings still have it")
    )
    salt = models.CharField(
        max_length=32, default=new_salt, help_text=_("so that no earlier one of the name is met")
    )
    last_us = models.BigIntegerField(default=0, help_text=_("the last slot that was fired"))
    next_us = models.BigIntegerField(default=0, help_text=_("the first slot not dealt with yet"))

    class Meta:
        verbose_name = _("schedule")
        verbose_name_plural = _("schedules")
        default_permissions = ()
        # Else a check would ask the database at each start, and a locked one would say no.
        required_db_features = ["supports_json_field"]
        indexes = [models.Index(fields=["enabled", "is_declared", "next_us"], name="schedule_next")]

    def __str__(self) -> str:
        return self.name

    @property
    def timing(self) -> Timing:
        return Timing(self.cron, self.every, self.timezone, self.starts_us, self.ends_us)

    @property
    def is_active(self) -> bool:
        """Whether it is fired at all; it may have no slot any more."""
        return self.enabled and self.is_declared

    @property
    def words(self) -> str:
        """When it is due, as people say it."""
        return in_words(self.timing)

    @property
    def next_at(self) -> datetime | None:
        return moment(self.next_us) if self.is_active else None

    @property
    def last_at(self) -> datetime | None:
        return moment(self.last_us)

    def plan(self, after_us: int) -> None:
        """Begin with the first slot after a moment: what was due until then is not caught up."""
        self.next_us = next_slot(self.timing, after_us)


class Firing(models.Model):
    """What became of a slot, or of an order to fire at once."""

    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="firings")
    slot_us = models.BigIntegerField(help_text=_("when it was due"))
    fired_us = models.BigIntegerField(help_text=_("when it was dealt with"))
    is_manual = models.BooleanField(default=False, help_text=_("fired by an operator"))
    task_id = models.CharField(max_length=64, blank=True, help_text=_("empty: none was submitted"))
    reason = models.CharField(max_length=500, blank=True, help_text=_("why there is no task"))

    class Meta:
        verbose_name = _("firing")
        verbose_name_plural = _("firings")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["schedule", "slot_us"],
                condition=models.Q(is_manual=False),
                name="firing_once",
            )
        ]
        indexes = [models.Index(fields=["schedule", "id"], name="firing_schedule_id")]

    def __str__(self) -> str:
        return f"{self.schedule_id} {self.slot_at:%Y-%m-%d %H:%M:%S}"

    @property
    def slot_at(self) -> datetime | None:
        return moment(self.slot_us)

    @property
    def fired_at(self) -> datetime | None:
        return moment(self.fired_us)
