"""Walks through the history in search of what may go, by the indexes that are there anyway.

Ids are UUIDv7, so their order is that of the submits, and nobody ends before it was submitted.
Hence what may go stands below an id, by ``(status, id)``; or by ``(type, id)`` for types with rules
of their own. Ids that callers have chosen may stand anywhere: those above all that have a time yet
are walked too.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import QuerySet

from ..api.pagination import floor
from ..bounded import sized
from ..models import TaskRecord
from ..states import FINAL, Status
from .rules import Rules, before_us

SLACK_MS = 60_000  # between the clocks that made an id and the end of its task
TO_COME_MS = 365 * 86_400_000  # schedules give ids of their slots; none of a year ahead has ended


@dataclass(frozen=True, slots=True)
class Line:
    """What is walked by one index: a status, or a type."""

    status: str = ""
    type: str = ""

    @property
    def where(self) -> dict[str, str]:
        return {"type": self.type} if self.type else {"status": self.status}


@dataclass(frozen=True, slots=True)
class Place:
    """How far a line was walked."""

    after: str = ""  # this id
    is_odd: bool = False  # among the ids that callers have chosen


START = Place()


@dataclass(frozen=True, slots=True)
class Found:
    """A task that may go."""

    id: str
    status: Status
    finished_us: int
    size: int  # bytes of its definition and its state


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a line."""

    found: list[Found]
    next: Place | None  # None at the end of the line
    looked_at: int


def lines(rules: Rules) -> list[Line]:
    """All that has to be walked."""
    types = [each for each, of in rules.types.items() if any(s is not None for s in of.values())]
    statuses = [each for each, seconds in rules.statuses.items() if seconds is not None]
    return [Line(status=each) for each in statuses] + [Line(type=each) for each in types]


def page(line: Line, rules: Rules, now_us: int, place: Place = START, *, most: int = 2000) -> Page:
    """Look at the next tasks of a line."""
    below, above = _bounds(line, rules, now_us)
    rows = _by_id(place.after, **line.where)
    rows = rows if place.is_odd else rows.filter(id__lt=below)
    seen = list(rows.values_list("id", "status", "type", "finished_us", "size")[:most])
    found = [
        Found(task_id, Status(status), finished_us, size)
        for task_id, status, task_type, finished_us, size in seen
        if status in FINAL
        and (line.type or task_type not in rules.types)
        and rules.is_over(status, task_type, finished_us, now_us)
    ]
    if len(seen) == most:
        return Page(found, Place(seen[-1][0], place.is_odd), len(seen))
    return Page(found, None if place.is_odd else Place(above, True), len(seen))


def oldest(after: str, most: int) -> Iterator[Found]:
    """The oldest tasks that have ended, by their ids, whatever the rules say."""
    some: list[Found] = []
    for status in sorted(FINAL):
        seen = _by_id(after, status=status).values_list("id", "finished_us", "size")[:most]
        some += [Found(i, Status(status), us, size) for i, us, size in seen]
    yield from sorted(some, key=lambda each: each.id)[:most]


def _bounds(line: Line, rules: Rules, now_us: int) -> tuple[str, str]:
    """Below which id, and above which one, there may be something."""
    of = rules.types[line.type] if line.type else {line.status: rules.statuses[line.status]}
    shortest = min(seconds for seconds in of.values() if seconds is not None)
    below_ms = before_us(shortest, now_us) // 1000 + SLACK_MS
    return floor(below_ms), floor(now_us // 1000 + TO_COME_MS)


def _by_id(after: str, **where: str) -> QuerySet[TaskRecord]:
    return sized(TaskRecord.objects.filter(id__gt=after, **where)).order_by("id")
