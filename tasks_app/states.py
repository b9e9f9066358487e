"""The states of a task: one enum, two sets, one table of moves."""

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Status(TextChoices):
    """Where a task is. The values are stored and shown by the API."""

    PENDING = "pending", _("Pending")  # in its queue, may be claimed now
    SCHEDULED = "scheduled", _("Scheduled")  # its `run_after` is still to come
    WAITING = "waiting", _("Waiting")  # for a limit or another task
    ASSIGNED = "assigned", _("Assigned")  # held by an executor, not started
    PROCESSING = "processing", _("Processing")  # started
    RETRYING = "retrying", _("Retrying")  # an attempt failed, the next one is to come
    COMPLETED = "completed", _("Completed")  # an attempt returned
    FAILED = "failed", _("Failed")  # the last attempt failed, or was refused
    CANCELLED = "cancelled", _("Cancelled")  # somebody asked for it
    EXPIRED = "expired", _("Expired")  # `expires` passed before an attempt began


FINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.EXPIRED})
OPEN = frozenset(Status) - FINAL
HELD = frozenset({Status.ASSIGNED, Status.PROCESSING})  # in an executor's hands

_S = Status
# Every move a script may make. `None` is a task that is not known yet.
MOVES: dict[Status | None, frozenset[Status]] = {
    None: frozenset({_S.PENDING, _S.SCHEDULED, _S.WAITING}),
    _S.PENDING: frozenset({_S.ASSIGNED, _S.CANCELLED, _S.EXPIRED}),
    _S.SCHEDULED: frozenset({_S.PENDING, _S.CANCELLED, _S.EXPIRED}),
    _S.WAITING: frozenset({_S.PENDING, _S.SCHEDULED, _S.CANCELLED, _S.EXPIRED}),
    # From one executor's hands to another one's: stolen.
    _S.ASSIGNED: frozenset(
        {_S.ASSIGNED, _S.PROCESSING, _S.PENDING, _S.SCHEDULED, _S.RETRYING, *FINAL}
    ),
    _S.PROCESSING: frozenset({_S.PENDING, _S.SCHEDULED, _S.RETRYING, *FINAL}),
    _S.RETRYING: frozenset({_S.PENDING, _S.CANCELLED, _S.EXPIRED}),
    # The retry of a finished task by an operator opens the next run.
    _S.COMPLETED: frozenset({_S.PENDING, _S.WAITING}),
    _S.FAILED: frozenset({_S.PENDING, _S.WAITING}),
    _S.CANCELLED: frozenset({_S.PENDING, _S.WAITING}),
    _S.EXPIRED: frozenset({_S.PENDING, _S.WAITING}),
}


def may_move(before: Status | None, after: Status) -> bool:
    """Whether a task in ``before`` may become ``after``."""
    return after in MOVES[before]
