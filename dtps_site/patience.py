"""How long a web process waits for the database: whoever asks is told soon that it is away."""

import time
from collections.abc import Generator
from typing import Any
from weakref import ref

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

STATEMENT_MS = 1500  # a lock that is waited for counts; what takes longer is no work for a request
ANSWER_SECONDS = 1.8  # for a Postgres that says nothing at all: it had time to refuse by itself
_COMMANDS = {
    "postgresql": f"SET statement_timeout = {STATEMENT_MS}",
    "sqlite": f"PRAGMA busy_timeout = {STATEMENT_MS}",
}


def be_impatient() -> None:
    """Let every connection of this process that is opened from now on give up soon."""
    connection_created.connect(_limit, dispatch_uid=__name__)


def _limit(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    if connection.vendor == "postgresql":
        _bound(connection.connection)
    command = _COMMANDS.get(connection.vendor)
    if command:
        with connection.cursor() as cursor:
            cursor.execute(command)


def _bound(connection: Any) -> None:
    """Let a connection of psycopg wait for no answer longer than ANSWER_SECONDS, then close.

    A server that was stopped, or a network that swallows everything, keeps no time limit of its
    own; and the kernel at its end may go on to confirm what it gets.
    """
    patient, itself = type(connection).wait, ref(connection)  # a cycle would keep it open

    def wait(steps: Generator, *arguments: Any, **options: Any) -> Any:
        until = time.monotonic() + ANSWER_SECONDS
        return patient(itself(), _ended(steps, until, itself()), *arguments, **options)

    connection.wait = wait


def _ended(steps: Generator, until: float, connection: Any) -> Generator:
    """The steps of a conversation with the server; OperationalError once the time is over.

    Each step yields what it waits for, and is told what came: nothing, several times a second.
    """
    try:
        wanted = next(steps)
        while True:
            came = yield wanted
            if not came and time.monotonic() >= until:
                connection.close()
                # Not psycopg's: that would be a reason to connect and wait once more.
                raise OperationalError(f"Postgres said nothing for {ANSWER_SECONDS:g} s.")
            wanted = steps.send(came)
    except StopIteration as end:
        return end.value
