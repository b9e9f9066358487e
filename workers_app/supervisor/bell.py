"""Hears at once when there is an order for a worker, while its supervisor sleeps.

A ring says no more than that: the orders themselves are fetched. So a ring that is lost costs
one beat, and everything here may fail quietly.
"""

import os
import time

from redis.connection import AbstractConnection
from redis.exceptions import RedisError

from tasks_app.broker import keys
from tasks_app.broker.connection import Link
from tasks_app.exceptions import TaskSystemError

WAIT_SECONDS = 20  # for which the server is asked to wait before it says that nothing came
LATE_SECONDS = 5.0  # beyond that, after which the connection is taken to be dead


class Bell:
    """One connection with a blocking call on it; its file can be read when there is an answer."""

    def __init__(self, link: Link, worker: str):
        self._link = link
        self._keys = [keys.key(shard, f"workers:bell:{worker}") for shard in keys.shards()]
        self._connection: AbstractConnection | None = None
        self._asked_at = 0.0
        _bells.append(self)

    @property
    def files(self) -> list[int]:
        """What to wait for: one file, or none while there is no connection."""
        sock = self._connection and self._connection._sock
        return [sock.fileno()] if sock else []

    def listen(self) -> None:
        """See to it that a call is outstanding, if the server lets us."""
        if self._connection is not None:
            if time.monotonic() - self._asked_at > WAIT_SECONDS + LATE_SECONDS:
                self.close()
            return
        try:
            self._connection = self._link.open()
            self._ask()
        except (TaskSystemError, RedisError, OSError):
            self.close()

    def has_rung(self) -> bool:
        """Whether there may be an order. A connection that broke counts: a ring may be lost."""
        if self._connection is None:
            return False
        try:
            if not self._connection.can_read(0):
                return False
            answer = self._connection.read_response()
            self._ask()
            return answer is not None
        except (RedisError, OSError):
            self.close()
            return True

    def close(self) -> None:
        if self._connection is not None:
            self._connection.disconnect()
            self._connection = None

    def abandon(self) -> None:
        """In a child: the connection is another process'."""
        sock = self._connection and self._connection._sock
        if sock:
            os.close(sock.detach())  # shutdown() would end the other process' stream too
            self._connection._sock = None
        self._connection = None

    def _ask(self) -> None:
        self._connection.send_command("BLPOP", *self._keys, WAIT_SECONDS)
        self._asked_at = time.monotonic()


_bells: list[Bell] = []


def _after_fork() -> None:
    for bell in _bells:
        bell.abandon()


os.register_at_fork(after_in_child=_after_fork)
