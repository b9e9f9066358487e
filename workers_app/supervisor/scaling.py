"""Keeps the number of slots at what the autoscaler or an operator wants."""

import logging
import time

from redis.exceptions import RedisError

from tasks_app.broker import Broker
from tasks_app.broker.answers import Announced
from tasks_app.exceptions import TaskSystemError

from ..autoscaling.autoscaler import Decision
from ..autoscaling.scaler import Scaler
from ..control import MOST_SLOTS, PoolConfig
from .lease import Lease
from .seats import Seats
from .tally import Tally

logger = logging.getLogger(__name__)


class Scaling:
    """Tells the autoscaler how things are, each beat, and does what it decides."""

    def __init__(
        self, broker: Broker, worker: str, config: PoolConfig, seats: Seats, tally: Tally,
        lease: Lease,
    ):  # fmt: skip
        self._broker = broker
        self._worker = worker
        self._seats = seats
        self._tally = tally
        self._lease = lease
        self._scaler = Scaler(config.min_workers, config.max_workers)

    @property
    def bounds(self) -> tuple[int, int]:
        """The fewest and the most slots that the autoscaler chooses."""
        return self._scaler.fewest, self._scaler.most

    def order(self, slots: int) -> None:
        """An operator wants so many slots; the autoscaler goes on from there."""
        slots = max(1, min(slots, MOST_SLOTS))
        self._scaler.resized(slots)
        self._seats.resize(slots)

    def tick(self, announced: Announced) -> None:
        """Decide, each time that the lease was renewed."""
        if self._seats.is_paused:
            return
        decision = self._decide(announced)
        if decision is None:
            return
        self._seats.resize(decision.to_slots)
        try:
            self._broker.fleet.keep_decision(decision.to_json() | {"worker": self._worker})
        except (TaskSystemError, RedisError) as error:
            self._lease.note_silence(error)

    def _decide(self, announced: Announced) -> Decision | None:
        children = self._seats.children
        total = self._tally.total(children)
        try:
            return self._scaler.tick(
                time.monotonic(),
                slots=self._seats.wanted,
                # Coroutines are many in one slot.
                busy=sum(min(child.board.load()[0], child.threads) for child in children),
                done=total.completed + total.failed,
                busy_us=total.busy_us,
                backlog=sum(announced.backlog.values()),
                demand=list(announced.demand.values()),
            )
        except OSError as error:  # the host's numbers cannot be had: too many open files
            logger.warning("event=not_scaled worker=%s error=%s", self._worker, error)
            return None
