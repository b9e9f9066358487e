"""SQLite, as a project has it that has never thought of a second process writing to its file."""

from typing import Any

from django.db import router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from .late import model


def begin_with_the_lock(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    """Let transactions wait for their turn at their begin, unless the project says how they begin.

    Workers write to the same file. A transaction that has read, and then wants to write while
    another one does, fails at once with "database is locked", however long its timeout is.
    """
    if connection.vendor != "sqlite" or connection.transaction_mode is not None:
        return
    if connection.alias == router.db_for_write(model("TaskRecord")):
        connection.transaction_mode = "IMMEDIATE"


def keep_watch() -> None:
    connection_created.connect(begin_with_the_lock)
