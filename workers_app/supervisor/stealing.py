"""Hands over to idle executors what a busy one has in hand and has not started.

A busy executor cannot help it: its task may hold the interpreter's lock. So this is done by its
supervisor, for whichever executor offers to take something, of any worker.
"""

import logging

from redis.exceptions import RedisError

from tasks_app.broker import Broker
from tasks_app.conf import conf
from tasks_app.exceptions import TaskSystemError

from ..control import PoolConfig
from ..executor.lanes import Lane
from .lease import Lease
from .recovery import Recovery
from .seat import Child

logger = logging.getLogger(__name__)

LOADED_SECONDS = 0.1  # a slice is about half of that; what is still unstarted then is stuck
MOST_AT_ONCE = 256
EAGER_LOOKS = 10  # looks for a taker without finding one, after which to look less often
RARE_SECONDS = 0.5


class Stealing:
    """The victim's side. The thief's offer stands in Redis while it is idle."""

    def __init__(
        self, broker: Broker, worker: str, config: PoolConfig, lanes: list[Lane], lease: Lease,
        recovery: Recovery,
    ):  # fmt: skip
        self.stolen_from = 0  # tasks that others took
        self._broker = broker
        self._worker = worker
        self._lanes = lanes
        self._lease = lease
        self._recovery = recovery
        self._is_on = config.enable_steal or not conf().steal_protects
        self._vain = 0  # looks for a taker in a row that found none
        self._next_look = 0.0

    def tick(self, children: list[Child], now: float) -> None:
        """Relieve every executor that is loaded, as long as somebody takes."""
        if not self._is_on or now < self._next_look or not self._lease.is_answering:
            return
        loaded = [child for child in children if is_loaded(child, now)]
        try:
            found = [self._relieve(child, lane) for child in loaded for lane in self._lanes]
        except (TaskSystemError, RedisError) as error:
            self._lease.note_silence(error)
            return
        if found:
            self._vain = 0 if any(found) else self._vain + 1
            self._next_look = now + RARE_SECONDS if self._vain > EAGER_LOOKS else 0.0

    def _relieve(self, child: Child, lane: Lane) -> bool:
        """Hand over half of what is unstarted, and again. Return whether anybody took some."""
        is_relieved = False
        while waiting := child.board.load()[1]:
            taker = self._broker.taker(self._worker, child.executor, lane.queues)
            taken = child.board.take(min(MOST_AT_ONCE, -(-waiting // 2))) if taker else {}
            if not taken:
                break
            moved = self._hand_over(child, taker, taken, lane)
            if not moved:
                break
            is_relieved = True
        return is_relieved

    def _hand_over(self, child: Child, taker: str, taken: dict[str, str], lane: Lane) -> int:
        moved: list[str] = []
        try:
            moved = self._broker.steal(child.executor, taker, taken, lane.shard)
        finally:  # also if the answer was lost: what did change hands is not ours to give back
            left = {i: token for i, token in taken.items() if i not in set(moved)}
            if left:
                self._recovery.of_unstarted(child.executor, left)
        self.stolen_from += len(moved)
        logger.info(
            "event=handed_over executor=%s taker=%s tasks=%d", child.executor, taker, len(moved)
        )
        return len(moved)


def is_loaded(child: Child, now: float) -> bool:
    """Whether it has had tasks of one slice in hand for so long without starting them."""
    return child.board.load()[1] > 0 and now - child.same_slice_since >= LOADED_SECONDS
