"""The record of tasks in the database: written in batches, and only ever forward."""

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from django.db import DataError, IntegrityError, connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from tasks_app.models import Quarantine, TaskRecord

from .rows import Row, printable

logger = logging.getLogger(__name__)

# What a driver or a database says of a value that it does not take.
REFUSALS = (DataError, IntegrityError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class Refused:
    """A task that has no row, and why."""

    id: str
    definition: bytes
    state: bytes
    reason: str


def write(rows: Sequence[Row]) -> list[Refused]:
    """Write rows, each task once, in one transaction; return those that the database refuses.

    A row that is older than what the database has changes nothing.
    """
    if not rows:
        return []
    try:
        _upsert(rows)
    except REFUSALS as error:
        if len(rows) == 1:
            row = rows[0]
            return [Refused(row.id, row.definition, row.state, f"{type(error).__name__}: {error}")]
        half = len(rows) // 2
        return write(rows[:half]) + write(rows[half:])
    return []


def quarantine(refused: Sequence[Refused]) -> None:
    """Keep what has no row as it is; what is there already is not kept twice."""
    for each in refused:
        logger.error("event=quarantined task=%r reason=%s", each.id, each.reason)
        Quarantine.objects.get_or_create(
            task_id=printable(each.id, 64),
            definition=each.definition,
            state=each.state,
            defaults={"reason": printable(each.reason, 2000)},
        )


def _upsert(rows: Sequence[Row]) -> None:
    connection = connections[router.db_for_write(TaskRecord)]
    with transaction.atomic(using=connection.alias), connection.wrap_database_errors:
        for some in _slices(rows, _most_rows(connection)):
            _execute(connection, some)


def _execute(connection: BaseDatabaseWrapper, rows: Sequence[Row]) -> None:
    """Upsert with the driver's own cursor: Django's would rewrite the long statement each time."""
    values = list(chain.from_iterable(rows))
    if connection.vendor == "sqlite":
        connection.connection.execute(_statement("?", len(rows)), values)
    else:
        cursor = connection.Database.Cursor(connection.connection)
        cursor.execute(_statement("%s", len(rows)), values)


def _most_rows(connection: BaseDatabaseWrapper) -> int:
    """How many rows fit into one statement."""
    most_values = 65_535  # of Postgres' protocol
    if connection.vendor == "sqlite":
        most_values = connection.connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
    return most_values // len(Row._fields)


def _slices(rows: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    return (rows[i : i + size] for i in range(0, len(rows), size))


@lru_cache(maxsize=64)
def _statement(mark: str, rows: int) -> str:
    """One upsert of so many rows; ON CONFLICT is spoken alike by SQLite and Postgres."""
    table, columns = TaskRecord._meta.db_table, Row._fields
    values = ",".join([f"({','.join([mark] * len(columns))})"] * rows)
    news = ",".join(f"{column}=excluded.{column}" for column in columns[1:])
    return (
        f"INSERT INTO {table} ({','.join(columns)}) VALUES {values} "  # noqa: S608
        f"ON CONFLICT (id) DO UPDATE SET {news} "
        f"WHERE (excluded.epoch,excluded.run,excluded.version)>"
        f"({table}.epoch,{table}.run,{table}.version)"
    )
