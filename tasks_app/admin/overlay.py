"""What Redis knows of a row now: it is ahead of the database as long as a task is open."""

from collections.abc import Iterable

from django.utils.translation import gettext_lazy as _

from ..broker import broker
from ..exceptions import QueueUnavailable
from ..message import StoredTask
from ..models import TaskRecord

LIVE = _("Redis, at this moment")
RECORDED = _("the history")
UNREACHABLE = _("the history; Redis does not answer")


def lay_over(rows: Iterable[TaskRecord]) -> None:
    """Give each row the attributes ``live`` (a StoredTask or None) and ``source``."""
    rows = list(rows)
    found: dict[str, StoredTask] = {}
    source = RECORDED
    try:
        found = broker().get_many([row.pk for row in rows])
    except QueueUnavailable:
        source = UNREACHABLE
    for row in rows:
        row.live = found.get(row.pk)
        row.source = LIVE if row.live else source
        if row.live:
            row.status = row.live.state.status
            row.failures = row.live.state.failures
            row.run = row.live.state.run


def stored(row: TaskRecord) -> StoredTask | None:
    """The newest that is known of a row; None if what is stored cannot be read."""
    if row.live:
        return row.live
    try:
        return row.stored
    except ValueError:
        return None
