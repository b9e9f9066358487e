"""A worker's lease: renewed each beat, and what is said while Redis does not answer."""

import logging
import time
from collections.abc import Iterable
from typing import Any

from redis.exceptions import RedisError

from tasks_app.broker import Broker
from tasks_app.conf import conf
from tasks_app.exceptions import TaskSystemError

logger = logging.getLogger(__name__)

SAY_SECONDS = 5.0  # between two lines that say the same


class Lease:
    """Keeps one worker on the register."""

    def __init__(self, broker: Broker, worker: str):
        self.was_over = False  # whether it ran out before the last renewal
        self._broker = broker
        self._worker = worker
        self._renewed_at = time.monotonic()
        self._silent_since: float | None = None
        self._said_at = 0.0

    def renew(self, said: dict[str, Any], executors: Iterable[str]) -> list[dict] | None:
        """Renew it. Return the orders for the worker, or None if Redis does not answer."""
        try:
            orders = self._broker.fleet.announce(self._worker, said, executors=executors)
        except (TaskSystemError, RedisError) as error:
            self.note_silence(error)
            return None
        now = time.monotonic()
        self.was_over = now - self._renewed_at > conf().lease_seconds
        self._renewed_at = now
        if self._silent_since is not None:
            seconds = now - self._silent_since
            logger.info("event=redis_back worker=%s after=%.1f", self._worker, seconds)
            self._silent_since = None
        return orders

    def note_silence(self, error: Exception) -> None:
        """Say that Redis does not answer; not again and again."""
        now = time.monotonic()
        if self._silent_since is None:
            self._silent_since, self._said_at = now, -SAY_SECONDS
        if now - self._said_at >= SAY_SECONDS:
            self._said_at = now
            logger.warning("event=waiting_for_redis worker=%s error=%s", self._worker, error)
