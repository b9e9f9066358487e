"""What the history would forget now: how many tasks, and how many bytes."""

from dataclasses import dataclass

from ..conf import conf
from ..message import now_us
from ..models import TaskRecord
from ..states import Status
from . import walk
from .rules import STATUSES, Rules, Seconds

MOST_LOOKED_AT = 50_000  # tasks of each line


@dataclass(slots=True)
class Estimate:
    """Of one status."""

    status: Status
    seconds: Seconds  # that it is kept; None: for ever
    tasks: int = 0
    bytes: int = 0  # of definitions and states
    is_more: bool = False  # only the oldest were looked at


@dataclass(frozen=True, slots=True)
class Bound:
    """How many tasks the history may have, and has; 0: no bound, and nothing counted."""

    most: int
    records: int

    @property
    def over(self) -> int:
        return max(0, self.records - self.most)


def estimate(rules: Rules | None = None, at_us: int = 0) -> list[Estimate]:
    """What may go at this moment, by status."""
    rules, at_us = rules or Rules.of(conf().retention), at_us or now_us()
    found = {s: Estimate(Status(s), rules.statuses[Status(s)]) for s in STATUSES}
    for line in walk.lines(rules):
        _add(line, rules, at_us, found)
    return list(found.values())


def bound() -> Bound:
    """How the history stands to ``MAX_RECORDS``."""
    most = conf().max_records
    return Bound(most, TaskRecord.objects.count() if most else 0)


def _add(line: walk.Line, rules: Rules, at_us: int, found: dict[str, Estimate]) -> None:
    looked_at, place = 0, walk.START
    while looked_at < MOST_LOOKED_AT:
        page = walk.page(line, rules, at_us, place)
        for each in page.found:
            found[each.status].tasks += 1
            found[each.status].bytes += each.size
        if page.next is None:
            return
        looked_at, place = looked_at + page.looked_at, page.next
    for status in [line.status] if line.status else STATUSES:
        found[status].is_more = True
