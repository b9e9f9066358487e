"""A worker's lease: renewed each beat, and what is said while Redis does not answer."""

import logging
import time
from collections.abc import Iterable
from typing import Any

from redis.exceptions import RedisError

from tasks_app.broker import Broker
from tasks_app.broker.answers import Announced
from tasks_app.conf import conf
from tasks_app.exceptions import TaskSystemError

from ..executor.clock import boottime_ns
from .guard import SHARE, Watch

logger = logging.getLogger(__name__)

SAY_SECONDS = 5.0  # between two lines that say the same


class Lease:
    """Keeps one worker on the register, and the guard informed."""

    def __init__(self, broker: Broker, worker: str, queues: Iterable[str], watch: Watch):
        self.was_over = False  # whether it ran out before the last renewal
        self._broker = broker
        self._worker = worker
        self._queues = tuple(queues)
        self._watch = watch
        self._renewed_ns = 0
        self._silent_since: float | None = None
        self._said_at = 0.0

    @property
    def is_answering(self) -> bool:
        """Whether Redis answered last time. If not, only the next renewal tries again.

        So a call that hangs costs the supervisor its time once a beat, and not at each turn.
        """
        return self._silent_since is None

    @property
    def is_kept(self) -> bool:
        """Whether executors may work: others do not have their tasks yet."""
        return self._watch.seconds_left(SHARE * conf().lease_seconds) > 0

    def renew(self, said: dict[str, Any], executors: Iterable[str]) -> Announced | None:
        """Renew it. Return what came with that, or None if Redis does not answer."""
        now_ns = boottime_ns()  # before the call: the lease may count from when it was carried out
        try:
            announced = self._broker.fleet.announce(
                self._worker, said, executors=executors, queues=self._queues
            )
        except (TaskSystemError, RedisError) as error:
            self.note_silence(error)
            return None
        lease_ns = conf().lease_seconds * 1e9
        self.was_over = self._renewed_ns > 0 and now_ns - self._renewed_ns > lease_ns
        self._renewed_ns = now_ns
        self._watch.renewed(now_ns)
        self.note_answer()
        return announced

    def note_silence(self, error: Exception) -> None:
        """Say that Redis does not answer; not again and again."""
        now = time.monotonic()
        if self._silent_since is None:
            self._silent_since, self._said_at = now, -SAY_SECONDS
        if now - self._said_at >= SAY_SECONDS:
            self._said_at = now
            logger.warning("event=waiting_for_redis worker=%s error=%s", self._worker, error)

    def note_answer(self) -> None:
        """Redis answers, or is to be asked again whatever was before."""
        if self._silent_since is not None:
            seconds = time.monotonic() - self._silent_since
            logger.info("event=redis_back worker=%s after=%.1f", self._worker, seconds)
            self._silent_since = None
