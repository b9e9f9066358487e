"""A task's database connections, put in order after it: only if any was ever opened."""

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

_opened: list[str] = []  # aliases of the connections that this process has opened


def _note(connection: BaseDatabaseWrapper, **kwargs: object) -> None:
    if connection.alias not in _opened:
        _opened.append(connection.alias)


connection_created.connect(_note)


def is_used() -> bool:
    """Whether this process has ever opened a connection."""
    return bool(_opened)


def tidy() -> None:
    """Roll back what the task left open in this thread, and close what is broken or too old."""
    if not _opened:
        return
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
