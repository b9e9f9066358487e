"""What an operator may do with a task: for the API and the admin."""

from django.db import DatabaseError

from . import cancelling, lookup
from .broker import broker
from .exceptions import TaskNotFound, WrongState
from .message import UNREADABLE, StoredTask
from .states import FINAL, Status
from .workflows.parents import waits_again


def must_find(task_id: str) -> StoredTask:
    """A task, wherever it is. Raise TaskNotFound."""
    task = lookup.find(task_id)
    if task is None:
        raise TaskNotFound("There is no such task.")
    return task


def cancel(task_id: str, *, by: str) -> Status:
    """End an open task; one that runs is interrupted. Return its status before.

    What comes of it is dropped in any case: from now on its executor has no token for it.

    Raise TaskNotFound, or WrongState if it has ended already, or if it is on its way to the queue
    and cannot be stopped there.
    """
    before = _cancel(task_id, by)
    if before is None:
        before = must_find(task_id).state.status
        if before not in FINAL:  # opened again in between
            before = _cancel(task_id, by)
    if before is None:
        raise WrongState(
            "Only the history knows the task; a coordinator has to bring it back first."
        )
    if before in FINAL:
        raise WrongState(f"The task is {before.value} already.")
    return before


def retry(task_id: str) -> int:
    """Open the next run of a finished task, to start at once. Return that run's number.

    If tasks that it waited for are open again, it waits for these.

    Raise TaskNotFound, or WrongState if it is open, or cannot be read any more.
    """
    task = must_find(task_id)
    if task.message.type == UNREADABLE:
        raise WrongState("The task cannot be read; the quarantine has it as it was.")
    # Whoever retries a single task wants it to run, whatever became of those that it waited for.
    waits = task.message.has_parents and waits_again(task_id)
    broker().retry(task.message.again(), task.state, _remarks(task_id), waits=waits)
    return task.state.run + 1


def _cancel(task_id: str, by: str) -> Status | None:
    return cancelling.cancel([task_id], by=by)[task_id] if lookup.is_id(task_id) else None


def _remarks(task_id: str) -> bytes:
    try:
        found = lookup.recorded_remarks([task_id]).get(task_id)
    except DatabaseError:  # then it was Redis that knew the task, and it has them too
        return b""
    return found.text if found else b""
