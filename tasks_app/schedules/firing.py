"""From a schedule to a task: the task's id, the row that says so, and the way into the queue.

A slot is fired by one transaction: it writes the Firing, a row of the outbox with the task, and the
schedule's next slot, or none of them. The outbox sees to it that a task which was committed reaches
Redis once, whatever is killed in between; see outbox.py.
"""

import uuid
from datetime import datetime
from functools import partial
from hashlib import sha256

from django.db import router, transaction

from .. import enqueue, outbox
from ..alias import AliasOptions
from ..broker.durability import FAST
from ..compat import task_backends
from ..listening import tell_enqueued
from ..message import TaskMessage, moment, now_us
from .definition import Definition, request_of
from .models import Firing, Schedule

KEPT = 200  # firings of each schedule
LONGEST_REASON = 500


def id_of(schedule: Schedule, slot_us: int) -> str:
    """The id of a slot's task: a UUIDv7 whose time is the slot, the same for whoever asks."""
    text = f"{schedule.salt}\n{schedule.name}\n{slot_us}"
    rest = int.from_bytes(sha256(text.encode(errors="surrogatepass")).digest()[:10], "big")
    number = (slot_us // 1000) << 80 | rest
    number = number & ~(0xF << 76) | 7 << 76  # the version
    return str(uuid.UUID(int=number & ~(0b11 << 62) | 0b10 << 62))  # the variant


def slot_of(task_id: str) -> datetime | None:
    """The moment that a scheduled task was fired for, as its id says; None if it is no UUIDv7."""
    try:
        number = uuid.UUID(task_id)
    except ValueError:
        return None
    return moment((number.int >> 80) * 1000) if number.version == 7 else None


def message_of(schedule: Schedule, task_id: str | None = None) -> TaskMessage:
    """The task that a schedule submits.

    Raise UnknownTaskType, InvalidCall, ValueTooLarge, KeyMissing or SealBroken.
    """
    return enqueue.message_of(request_of(Definition.of(schedule), task_id))


def put(messages: list[TaskMessage], using: str) -> None:
    """Write tasks into the outbox, in the current transaction; pushed when it has committed."""
    for message in messages:
        outbox.put([message], AliasOptions(database=using, durability=_durability(message)))
    if messages:
        transaction.on_commit(partial(tell_enqueued, messages), using=using)


def _durability(message: TaskMessage) -> str:
    how = getattr(task_backends[message.backend], "how", None)
    return how.durability if how else FAST


def run_now(schedule: Schedule) -> Firing:
    """Submit a schedule's task at once, whatever its slots, its pause and its overlap policy.

    Raise as ``message_of`` does, or DatabaseError.
    """
    using = router.db_for_write(Schedule)
    with transaction.atomic(using=using):
        message = message_of(schedule)
        firing = Firing.objects.using(using).create(
            schedule=schedule,
            slot_us=message.submitted_us,
            fired_us=now_us(),
            is_manual=True,
            task_id=message.id,
        )
        put([message], using)
        prune(schedule, using)
    return firing


def prune(schedule: Schedule, using: str, kept: int = KEPT) -> None:
    """Keep the newest firings of a schedule only."""
    rows = Firing.objects.using(using).filter(schedule=schedule)
    oldest = rows.order_by("-id").values_list("id", flat=True)[kept : kept + 1]
    for number in oldest:
        rows.filter(id__lte=number).delete()
