"""Which keys what is stored takes, and how what is over comes under the newest one.

A task that is open ends under the key that it was submitted with: Redis and the database have to
agree on its definition, and nobody may change that while a worker has it. So an old key stays in
ENCRYPTION_KEYS until nothing takes it any more; ``dtps keys`` says when that is.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from django.db import models, router, transaction

from .. import outbox
from ..audit.live import Live
from ..broker import broker, keys
from ..exceptions import KeyMissing, SealBroken
from ..message import State
from ..models import Quarantine, Schedule, TaskRecord
from ..schedules import sealed
from ..states import FINAL, Status
from .sealing import fingerprint_in, fingerprints, is_on, resealed, seal
from .sensitive import result_of, taken, without

ROWS = 100  # in one transaction: definitions may be large
CLEAR = "-"  # stands for the key of what is sensitive, and not encrypted
HISTORY, OPEN, OUTBOX, SCHEDULES, QUARANTINE = PLACES = (
    "history", "open", "outbox", "schedules", "quarantine",
)  # fmt: skip

READABLE = (ValueError, TypeError, LookupError, RecursionError)


class Texts(NamedTuple):
    """What is stored of a task."""

    id: str
    definition: bytes
    state: bytes


@dataclass
class Uses:
    """How many tasks and schedules take which key."""

    counts: dict[str, Counter[str]] = field(
        default_factory=lambda: {place: Counter() for place in PLACES}
    )  # place -> fingerprint, or CLEAR -> how many
    looked_at: int = 0

    def of(self, key: str) -> dict[str, int]:
        return {place: count[key] for place, count in self.counts.items()}

    @property
    def keys(self) -> list[str]:
        """Those that there are, in their order, and then others that something takes."""
        found = [key for count in self.counts.values() for key in count]
        return list(dict.fromkeys([*fingerprints(), *sorted(found)]))

    def is_free(self, key: str) -> bool:
        """Whether nothing takes it."""
        return not any(self.of(key).values())


@dataclass
class Rotation:
    """What has become of the history so far."""

    looked_at: int = 0
    renewed: int = 0
    open: int = 0  # they end as they are
    lost: int = 0  # no key opens them


def count(uses: Uses) -> Iterator[str]:
    """Count which keys what is stored takes. Give the last id of each batch of the history.

    What ends meanwhile may be counted twice, or with what was open and with the history.
    """
    for texts in _live():
        _note(uses, OPEN, texts)
    for database in outbox.databases():
        rows = outbox.rows(database).values_list("id", "definition")
        for task_id, definition in rows.iterator(chunk_size=ROWS):
            _note(uses, OUTBOX, Texts(task_id, bytes(definition), b""))
    for schedule in Schedule.objects.iterator(chunk_size=ROWS):
        uses.looked_at += 1
        if text := sealed.sealed_in(schedule):
            uses.counts[SCHEDULES][fingerprint_in(text)] += 1
        elif sealed.is_clear(schedule):
            uses.counts[SCHEDULES][CLEAR] += 1
    for row in Quarantine.objects.iterator(chunk_size=ROWS):
        _note(uses, QUARANTINE, Texts(row.task_id, bytes(row.definition), bytes(row.state)))
    for rows in _batches():
        for row in rows:
            _note(uses, HISTORY, Texts(row.id, bytes(row.definition), bytes(row.state)))
        yield rows[-1].id


def rotate(done: Rotation) -> Iterator[str]:
    """Bring what is over, and the schedules, under the first key; also what was in the clear.

    Can be broken off and begun again at any time. Gives the last id of each batch. Raise
    KeyMissing if there is no key at all.
    """
    if not is_on():
        raise KeyMissing("ENCRYPTION_KEYS has no key to encrypt with.")
    for schedule_id in Schedule.objects.order_by("id").values_list("id", flat=True):
        _rotate_schedule(schedule_id, done)
    for row in Quarantine.objects.iterator(chunk_size=ROWS):
        if new := _renewed(Texts(row.task_id, bytes(row.definition), bytes(row.state)), done):
            Quarantine.objects.filter(pk=row.pk).update(definition=new.definition, state=new.state)
    for rows in _batches():
        _rotate_rows(rows, done)
        yield rows[-1].id


def keys_of(texts: Texts) -> set[str]:
    """The keys that a task takes: their fingerprints, and CLEAR."""
    if b'"sensitive"' not in texts.definition:
        return set()
    try:
        fields, lines = _fields(texts.definition), _lines(texts.state)
    except READABLE:
        return set()
    found = {fingerprint_in(fields["sealed"])} if fields.get("sealed") else set()
    if fields.get("hidden") and not fields.get("sealed"):
        found.add(CLEAR)
    for line in lines:
        if line.get("sealed"):
            found.add(fingerprint_in(line["sealed"]))
        elif _is_clear(fields, line):
            found.add(CLEAR)
    return found


def renewed(texts: Texts) -> Texts:
    """The same under the first key. Raise KeyMissing or SealBroken, or as what is no task does.

    Nothing else of the texts is changed: they are not read as this version would write them.
    """
    head, _, _ = texts.definition.partition(b"\n")
    fields = _fields(texts.definition)
    if fields.get("sealed"):
        fields["sealed"] = resealed(fields["sealed"], texts.id)
    elif paths := [tuple(path) for path in fields.get("hidden", ())]:
        args, kwargs = fields.get("args", []), fields.get("kwargs", {})
        fields["sealed"] = seal(taken(paths, args, kwargs), texts.id)
        fields["args"], fields["kwargs"] = without(paths, args, kwargs)
    definition = head + b"\n" + msgspec.json.encode(fields)
    return Texts(texts.id, definition, _renewed_state(texts, fields))


def _renewed_state(texts: Texts, fields: dict[str, Any]) -> bytes:
    header, _, _ = texts.state.partition(b"\n")
    lines, bound_to = _lines(texts.state), result_of(texts.id)
    for line in lines:
        if line.get("sealed"):
            line["sealed"] = resealed(line["sealed"], bound_to)
        elif _is_clear(fields, line):
            line["sealed"] = seal(line.pop("result"), bound_to)
    return b"\n".join([header, *map(msgspec.json.encode, lines), b""]) if texts.state else b""


def _rotate_rows(rows: Sequence[TaskRecord], done: Rotation) -> None:
    done.looked_at += len(rows)
    wanted = {row.id: row for row in rows if _is_old(_texts_of(row))}
    live = broker().get_many(list(wanted)) if wanted else {}
    found = []
    for row in wanted.values():
        if row.status not in FINAL or row.id in live:
            done.open += 1
        elif new := _renewed(_texts_of(row), done):
            found.append((row, new))
    with transaction.atomic(using=router.db_for_write(TaskRecord)):
        for row, new in found:
            # Not if it was retried meanwhile: the row is newer then.
            same = TaskRecord.objects.filter(
                id=row.id, epoch=row.epoch, run=row.run, version=row.version
            )
            same.update(definition=new.definition, state=new.state)


def _rotate_schedule(schedule_id: int, done: Rotation) -> None:
    with transaction.atomic(using=router.db_for_write(Schedule)):
        schedule = Schedule.objects.select_for_update().filter(id=schedule_id).first()
        if schedule is None:
            return
        text = sealed.sealed_in(schedule)
        if fingerprint_in(text) == fingerprints()[0] or not (text or sealed.is_clear(schedule)):
            return
        try:
            columns = sealed.plain_of(schedule)
        except (KeyMissing, SealBroken):
            done.lost += 1
            return
        columns = sealed.stored(schedule.name, schedule.type, columns, schedule.options)
        schedule.args, schedule.kwargs, schedule.options = columns
        schedule.save(update_fields=["args", "kwargs", "options"])
        done.renewed += 1


def _renewed(texts: Texts, done: Rotation) -> Texts | None:
    """The same under the first key; None if it is so already, or cannot be."""
    if not _is_old(texts):
        return None
    try:
        new = renewed(texts)
    except (KeyMissing, SealBroken, *READABLE):
        done.lost += 1
        return None
    done.renewed += 1
    return new


def _is_old(texts: Texts) -> bool:
    return bool(keys_of(texts) - {fingerprints()[0]})


def _note(uses: Uses, place: str, texts: Texts) -> None:
    uses.looked_at += 1
    uses.counts[place].update(keys_of(texts))


def _live() -> Iterator[Texts]:
    """What Redis has."""
    for shard in keys.shards():
        live = Live(broker(), shard)
        for ids in live.fields("payloads"):
            yield from (Texts(seen.id, seen.definition, seen.state) for seen in live.tasks(ids))


def _batches() -> Iterator[list[TaskRecord]]:
    """The history in order of ids."""
    fields = ("id", "status", "epoch", "run", "version", "definition", "state")
    rows: models.QuerySet[TaskRecord] = TaskRecord.objects.order_by("id").only(*fields)
    some = list(rows[:ROWS])
    while some:
        yield some
        some = list(rows.filter(id__gt=some[-1].id)[:ROWS])


def _texts_of(row: TaskRecord) -> Texts:
    return Texts(row.id, bytes(row.definition), bytes(row.state))


def _fields(definition: bytes) -> dict[str, Any]:
    return msgspec.json.decode(definition.partition(b"\n")[2], type=dict[str, Any])


def _lines(state: bytes) -> list[dict[str, Any]]:
    lines = State.decode(state).lines
    return [msgspec.json.decode(line, type=dict[str, Any]) for line in lines.split(b"\n") if line]


def _is_clear(fields: dict[str, Any], line: dict[str, Any]) -> bool:
    """Whether an attempt's result is sensitive, and not encrypted."""
    names = fields.get("sensitive", ())
    is_hidden = "return" in names or "*" in names
    return is_hidden and line.get("outcome") == Status.COMPLETED and "result" in line
