"""Erasing tasks from the history: what has ended, what hangs on it, and what must stay."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from django.db import router, transaction

from .. import outbox
from ..broker import Broker
from ..models import Dependency, Member, TaskRecord, TaskRemarks, WorkflowRecord
from ..states import FINAL

PART = 500  # rows of one statement
OUTBOX = "The outbox has it still."  # the sweeper looks here whether it was pushed already
LIVE = "Redis has it still."
PARENT = "An open task waits for it."
OPEN = "It is open, or gone."


@dataclass(frozen=True, slots=True)
class Erased:
    """What came of it."""

    kept: dict[str, str]  # id -> a sentence why it stays
    seconds: float = 0.0  # that others could not write, or not to these rows


def erase(ids: Sequence[str], queue: Broker, *, ended: Mapping[str, int] | None = None) -> Erased:
    """Erase those of up to 500 tasks that may go, in one short transaction.

    ``ended`` says when they did, by id: one that has ended anew since stays. Raise LostLead.
    """
    kept = kept_of(ids, queue)
    ids = [task_id for task_id in ids if task_id not in kept]
    if not ids:
        return Erased(kept)
    using = router.db_for_write(TaskRecord)
    queue.must_lead()
    with transaction.atomic(using=using):
        began = time.monotonic()
        rows = TaskRecord.objects.using(using).filter(id__in=ids, status__in=FINAL)
        found = rows.select_for_update().order_by("id").values_list("id", "finished_us")
        gone = [i for i, us in found if ended is None or ended[i] == us]
        TaskRecord.objects.using(using).filter(id__in=gone).delete()
        TaskRemarks.objects.using(using).filter(id__in=gone).delete()
        Dependency.objects.using(using).filter(child_id__in=gone).delete()
    seconds = time.monotonic() - began
    drop_empty_workflows(gone, using)
    return Erased(kept | dict.fromkeys(set(ids) - set(gone), OPEN), seconds)


def kept_of(ids: Sequence[str], queue: Broker) -> dict[str, str]:
    """Those of the tasks that must stay, and why."""
    kept = dict.fromkeys(queue.glance(ids), LIVE)
    for database in outbox.databases():
        rows = outbox.rows(database).filter(id__in=ids)
        kept |= dict.fromkeys(rows.values_list("id", flat=True), OUTBOX)
    waited_for = Dependency.objects.filter(parent_id__in=ids, is_open=True)
    return kept | dict.fromkeys(waited_for.values_list("parent_id", flat=True), PARENT)


def drop_empty_workflows(gone: Collection[str], using: str) -> None:
    """Drop the workflows of erased tasks that have no task any more, a part at a time."""
    members = Member.objects.using(using)
    ids = set(members.filter(task_id__in=gone).values_list("workflow_id", flat=True))
    for workflow_id in ids:
        left = members.filter(workflow_id=workflow_id)
        tasks = TaskRecord.objects.using(using).filter(id__in=left.values("task_id"))
        if tasks.exists():
            continue
        while some := list(left.values_list("task_id", flat=True)[:PART]):
            left.filter(task_id__in=some).delete()
        WorkflowRecord.objects.using(using).filter(id=workflow_id).delete()
