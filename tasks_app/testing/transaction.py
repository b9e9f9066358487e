"""Databases under test: what a task finds there, and what a commit would have done.

A ``TestCase`` rolls its transaction back, so nothing in it is ever committed. To a task that runs
in a test it is to look as if it were: a worker runs it in autocommit.
"""

from collections.abc import Callable, Iterator

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test.testcases import DatabaseOperationForbidden

from workers_app.executor.database import tidy

from .. import outbox
from ..broker import broker
from ..message import TaskMessage

IN_ERROR = 3  # psycopg's word for a transaction that a statement has failed in


class Ground:
    """The databases around one attempt, between its begin and ``leave``."""

    def __init__(self) -> None:
        self._held = [
            (connection, connection.savepoint(), len(connection.run_on_commit))
            for connection in connections.all(initialized_only=True)
            if connection.in_atomic_block
        ]

    def leave(self) -> list[Callable[[], None]]:
        """Put the connections in order. Return what the task wanted to be called on commit.

        An error of the database, which in a worker ends with its statement, does not spoil the
        transaction of the test: what the task wrote in it is rolled back.
        """
        if not self._held:
            _end_open()
            tidy()
        wanted = []
        for connection, savepoint, callbacks in self._held:
            if _is_broken(connection):
                connection.needs_rollback = False
                connection.savepoint_rollback(savepoint)
            else:
                connection.savepoint_commit(savepoint)
                wanted += [callback for _, callback, *_ in connection.run_on_commit[callbacks:]]
            del connection.run_on_commit[callbacks:]
        return wanted


def push_waiting() -> int:
    """Push what was enqueued in open transactions, as their commits would; return how many calls.

    Whoever runs the callbacks later (``captureOnCommitCallbacks``) finds nothing left to push.
    """
    pushed = 0
    for connection in connections.all(initialized_only=True):
        callbacks = connection.run_on_commit
        for n, (savepoints, callback, *more) in enumerate(callbacks):
            if outbox.is_push(callback):
                callbacks[n] = (savepoints, _nothing, *more)
                callback()
                pushed += 1
    return pushed + sum(map(_push_rows, visible_outboxes()))


def enqueued_in_transactions() -> Iterator[TaskMessage]:
    """The tasks that open transactions have enqueued, and that Redis has not seen."""
    for connection in connections.all(initialized_only=True):
        for _, callback, *_ in connection.run_on_commit:
            # Of rows the outbox itself tells.
            if outbox.is_push(callback) and getattr(callback, "args", None):
                for messages in callback.args[0]:
                    yield from messages
    for database in visible_outboxes():
        for definition in outbox.rows(database).values_list("definition", flat=True):
            yield TaskMessage.decode(bytes(definition))


def visible_outboxes() -> list[str]:
    """The databases whose outbox this test may look at."""
    found = []
    for database in outbox.databases():
        try:
            outbox.rows(database).exists()
        except DatabaseOperationForbidden:
            continue
        found.append(database)
    return found


def _push_rows(database: str) -> int:
    rows = list(outbox.rows(database).order_by("id"))
    there = broker().get_many([row.id for row in rows])
    outbox.delete(database, list(there))
    waiting = [
        outbox.Waiting(TaskMessage.decode(bytes(row.definition)), row.durability, 0)
        for row in rows
        if row.id not in there
    ]
    for some in outbox.pushes(waiting):
        outbox.push(broker(), some, outbox.turn_after(broker().server_time_us()))
        outbox.delete(database, [each.message.id for each in some])
    return len(rows)


def _end_open() -> None:
    """Roll back what a task has begun by ``set_autocommit(False)``. A worker closes the connection
    then; a database in memory would be gone."""
    for connection in connections.all(initialized_only=True):
        is_open = connection.connection is not None  # others need not be allowed in this test
        if is_open and not connection.in_atomic_block and not connection.autocommit:
            connection.rollback()
            connection.set_autocommit(True)


def _is_broken(connection: BaseDatabaseWrapper) -> bool:
    """Whether its transaction takes no more statements."""
    info = getattr(connection.connection, "info", None)  # psycopg's; SQLite goes on
    return connection.needs_rollback or getattr(info, "transaction_status", None) == IN_ERROR


def _nothing() -> None:
    """In the place of a callback that was called."""
