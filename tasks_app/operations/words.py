"""What can be done to many tasks, and how far that is."""

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Action(TextChoices):
    """What is done to each task."""

    RETRY = "retry", _("retry: run it once more")
    CANCEL = "cancel", _("cancel: end it")
    PRIORITY = "priority", _("priority: give it another one")
    QUEUE = "queue", _("queue: move it to another one")
    DELETE = "delete", _("delete: drop it from the history")


class Stage(TextChoices):
    """How far an operation is. Not a task's status."""

    PENDING = "pending", _("Pending")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    CANCELLED = "cancelled", _("Cancelled")
    FAILED = "failed", _("Failed")


UNDER_WAY = (Stage.PENDING, Stage.RUNNING)
