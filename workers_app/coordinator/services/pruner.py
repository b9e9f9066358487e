"""The pruner: what has ended leaves the history when its time is over, or when that is too long."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from django.db import router, transaction
from django.db.models import F, QuerySet

from tasks_app.broker import Broker
from tasks_app.broker.keys import shards
from tasks_app.conf import conf
from tasks_app.message import moment, now_us
from tasks_app.models import Firing, Operation, Quarantine, TaskRecord, WorkerRecord
from tasks_app.retention import walk
from tasks_app.retention.erase import erase
from tasks_app.retention.rules import Rules, before_us
from tasks_app.retention.walk import Found, Line, Place

from ...service import Service

logger = logging.getLogger(__name__)

MOST_ROWS = 500  # of a batch
LEAST_ROWS = 20
MOST_BYTES = 4_000_000  # of a batch
LONGEST_SECONDS = 0.03  # of a transaction: the recorder wants to write too
BEHIND = 20  # entries that wait for the recorder: then it is to have the database for itself
LOOKED_AT = 2000  # rows at once
REST, LONG_REST = 2, 10  # times as long as it works the pruner rests
TELL_SECONDS = 60.0  # between two lines in the log, while it is at work
SHORTEST_PAUSE, LONGEST_PAUSE = 0.02, 5.0  # seconds
# Between two walks of everything: so long, and so many times as long as the last one took.
ROUND_SECONDS, ROUND_SHARE = 10.0, 20
COUNT_SECONDS, COUNT_SHARE = 10.0, 100  # between two counts: so long, and so many times their time


@dataclass
class _Walk:
    """How far a line is walked: what was found up to a place, and may go."""

    line: Line
    place: Place | None = walk.START
    found: list[Found] = field(default_factory=list)


@dataclass
class _Tally:
    """What was done since it was last told of."""

    tasks: int = 0
    batches: int = 0
    longest: float = 0.0  # seconds of a transaction


class Pruner(Service):
    """Erases a batch at each tick, in a transaction of its own, and rests in between.

    All that it knows besides the database is how far it is; so a crash costs nothing, and two of
    them do no harm.
    """

    def __init__(self, broker: Broker, clock: Callable[[], int] | None = None):
        super().__init__()
        self._broker = broker
        self._clock = clock or self._earlier_clock
        self.size = 100  # tasks in a batch
        self._round_at = 0  # by the clock, when the next walk of everything begins
        self._walks: list[_Walk] = []
        self._worked = 0.0  # seconds, in this walk
        self._count_at = 0
        self._surplus, self._after = 0, ""  # tasks that are too many; those above this id
        self._oldest: list[Found] = []
        self._tally, self._told_at = _Tally(), time.monotonic()

    def tick(self) -> float:
        """Erase a batch; return the pause before the next."""
        began = time.monotonic()
        is_more = self._tick(self._clock())
        seconds = time.monotonic() - began
        self._worked += seconds
        self._tell(now=not is_more)
        if not is_more:
            return LONGEST_PAUSE
        rest = LONG_REST if self._gives_way() else REST
        return min(max(seconds * rest, SHORTEST_PAUSE), LONGEST_PAUSE)

    def _gives_way(self) -> bool:
        """Whether the recorder is behind, and nothing is over its bound."""
        return self._surplus == 0 and any(
            self._broker.unrecorded(BEHIND, shard=shard)[1] for shard in shards()
        )

    def _tick(self, at_us: int) -> bool:
        """Return whether there is more to do now."""
        rules = Rules.of(conf().retention)
        if not self._walks and at_us >= self._round_at:
            self._round_at = at_us + int(max(ROUND_SECONDS, self._worked * ROUND_SHARE) * 1e6)
            self._worked = 0.0
            self._walks = [_Walk(line) for line in walk.lines(rules)]
            self._prune_others(rules, at_us)
        if self._walks:
            self._walk(self._walks[0], rules, at_us)
            return True
        if conf().max_records and at_us >= self._count_at:
            self._count(at_us, conf().max_records)
        if self._surplus > 0:
            self._shorten()
        return self._surplus > 0

    def _walk(self, one: _Walk, rules: Rules, at_us: int) -> None:
        if one.line not in walk.lines(rules):  # the setting has changed
            self._walks = []
            return
        if not one.found and one.place is not None:
            page = walk.page(one.line, rules, at_us, one.place, most=LOOKED_AT)
            one.found, one.place = page.found, page.next
        self._erase(self._batch(one.found, self.size))
        if not one.found and one.place is None:
            self._walks.pop(0)

    def _count(self, at_us: int, most: int) -> None:
        began = time.monotonic()
        self._surplus, self._oldest = max(0, TaskRecord.objects.count() - most), []
        pause = max(COUNT_SECONDS, (time.monotonic() - began) * COUNT_SHARE)
        self._count_at = at_us + int(pause * 1e6)
        self._after = ""

    def _shorten(self) -> None:
        """Erase the oldest of what is too much."""
        if not self._oldest:
            self._oldest = list(walk.oldest(self._after, LOOKED_AT))
        if not self._oldest:  # all that is left has to stay
            self._surplus = 0
            return
        batch = self._batch(self._oldest, min(self.size, self._surplus))
        self._after = batch[-1].id
        self._surplus -= self._erase(batch)

    def _batch(self, found: list[Found], most: int) -> list[Found]:
        """Take as many of the first as one transaction may erase, at least one."""
        some: list[Found] = []
        size = 0
        for each in found[:most]:
            size += each.size
            if some and size > MOST_BYTES:
                break
            some.append(each)
        del found[: len(some)]
        return some

    def _erase(self, batch: list[Found]) -> int:
        """Return how many tasks are gone."""
        if not batch:
            return 0
        ended = {each.id: each.finished_us for each in batch}
        done = erase(list(ended), self._broker, ended=ended)
        self.size = size_after(self.size, len(batch), done.seconds)
        gone, tally = len(batch) - len(done.kept), self._tally
        tally.tasks, tally.batches = tally.tasks + gone, tally.batches + 1
        tally.longest = max(tally.longest, done.seconds)
        return gone

    def _tell(self, *, now: bool) -> None:
        tally = self._tally
        if not tally.tasks or not (now or time.monotonic() - self._told_at > TELL_SECONDS):
            return
        logger.info(
            "event=pruned tasks=%d batches=%d longest_ms=%.0f",
            tally.tasks, tally.batches, tally.longest * 1000,
        )  # fmt: skip
        self._tally, self._told_at = _Tally(), time.monotonic()

    def _prune_others(self, rules: Rules, at_us: int) -> None:
        """Erase a batch of each of the small tables."""
        for name, rows in _others(rules, at_us):
            self._broker.must_lead()
            using = router.db_for_write(rows.model)
            ids = list(rows.using(using).order_by("pk").values_list("pk", flat=True)[:MOST_ROWS])
            if ids:
                with transaction.atomic(using=using):
                    rows.using(using).filter(pk__in=ids).delete()
                logger.info("event=pruned %s=%d", name, len(ids))
            if len(ids) == MOST_ROWS:
                self._round_at = at_us  # there is more of them

    def _earlier_clock(self) -> int:
        """Microseconds; a clock that goes wrong by years must not cost the history."""
        return min(now_us(), self._broker.server_time_us())


def size_after(size: int, rows: int, seconds: float) -> int:
    """How many tasks the next batch takes, after one of so many took so many seconds."""
    if seconds > LONGEST_SECONDS:
        return max(size // 2, LEAST_ROWS)
    if seconds < LONGEST_SECONDS / 3 and rows == size:
        return min(size * 2, MOST_ROWS)
    return size


def _others(rules: Rules, at_us: int) -> Iterator[tuple[str, QuerySet]]:
    for name, seconds in rules.others.items():
        if seconds is None:
            continue
        us = before_us(seconds, at_us)
        if name == "quarantine":
            yield name, Quarantine.objects.filter(created_at__lt=moment(us))
        elif name == "firings":
            # The last one of a schedule stays, so that lists can tell of it.
            old = Firing.objects.filter(fired_us__lt=us, slot_us__lt=F("schedule__last_us"))
            yield name, old
        elif name == "operations":
            yield name, Operation.objects.filter(ended_us__gt=0, ended_us__lt=us)
        else:
            yield name, WorkerRecord.objects.filter(stopped_at__lt=moment(us))
