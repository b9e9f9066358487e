"""How long a web process waits for the database: whoever asks is told soon that it is away."""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

STATEMENT_MS = 1500  # a lock that is waited for counts; what takes longer is no work for a request
_COMMANDS = {
    "postgresql": f"SET statement_timeout = {STATEMENT_MS}",
    "sqlite": f"PRAGMA busy_timeout = {STATEMENT_MS}",
}


def be_impatient() -> None:
    """Let every connection of this process that is opened from now on give up soon."""
    connection_created.connect(_limit, dispatch_uid=__name__)


def _limit(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    command = _COMMANDS.get(connection.vendor)
    if command:
        with connection.cursor() as cursor:
            cursor.execute(command)
