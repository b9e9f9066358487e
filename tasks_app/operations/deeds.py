"""What each action does to a slice of tasks. Each may be done again after a crash in its middle."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace
from redis.exceptions import RedisError

from .. import actions
from ..bounded import sized_slices, sizes_of
from ..broker import Broker, keys
from ..exceptions import QueueUnavailable, TaskSystemError
from ..message import TaskMessage, priority_of
from ..models import TaskRecord
from ..retention.erase import erase
from ..slices import slices
from ..states import FINAL, Status
from .filter import READ_AT_ONCE
from .models import Operation
from .words import Action

MOST_BYTES = 4_000_000  # of tasks that are erased in one transaction

Plan = Mapping[str, int]  # id of a task -> its run, as it was found


@dataclass
class Outcome:
    """What came of a slice."""

    done: int = 0
    skipped: int = 0
    failed: int = 0
    message: str = ""  # of the last one that was not done

    def skip(self, sentence: str, count: int = 1) -> None:
        self.skipped += count
        self.message = sentence if count else self.message

    def fail(self, task_id: str, error: Exception) -> None:
        self.failed += 1
        self.message = f"Task {task_id}: {type(error).__name__}: {error}"


def do(operation: Operation, plan: Plan, queue: Broker, *, again: bool = False) -> Outcome:
    """Do it to the tasks of a slice; ``again`` if some of it may be done already.

    What of a slice is done already counts as done then. Raise QueueUnavailable, LostLead or
    DatabaseError: then it is to be done again.
    """
    outcome = Outcome()
    _DEEDS[Action(operation.action)](operation, plan, queue, again, outcome)
    return outcome


def _retry(operation: Operation, plan: Plan, queue: Broker, again: bool, outcome: Outcome) -> None:
    for task_id, run in plan.items():
        queue.must_lead()  # a retry is the one action that would do more if it were done twice
        try:
            now = actions.must_find(task_id).state.run
            if now == run:
                actions.retry(task_id)
                outcome.done += 1
            elif again and now == run + 1:
                outcome.done += 1
            else:
                outcome.skip("It was retried by somebody else meanwhile.")
        except QueueUnavailable:
            raise
        except TaskSystemError as error:
            outcome.skip(str(error))
        except (RedisError, ValueError) as error:
            outcome.fail(task_id, error)


def _cancel(operation: Operation, plan: Plan, queue: Broker, again: bool, outcome: Outcome) -> None:
    queue.must_lead()
    by = f"{operation.who} (operation {operation.id})"
    for before in queue.cancel(list(plan), by=by).values():
        if before is None:
            outcome.skip("Redis does not know it.")
        elif before not in FINAL or (again and before is Status.CANCELLED):
            outcome.done += 1
        else:
            outcome.skip(f"The task is {before.value} already.")


def _amend(operation: Operation, plan: Plan, queue: Broker, again: bool, outcome: Outcome) -> None:
    wanted = _fields(operation.parameters)
    shard = keys.shard_of(wanted["queue"]) if "queue" in wanted else None
    for ids in slices(plan, READ_AT_ONCE):
        found = 0
        for each in keys.shards():
            raw = queue.read(ids, each)
            found += len(raw)
            if shard in (None, each):
                _amend_some(wanted, raw, queue, each, outcome)
            else:
                outcome.skip(f"Its queue is in another shard than {wanted['queue']}.", len(raw))
        outcome.skip("Redis does not know it.", len(ids) - found)


def _amend_some(
    wanted: dict[str, Any],
    raw: Mapping[str, tuple[bytes, bytes | None]],
    queue: Broker,
    shard: int,
    outcome: Outcome,
) -> None:
    orders: list[tuple[bytes, TaskMessage]] = []
    for task_id, (definition, _) in raw.items():
        try:
            message = TaskMessage.decode(definition)
        except ValueError as error:
            outcome.fail(task_id, error)
            continue
        if (new := replace(message, **wanted)) == message:
            outcome.done += 1  # it is so already
        else:
            orders.append((definition, new))
    queue.must_lead()
    for word in queue.amend(orders, shard).values() if orders else ():
        if word == "amended":
            outcome.done += 1
        else:
            outcome.skip(_WHY.get(word, f"The task is {word}."))


_WHY = {
    "unknown": "Redis does not know it.",
    "other": "It was changed by somebody else meanwhile.",
    "aside": "It is about to be cancelled, by a purge.",
    "queues": "There are as many queues already as there may be (MAX_QUEUES).",
}


def _delete(operation: Operation, plan: Plan, queue: Broker, again: bool, outcome: Outcome) -> None:
    sizes = sizes_of(TaskRecord.objects.filter(id__in=list(plan)))
    gone = len(plan) - len(sizes)
    if again:
        outcome.done += gone
    else:
        outcome.skip("It is gone.", gone)
    for ids in sized_slices(sizes, MOST_BYTES):
        kept = erase(ids, queue).kept
        outcome.done += len(ids) - len(kept)
        for sentence in kept.values():
            outcome.skip(sentence)


def _fields(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What of a TaskMessage is to be different."""
    if "priority" in parameters:
        return {"priority": priority_of(parameters["priority"])}
    return {"queue": parameters["queue"]}


_Deed = Callable[[Operation, Plan, Broker, bool, Outcome], None]
_DEEDS: dict[Action, _Deed] = {
    Action.RETRY: _retry,
    Action.CANCEL: _cancel,
    Action.PRIORITY: _amend,
    Action.QUEUE: _amend,
    Action.DELETE: _delete,
}
