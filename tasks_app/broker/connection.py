"""The way to Redis: what a lost answer means, and connections that outlive a call.

redis-py's own client is not used for the hot path: by default it silently repeats a call whose
answer timed out, up to ten times, and its pool costs a third of a call. A connection here serves
one call at a time, is kept for the next one, and never crosses a fork.
"""

import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn

from redis import ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection
from redis.exceptions import (
    ConnectionError,
    NoScriptError,
    OutOfMemoryError,
    RedisError,
    ResponseError,
    TimeoutError,
)
from redis.retry import Retry

from ..conf import conf
from ..exceptions import LostLead, QueueFull, QueueUnavailable, UnknownOutcome
from . import keys
from .durability import confirmation, is_confirmed
from .scripts import Script

FRESH_SECONDS = 1.0  # a connection used this recently is taken to be alive
MOST_SPARES = 64

# Error codes by which a server says that it cannot write now, and may later.
NOT_NOW = frozenset(
    {"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MISCONF", "BUSY"}
    | {"NOREPLICAS", "NOAUTH", "WRONGPASS", "NOPERM"}
)


class Link:
    """Calls to one server. Safe to use from many threads, and after a fork."""

    def __init__(
        self,
        url: str,
        *,
        timeout: float,
        check: Callable[[AbstractConnection], None] | None = None,
    ):
        self.url = url
        self.timeout = timeout
        self.check = check  # of each new connection; may raise QueueUnavailable
        self.run_id = ""  # of the server that was last connected to, if the check looks at it
        self.pool = ConnectionPool.from_url(
            url,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            health_check_interval=0,
            client_name="dtps",
        )
        self._spares: deque[tuple[AbstractConnection, float]] = deque(maxlen=MOST_SPARES)
        _links.append(self)

    def call(self, *command: Any, answer_within: float | None = None) -> Any:
        """Send one command; return its answer, bytes for texts.

        Raise QueueUnavailable if it was not carried out, UnknownOutcome if that is not known,
        and redis-py's ResponseError if the server refused it. Never repeats it.
        """
        connection = self._take()
        try:
            connection.send_command(*command)
            if answer_within is None:
                answer = connection.read_response()
            else:
                answer = connection.read_response(timeout=answer_within)
        except NoScriptError:
            self._keep(connection)
            raise
        except ResponseError as error:
            self._keep(connection)
            _raise_for(error)
        except (ConnectionError, TimeoutError, OSError) as error:
            connection.disconnect()
            _raise_lost(error, command[0])
        except BaseException:
            connection.disconnect()  # an answer may still be on its way
            raise
        self._keep(connection)
        return answer

    def run(self, script: Script, anchor: str, *arguments: Any) -> Any:
        """Run an operation on the shard of ``anchor``.

        Raises as ``call`` does, and QueueFull and LostLead.
        """
        try:
            return self.call("EVALSHA", script.sha, 1, anchor, *arguments)
        except NoScriptError:  # a server that restarted, failed over, or was told to forget
            return self.call("EVAL", script.text, 1, anchor, *arguments)

    def run_confirmed(self, script: Script, anchor: str, *arguments: Any, by: str) -> Any:
        """Run an operation, then wait on the same connection until its writes are durable.

        Raises as ``run`` does; UnknownOutcome also if it ran and that was not confirmed.
        """
        connection = self._take()
        try:
            answer = _evaluated(connection, script, anchor, arguments)
            _wait_for(connection, by, self.timeout)
        except ResponseError as error:
            self._keep(connection)
            _raise_for(error)
        except (ConnectionError, TimeoutError, OSError) as error:
            connection.disconnect()
            _raise_lost(error, script.name)
        except BaseException:
            connection.disconnect()
            raise
        self._keep(connection)
        return answer

    def client(self) -> Redis:
        """A plain client, for reading and for tests."""
        return Redis(connection_pool=self.pool)

    def close(self) -> None:
        """Close what is open; the next call opens anew."""
        while self._spares:
            self._spares.popleft()[0].disconnect()
        self.pool.disconnect()

    def abandon(self) -> None:
        """Drop the connections without a word to the server: they belong to another process."""
        for connection, _ in self._spares:
            _close_quietly(connection)
        self._spares.clear()
        self.pool.reset()

    def _take(self) -> AbstractConnection:
        while True:
            try:
                connection, used_at = self._spares.pop()  # the warmest
            except IndexError:
                return self.open()
            if time.monotonic() - used_at < FRESH_SECONDS or _is_silent(connection):
                return connection
            connection.disconnect()

    def open(self) -> AbstractConnection:
        """A connection of the caller's own. Raise QueueUnavailable."""
        try:
            # Not by pool.make_connection(), which counts what it makes and refuses after a hundred.
            connection = self.pool.connection_class(**self.pool.connection_kwargs)
        except OSError as error:  # it looks for a file of redis-py's: too many are open
            raise QueueUnavailable(f"There can be no connection to Redis: {error}") from error
        try:
            connection.connect()
            if self.check is not None:
                self.check(connection)
        except (RedisError, OSError) as error:
            connection.disconnect()
            raise QueueUnavailable(
                f"Redis cannot be reached at {safe(self.url)}: {error}"
            ) from error
        except BaseException:
            connection.disconnect()
            raise
        return connection

    def _keep(self, connection: AbstractConnection) -> None:
        if len(self._spares) < MOST_SPARES:
            self._spares.append((connection, time.monotonic()))
        else:
            connection.disconnect()


def _is_silent(connection: AbstractConnection) -> bool:
    """Whether nothing, not even the end of the stream, waits to be read."""
    try:
        return not connection.can_read(0)
    except (RedisError, OSError):
        return False


def _close_quietly(connection: AbstractConnection) -> None:
    sock = getattr(connection, "_sock", None)
    if sock is not None:
        os.close(sock.detach())  # shutdown() would end the other process' stream too
        connection._sock = None


def run_id_in(info: bytes) -> str:
    """The run id in what a server says to INFO; another one after each start."""
    return re.search(rb"run_id:(\w+)", info)[1].decode()


def gate_check(connection: AbstractConnection) -> str:
    """Return the run id of a server. Raise QueueUnavailable while it has restarted and no leader
    has looked at it since.

    It may have come back with less than it had; then what was lost is restored first.
    """
    connection.send_command("GET", keys.key(0, "gate"))
    gate = connection.read_response()
    connection.send_command("INFO", "server")
    run_id = run_id_in(connection.read_response())
    if gate is not None and gate.decode() != run_id:
        raise QueueUnavailable("Redis has restarted: waiting until a leader has looked at it.")
    return run_id


class GuardedLink(Link):
    """A link of an executor: to a server that a leader has found sound, or to none."""

    def __init__(self, url: str, *, timeout: float):
        super().__init__(url, timeout=timeout, check=self._pass_gate)

    def _pass_gate(self, connection: AbstractConnection) -> None:
        self.run_id = gate_check(connection)


def _evaluated(connection: AbstractConnection, script: Script, anchor: str, given: Any) -> Any:
    for word, text in (("EVALSHA", script.sha), ("EVAL", script.text)):
        connection.send_command(word, text, 1, anchor, *given)
        try:
            return connection.read_response()
        except NoScriptError:
            if word == "EVAL":
                raise


def _wait_for(connection: AbstractConnection, mode: str, timeout: float) -> None:
    """Wait until what the connection wrote is durable. Raise UnknownOutcome."""
    connection.send_command(*confirmation(mode))
    try:
        answer = connection.read_response(timeout=conf().confirm_seconds + timeout)
    except ResponseError as error:
        raise UnknownOutcome(f"It is stored, but not known to be {mode}: {error}") from error
    if not is_confirmed(mode, answer):
        raise UnknownOutcome(f"It is stored, but was not confirmed to be {mode} in time.")


def _raise_lost(error: Exception, what: str) -> NoReturn:
    if getattr(error, "status_code", None):  # it did answer: LOADING, NOAUTH, too many clients
        raise QueueUnavailable(f"Redis refuses to work at the moment: {error}") from error
    raise UnknownOutcome(f"Redis did not answer {what}: {error}") from error


def _raise_for(error: ResponseError) -> NoReturn:
    if isinstance(error, OutOfMemoryError):
        raise QueueFull("Redis has no memory left for more tasks.") from error
    code = str(error).partition(" ")[0]
    if code == "LOSTLEAD":
        raise LostLead("Somebody else leads by now.") from error
    if code in NOT_NOW or type(error) is not ResponseError:
        raise QueueUnavailable(f"Redis refuses to work at the moment: {error}") from error
    raise error


def safe(url: str) -> str:
    """The address without its password."""
    before, at, after = url.partition("?")[0].rpartition("@")
    return f"{before.partition('://')[0]}://***@{after}" if at else after


_links: list[Link] = []
_lock = threading.Lock()


@cache
def _link(url: str, timeout: float) -> Link:
    return Link(url, timeout=timeout)


def link(url: str | None = None, *, timeout: float | None = None) -> Link:
    """The process' link to ``url``, by default to the configured server with its timeout."""
    with _lock:
        return _link(url or conf().redis_url, timeout or conf().socket_timeout_seconds)


def close_all() -> None:
    """Close every open connection, as before a fork."""
    for each in _links:
        each.close()


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    for each in _links:
        each.abandon()


_register: Callable[..., None] = os.register_at_fork
_register(after_in_child=_after_fork)
