"""What one may choose of a schedule. Apart from the models, since checks need it before these."""

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Source(TextChoices):
    """Who says that there is this schedule."""

    CODE = "code", _("@periodic")
    SETTINGS = "settings", _("settings")
    OPERATOR = "operator", _("an operator")


class CatchUp(TextChoices):
    """What becomes of slots that are long over, since no coordinator was there."""

    NONE = "none", _("none: they are left out")
    LAST = "last", _("last: the latest of them is fired")
    ALL = "all", _("all: the latest so many are fired")


class Overlap(TextChoices):
    """What becomes of a slot while the task of the one before is still open."""

    ALLOW = "allow", _("allow: both run")
    SKIP = "skip", _("skip: the slot is left out")
    CANCEL = "cancel", _("cancel: the earlier task is cancelled")
