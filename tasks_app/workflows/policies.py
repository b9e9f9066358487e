"""What becomes of a workflow when one of its tasks does not complete."""

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class OnFailure(TextChoices):
    """Of the rest of it, when a task fails or expires."""

    CONTINUE = "continue", _("continue: what does not depend on it goes on")
    CANCEL = "cancel", _("cancel: all that is still open")
