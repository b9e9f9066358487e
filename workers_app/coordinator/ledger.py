"""The ledger: how far the record is, written together with the rows that it speaks of."""

import json
from typing import NamedTuple

from django.db import connections

from tasks_app.broker.wire import position
from tasks_app.models import Ledger

NUMBER = 1  # of its only row
_TABLE = Ledger._meta.db_table
_SEE = f"SELECT last_change FROM {_TABLE} WHERE id = {NUMBER}"  # noqa: S608
_KEEP = f"UPDATE {_TABLE} SET last_change = %s, updated_at = CURRENT_TIMESTAMP WHERE id = {NUMBER}"  # noqa: S608


class Mark(NamedTuple):
    """The last change in a shard that a row may tell of."""

    shard: int
    change: str  # its id in the stream


def read() -> Ledger:
    """The ledger as it stands; an empty one if there is none yet."""
    return Ledger.objects.filter(pk=NUMBER).first() or Ledger(pk=NUMBER)


def locked(using: str) -> Ledger:
    """The ledger, for nobody but the running transaction until that ends."""
    found = Ledger.objects.using(using).select_for_update().filter(pk=NUMBER)
    ledger = found.first()
    if ledger is None:  # created so that whoever comes second does not fail
        Ledger.objects.using(using).bulk_create([Ledger(pk=NUMBER)], ignore_conflicts=True)
        ledger = found.get()
    return ledger


def advance(mark: Mark, using: str) -> None:
    """Note, in the running transaction, how far its rows go. It never goes back."""
    shard = str(mark.shard)
    marks = _marks(using)
    if position(mark.change) <= position(marks.get(shard, "0-0")):
        return
    marks[shard] = mark.change
    with connections[using].cursor() as cursor:
        cursor.execute(_KEEP, [json.dumps(marks)])


def _marks(using: str) -> dict[str, str]:
    """The last changes by shard, for nobody else until the running transaction ends."""
    # In SQL, since it is a part of every batch: the ORM takes ten times as long.
    lock = " FOR UPDATE" if connections[using].features.has_select_for_update else ""
    with connections[using].cursor() as cursor:
        cursor.execute(_SEE + lock)
        found = cursor.fetchone()
    return json.loads(found[0]) if found else locked(using).last_change
