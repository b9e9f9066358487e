"""Obeys what a worker is told while it runs: by orders that lie in Redis."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from redis.exceptions import RedisError

from tasks_app.broker import Broker
from tasks_app.exceptions import TaskSystemError

from .lease import Lease

logger = logging.getLogger(__name__)

Handler = Callable[[dict[str, Any]], None]


class Orders:
    """Gives each order to who carries it out; an unknown one, of a newer version, is noted."""

    def __init__(self, broker: Broker, worker: str, lease: Lease, handlers: dict[str, Handler]):
        self._broker = broker
        self._worker = worker
        self._lease = lease
        self._handlers = handlers

    def fetch(self) -> None:
        """Obey what lies there now: somebody has rung."""
        try:
            while orders := self._broker.fleet.orders(self._worker):
                self.obey(orders)
        except (TaskSystemError, RedisError) as error:  # what is left comes with the next beat
            self._lease.note_silence(error)

    def obey(self, orders: Iterable[dict[str, Any]]) -> None:
        """Obey some orders. One that fails does not keep the others back: they come only once."""
        for order in orders:
            handler = self._handlers.get(str(order.get("order")))
            try:
                if handler is None:
                    raise ValueError("unknown")
                logger.info("event=told worker=%s order=%s", self._worker, order["order"])
                handler(order)
            except (KeyError, TypeError, ValueError) as error:
                logger.warning(
                    "event=bad_order worker=%s order=%s error=%r", self._worker, order, error
                )
            except Exception:
                logger.exception("event=order_failed worker=%s order=%s", self._worker, order)
