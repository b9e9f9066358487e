"""A task's database connections, put in order after it: only if it opened any."""

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper


def tidy() -> None:
    """Roll back what the task left open in this thread, and close what is broken or too old."""
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None:
            _tidy(connection)


def _tidy(connection: BaseDatabaseWrapper) -> None:
    if _is_in_transaction(connection):
        _discard(connection)
    else:
        connection.close_if_unusable_or_obsolete()


def _is_in_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Whether a transaction is open, also one that was begun behind Django's back."""
    if connection.in_atomic_block or not connection.get_autocommit():
        return True
    raw = connection.connection
    if hasattr(raw, "in_transaction"):  # sqlite3
        return bool(raw.in_transaction)
    info = getattr(raw, "info", None)  # psycopg: 0 is "idle"
    return info is not None and info.transaction_status != 0


def _discard(connection: BaseDatabaseWrapper) -> None:
    """Drop the whole wrapper: one that thinks it is in a transaction cannot be closed."""
    alias = connection.alias
    connection.run_on_commit = []
    del connections[alias]
    connection._close()
