"""Workflows, their tasks, and who waits for whom. The database alone holds the graph."""

from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..message import moment
from .policies import OnFailure


class WorkflowRecord(models.Model):
    """Tasks that were submitted together, and are looked at, cancelled and retried as one.

    Moments are microseconds since the epoch, 0 for none.
    """

    id = models.CharField(primary_key=True, max_length=64)
    name = models.CharField(max_length=255, blank=True)
    on_failure = models.CharField(max_length=8, choices=OnFailure, default=OnFailure.CONTINUE)
    total = models.IntegerField(help_text=_("of its tasks"))
    layers = models.IntegerField(help_text=_("tasks of the longest way through it"))
    created_us = models.BigIntegerField()
    key = models.CharField(  # noqa: DJ001 (many have none, and it is unique)
        max_length=64, null=True, unique=True, help_text=_("digest of an idempotency key")
    )
    cancelled_us = models.BigIntegerField(default=0, help_text=_("since nobody retried it"))

    class Meta:
        verbose_name = _("workflow")
        verbose_name_plural = _("workflows")
        default_permissions = ()

    def __str__(self) -> str:
        return self.name or self.id

    @property
    def created_at(self) -> datetime | None:
        return moment(self.created_us)


class Member(models.Model):
    """A task of a workflow, also before the history has it."""

    task_id = models.CharField(primary_key=True, max_length=64)
    workflow = models.ForeignKey(
        WorkflowRecord, on_delete=models.CASCADE, related_name="members", db_index=False
    )
    position = models.IntegerField(help_text=_("parents come first"))
    layer = models.IntegerField(help_text=_("0: it waits for no task of the workflow"))
    name = models.CharField(max_length=255, help_text=_("unique in the workflow"))
    type = models.CharField(max_length=255)

    class Meta:
        verbose_name = _("task of a workflow")
        verbose_name_plural = _("tasks of workflows")
        default_permissions = ()
        indexes = [models.Index(fields=["workflow", "position"], name="member_workflow")]

    def __str__(self) -> str:
        return self.name


class Dependency(models.Model):
    """A task waits for another one. Open until it is known that this one has ended."""

    child_id = models.CharField(max_length=64)
    parent_id = models.CharField(max_length=64)
    workflow = models.ForeignKey(WorkflowRecord, null=True, on_delete=models.CASCADE)
    position = models.IntegerField(help_text=_("among the child's parents"))
    is_open = models.BooleanField(default=True)
    runs_anyway = models.BooleanField(
        default=False, help_text=_("the child, if the parent does not complete")
    )

    class Meta:
        verbose_name = _("dependency")
        verbose_name_plural = _("dependencies")
        default_permissions = ()
        indexes = [
            models.Index(fields=["child_id", "position"], name="dependency_child"),
            models.Index(fields=["parent_id"], name="dependency_parent"),
            models.Index(
                fields=["child_id"], name="dependency_open", condition=models.Q(is_open=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.child_id} waits for {self.parent_id}"
