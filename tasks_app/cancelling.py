"""Cancelling open tasks wherever they are: in Redis, or in the outbox on their way there.

A row of the outbox belongs to one at a time (see outbox.py). While it is somebody's turn, his push
may land at any moment: then the task is cancelled in Redis. When the turn is over, or the row only
waits since Redis has refused its task, we take the next turn, and look as the sweeper does whether
a push before us took effect. If none did, none will any more: the task is stored in Redis as
cancelled, and goes from there into the history, like any other.

Whoever is killed in between leaves a row whose turn ends, and has told nobody that it was done.
"""

import time
from collections.abc import Sequence
from contextlib import suppress

from . import outbox
from .broker import broker
from .exceptions import TooLate, WrongState
from .message import TaskMessage
from .outbox import Row, Waiting
from .states import Status

PATIENCE_SECONDS = 15.0  # for turns of others; they end sooner, by clocks that go right
POLL_SECONDS = 0.05


def cancel(ids: Sequence[str], *, by: str = "", why: str = "") -> dict[str, Status | None]:
    """End open tasks. Return the status that each had before, as ``Broker.cancel`` does.

    It is None for one that neither Redis nor an outbox has. Raise WrongState for one in an outbox
    if that cannot be said yet; all others are dealt with then.
    """
    before = broker().cancel(ids, by=by, why=why)
    left = [task_id for task_id, status in before.items() if status is None]
    until = time.monotonic() + PATIENCE_SECONDS
    while left:
        rows = outbox.standing(left)
        dealt = _withdraw(rows, by, why)
        # What has left the outbox before this look was in Redis before it left.
        rest = [task_id for task_id in left if task_id not in dealt]
        before |= dealt | broker().cancel(rest, by=by, why=why)
        left = [row.id for row in rows if row.id not in dealt and before[row.id] is None]
        if left:
            _must_go_on(rows, until)
            time.sleep(POLL_SECONDS)
    return before


def _must_go_on(rows: Sequence[Row], until: float) -> None:
    """Raise WrongState if waiting for the turns of others makes no sense (any more)."""
    if any(outbox.is_in_transaction(database) for database in {row.database for row in rows}):
        raise WrongState("The task is on its way out of a transaction; cancel it outside of one.")
    if time.monotonic() > until:
        raise WrongState("The task is being brought to the queue just now; try again.")


def _withdraw(rows: Sequence[Row], by: str, why: str) -> dict[str, Status | None]:
    """Cancel those of the tasks in outboxes whose turn can be ours. Return their statuses before.

    None: the history knows the task.
    """
    dealt: dict[str, Status | None] = {}
    for database in {row.database for row in rows}:
        if outbox.is_in_transaction(database):  # what we take would be taken when that commits
            continue
        taken, turn_us = outbox.take(database, [row for row in rows if row.database == database])
        found = broker().cancel(list(taken), by=by, why=why)
        dealt |= {task_id: status for task_id, status in found.items() if status}
        # In this order: what Redis forgets meanwhile, the history has by then.
        left = [task_id for task_id in taken if task_id not in dealt]
        dealt |= dict.fromkeys(outbox.recorded(left))
        waiting = [each for task_id, each in taken.items() if task_id not in dealt]
        dealt |= dict.fromkeys(_bury(database, waiting, turn_us, by, why), Status.PENDING)
    return dealt


def _bury(database: str, waiting: Sequence[Waiting], turn_us: int, by: str, why: str) -> list[str]:
    """Store tasks as cancelled in our turn, and delete their rows. Return the ids of those."""
    done: list[str] = []
    for some in outbox.pushes(waiting):
        messages: list[TaskMessage] = [each.message for each in some]
        with suppress(TooLate):  # we slept: another one has the next turn
            broker().bury(
                messages, not_after_ms=turn_us // 1000, durability=some[0].durability,
                by=by, why=why,
            )  # fmt: skip
            ids = [message.id for message in messages]
            outbox.delete(database, ids)
            done += ids
    return done
