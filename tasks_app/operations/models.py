"""The operations: what was asked for and by whom, and what came of it."""

from datetime import datetime

import uuid_utils
from django.db import models
from django.utils.translation import gettext_lazy as _

from ..message import moment
from .words import UNDER_WAY, Action, Stage


def new_id() -> str:
    return str(uuid_utils.uuid7())


class Operation(models.Model):
    """One action on all tasks that a filter finds. Moments are microseconds, 0 for none.

    It is done in slices, from the newest task to the oldest. A slice is written down before it is
    begun (``slice``: id of each task -> its run): so whoever goes on after a crash knows what may
    be done already.
    """

    id = models.CharField(primary_key=True, max_length=64, default=new_id)
    action = models.CharField(max_length=8, choices=Action)
    filter = models.JSONField(default=dict, help_text=_("as it was asked for"))
    parameters = models.JSONField(
        default=dict, blank=True, help_text=_('such as {"priority": 8}, from 1 to 10')
    )
    who = models.CharField(max_length=255, help_text=_("who asked for it"))
    state = models.CharField(max_length=9, choices=Stage, default=Stage.PENDING)
    expected = models.BigIntegerField(
        null=True, blank=True, help_text=_("tasks found when it was asked for; empty: very many")
    )
    matched = models.BigIntegerField(default=0, help_text=_("tasks found so far"))
    done = models.BigIntegerField(default=0)
    skipped = models.BigIntegerField(
        default=0, help_text=_("whose state, or something else, did not allow it")
    )
    failed = models.BigIntegerField(default=0, help_text=_("where something went wrong"))
    cursor = models.CharField(
        max_length=64, blank=True, help_text=_("what is left is below this id")
    )
    slice = models.JSONField(default=dict, blank=True, help_text=_("tasks in hand: id to run"))
    message = models.CharField(max_length=500, blank=True, help_text=_("what was refused last"))
    created_us = models.BigIntegerField()
    started_us = models.BigIntegerField(default=0)
    ended_us = models.BigIntegerField(default=0)
    updated_us = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = _("operation")
        verbose_name_plural = _("operations")
        default_permissions = ()
        # Else a check would ask the database at each start, and a locked one would say no.
        required_db_features = ["supports_json_field"]
        indexes = [models.Index(fields=["state", "updated_us"], name="operation_state")]

    def __str__(self) -> str:
        return f"{self.action} {self.id}"

    @property
    def is_under_way(self) -> bool:
        return self.state in UNDER_WAY

    @property
    def created_at(self) -> datetime | None:
        return moment(self.created_us)

    @property
    def started_at(self) -> datetime | None:
        return moment(self.started_us)

    @property
    def ended_at(self) -> datetime | None:
        return moment(self.ended_us)
