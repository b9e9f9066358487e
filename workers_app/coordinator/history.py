"""The record of tasks in the database: written in batches, and only ever forward."""

import logging
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any

import msgspec
from django.db import DataError, IntegrityError, connections, router, transaction
from django.db.models import BinaryField

from tasks_app.models import Quarantine, TaskRecord, TaskRemarks
from tasks_app.remarks import Remarks

from . import ledger
from .ledger import Mark
from .rows import Row, printable

logger = logging.getLogger(__name__)

# What a driver or a database says of a value that it does not take.
REFUSALS = (DataError, IntegrityError, ValueError, OverflowError)

SIZES = (1000, 100, 10, 1)  # of a statement, in rows


@dataclass(frozen=True, slots=True)
class Refused:
    """A task that has no row, and why."""

    id: str
    definition: bytes
    state: bytes
    reason: str


def write(rows: Sequence[Row], mark: Mark | None = None) -> list[Refused]:
    """Write rows, each task once, in one transaction; return those that the database refuses.

    A row that is older than what the database has changes nothing. The same transaction moves the
    ledger to ``mark``.
    """
    if not rows:
        return []
    try:
        _upsert(rows, mark)
    except REFUSALS as error:
        if len(rows) == 1:
            row = rows[0]
            return [Refused(row.id, row.definition, row.state, f"{type(error).__name__}: {error}")]
        half = len(rows) // 2
        return write(rows[:half], mark) + write(rows[half:], mark)
    return []


def write_remarks(remarks: Mapping[str, Remarks]) -> None:
    """Write what tasks said of themselves; what is older than what is there changes nothing."""
    rows = [(task_id, said.at_ms, said.text) for task_id, said in sorted(remarks.items())]
    table = TaskRemarks._meta.db_table
    alias = router.db_for_write(TaskRemarks)
    statement = (
        f"INSERT INTO {table} (id,at_ms,text) VALUES (%s,%s,%s) ON CONFLICT (id) DO UPDATE "  # noqa: S608
        f"SET at_ms=excluded.at_ms,text=excluded.text WHERE excluded.at_ms>={table}.at_ms"
    )
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        cursor.executemany(statement, rows)


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


def _upsert(rows: Sequence[Row], mark: Mark | None) -> None:
    connection = connections[router.db_for_write(TaskRecord)]
    # The driver's own cursor, since Django's would rewrite the long statement each time.
    with transaction.atomic(using=connection.alias), connection.wrap_database_errors:
        if connection.vendor == "postgresql":
            cursor = connection.Database.Cursor(connection.connection)
            cursor.execute(_from_json(connection.alias), [_encode([row._asdict() for row in rows])])
        else:
            for some in _slices(rows, _most_rows(connection.connection)):
                values = list(chain.from_iterable(some))
                connection.connection.execute(_from_values(len(some)), values)
        if mark:
            ledger.advance(mark, connection.alias)


def _slices(rows: Sequence[Row], most: int) -> Iterator[Sequence[Row]]:
    """Parts of few sizes, since SQLite keeps the statement for each size prepared."""
    done = 0
    while done < len(rows):
        size = next(size for size in SIZES if size <= min(len(rows) - done, most))
        yield rows[done : done + size]
        done += size


def _most_rows(raw: sqlite3.Connection) -> int:
    """How many rows fit into one statement."""
    return raw.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // len(Row._fields)


@cache
def _from_values(rows: int) -> str:
    """For SQLite: a parameter each value. Half the time of executemany()."""
    marks = ",".join("?" * len(Row._fields))
    return _statement(f"VALUES {','.join([f'({marks})'] * rows)}")


@cache
def _from_json(alias: str) -> str:
    """For Postgres: one parameter. Its driver spends five times as long on a parameter a value."""
    fields = [TaskRecord._meta.get_field(name) for name in Row._fields]
    binary = {field.name for field in fields if isinstance(field, BinaryField)}
    columns = [f"decode({n}, 'base64')" if n in binary else n for n in Row._fields]
    types = ["text" if f.name in binary else f.db_type(connections[alias]) for f in fields]
    declared = ",".join(f"{n} {t}" for n, t in zip(Row._fields, types, strict=True))
    return _statement(
        f"SELECT {','.join(columns)} FROM json_to_recordset(%s::json) AS new({declared})"  # noqa: S608
    )


def _encode(rows: Sequence[dict[str, Any]]) -> str:
    return msgspec.json.encode(rows).decode()  # bytes as base64


def _statement(rows: str) -> str:
    """The upsert; SQLite and Postgres speak ON CONFLICT alike."""
    table, columns = TaskRecord._meta.db_table, Row._fields
    news = ",".join(f"{column}=excluded.{column}" for column in columns[1:])
    return (
        f"INSERT INTO {table} ({','.join(columns)}) {rows} "
        f"ON CONFLICT (id) DO UPDATE SET {news} "
        f"WHERE (excluded.epoch,excluded.run,excluded.version)>"
        f"({table}.epoch,{table}.run,{table}.version)"
    )
