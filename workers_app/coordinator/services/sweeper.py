"""The sweeper: pushes what a transaction left in the outbox, when who committed it did not."""

import logging
from collections.abc import Iterable, Sequence

from django.db import DatabaseError
from django.db.models.functions import Length
from redis.exceptions import ResponseError

from tasks_app import outbox
from tasks_app.bounded import sized_slices
from tasks_app.broker import Broker
from tasks_app.broker.durability import FAST
from tasks_app.broker.keys import shards
from tasks_app.exceptions import DuplicateTask, InvalidCall, QueueFull, TooLate
from tasks_app.message import TaskMessage
from tasks_app.models import Outbox
from tasks_app.outbox import MARGIN_US, Waiting

from ...service import Service
from ..rows import printable

logger = logging.getLogger(__name__)

ROWS = 500  # taken at once
MOST_BYTES = 8 * 1024 * 1024  # of their definitions
TURN_US = 10_000_000  # to push what was taken; then somebody else may
IDLE_SECONDS = 2.0  # between two looks at an outbox that is empty
BUSY_SECONDS = 0.5
FAILED_SECONDS = 5.0  # after a database did not let itself be looked at
FIRST_PAUSE_US, LONGEST_PAUSE_US = 2_000_000, 60_000_000  # after a refusal; doubled each time

# What Redis says of a task, and not of itself.
REFUSALS = (QueueFull, InvalidCall, DuplicateTask, ResponseError, ValueError)


class Sweeper(Service):
    """Takes rows whose turn is over, looks whether Redis has or had their tasks, pushes the others.

    A crash between any two steps leaves rows whose turn ends, and then all of it begins anew. Why
    nothing is pushed twice stands in outbox.py. A row leaves when Redis is known to have had its
    task, and not before; one that Redis refuses waits longer each time, and stops no other.
    """

    def __init__(self, broker: Broker):
        super().__init__()
        self._broker = broker

    def tick(self) -> float:
        """Sweep a slice of each outbox; the pause is 0 while there is more."""
        return min(map(self._sweep, outbox.databases()), default=IDLE_SECONDS)

    def _sweep(self, database: str) -> float:
        try:
            return self._sweep_slice(database)
        except TooLate:  # it slept: whoever has the next turn delivers what is left
            logger.warning("event=outbox_turn_over database=%s", database)
            return BUSY_SECONDS
        except DatabaseError as error:  # the others are not to suffer for it
            logger.warning("event=outbox_not_swept database=%s error=%s", database, error)
            outbox.close(database)
            return FAILED_SECONDS

    def _sweep_slice(self, database: str) -> float:
        first = outbox.rows(database).order_by("turn_us").values_list("turn_us", flat=True).first()
        if first is None:
            return IDLE_SECONDS
        now_us = self._broker.server_time_us() - MARGIN_US
        if first >= now_us:
            return min((first - now_us) / 1e6 + 0.01, IDLE_SECONDS)
        turn_us = self._turn_after(now_us + MARGIN_US, TURN_US)
        taken = self._take(database, now_us, turn_us)
        self._deliver(database, taken, turn_us)
        return 0.0 if taken else BUSY_SECONDS

    def _take(self, database: str, now_us: int, turn_us: int) -> list[Outbox]:
        """Write a turn of ours into rows whose turn is over, and return those that have it.

        Without a reason: one that has a reason is known to be put off, and in nobody's hands.
        """
        over = outbox.rows(database).filter(turn_us__lt=now_us).order_by("turn_us")[:ROWS]
        sizes = over.annotate(size=Length("definition")).values_list("id", "size")
        ids = next(sized_slices(sizes, MOST_BYTES), [])
        over = outbox.rows(database).filter(id__in=ids, turn_us__lt=now_us)
        taken = over.update(turn_us=turn_us, reason="")
        return list(outbox.rows(database).filter(id__in=ids, turn_us=turn_us)) if taken else []

    def _turn_after(self, us: int, span_us: int) -> int:
        """When a turn of ours ends. Odd, and of this term: no one else writes the same."""
        return (us + span_us) // 1000 * 1000 + (2 * self._broker.term + 1) % 1000

    def _deliver(self, database: str, taken: Sequence[Outbox], turn_us: int) -> None:
        """See that Redis has had these tasks, and delete their rows."""
        waiting, refused = {}, {}
        for row in taken:
            try:
                message = TaskMessage.decode(bytes(row.definition))
            except ValueError as error:
                refused[row.id] = f"unreadable: {error}"
            else:
                waiting[row.id] = Waiting(message, row.durability, len(row.definition))
        there = self._known(waiting)
        self._done(database, there, "known")
        for some in outbox.pushes(
            each for task_id, each in waiting.items() if task_id not in there
        ):
            pushed, no = self._push(some, turn_us)
            refused |= no
            self._done(database, pushed, "pushed")
        for row in taken:
            if row.id in refused:
                self._put_off(database, row, refused[row.id])

    def _known(self, waiting: dict[str, Waiting]) -> set[str]:
        """Those that Redis has, as durable as they have to be, or that the database has."""
        found: set[str] = set()
        for shard in shards():
            here = self._broker.read(list(waiting), shard)
            for durability in {waiting[task_id].durability for task_id in here}:
                some = [task_id for task_id in here if waiting[task_id].durability == durability]
                if durability != FAST:
                    self._broker.confirm(some, durability, shard)
                found.update(some)
        ids = [task_id for task_id in waiting if task_id not in found]
        if ids:  # in this order: what Redis forgets meanwhile, the database has by then
            found.update(outbox.recorded(ids))
        return found

    def _push(self, some: list[Waiting], turn_us: int) -> tuple[list[str], dict[str, str]]:
        """Submit tasks of one call. Return the ids that are in Redis, and why others are not."""
        try:
            self._broker.must_lead()
            outbox.push(self._broker, some, turn_us)
        except REFUSALS as error:
            if len(some) == 1:
                task_id = some[0].message.id
                if isinstance(error, DuplicateTask):  # it is there, or another stands for it
                    return [task_id], {}
                return [], {task_id: f"{type(error).__name__}: {error}"}
        else:
            return [each.message.id for each in some], {}
        half = len(some) // 2  # one is refused; the others are not to suffer for it
        pushed, refused = self._push(some[:half], turn_us)
        more, no = self._push(some[half:], turn_us)
        return pushed + more, refused | no

    def _done(self, database: str, ids: Iterable[str], how: str) -> None:
        ids = list(ids)
        if ids:
            outbox.delete(database, ids)
            logger.info("event=outbox_swept tasks=%d how=%s database=%s", len(ids), how, database)

    def _put_off(self, database: str, row: Outbox, reason: str) -> None:
        """Try again later, and ever later."""
        logger.warning(
            "event=outbox_refused task=%s tries=%d reason=%s", row.id, row.tries + 1, reason
        )
        pause_us = min(FIRST_PAUSE_US * 2 ** min(row.tries, 10), LONGEST_PAUSE_US)
        outbox.rows(database).filter(id=row.id, turn_us=row.turn_us).update(
            tries=row.tries + 1,
            reason=printable(reason, 500),
            turn_us=self._turn_after(row.turn_us - TURN_US, pause_us),
        )
