"""From a validated request to tasks in the queue."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .. import enqueue, registry
from ..conf import conf
from ..enqueue import TaskRequest
from ..exceptions import InvalidCall, UnknownOutcome
from ..message import TaskMessage, priority_of
from ..options.dependence import parents_in
from ..registry import TaskType
from .errors import SubmitUnknown

# What the door calls a field -> what the API calls it.
NAMES = {
    "args": "payload",
    "kwargs": "payload",
    "max_attempts": "retries",
    "retry_on": "retryOn",
    "give_up_on": "giveUpOn",
    "run_after": "runAfter",
    "debounce_most": "debounceMost",
    "idempotency_key": "idempotencyKey",
    "limit_key": "limitKey",
    "depends_on": "dependsOn",
    "if_parent_fails": "ifParentFails",
    "takes_results": "takesResults",
}


class Submitted(NamedTuple):
    """What became of a submit."""

    id: str
    is_new: bool  # or the task was there already, and stands for it


def submit(task: Mapping[str, Any]) -> Submitted:
    """Submit one task. Raise as ``enqueue.submit`` does, and SubmitUnknown."""
    return store([message_of(task)], task.get("durability"), [task])[0]


def submit_all(
    tasks: Sequence[Mapping[str, Any]], durability: str | None = None
) -> list[Submitted]:
    """Submit several tasks, all of them or none; errors by index."""
    messages, errors = [], {}
    for index, task in enumerate(tasks):
        try:
            messages.append(message_of(task))
        except InvalidCall as error:
            errors[str(index)] = error.errors
    if errors:
        raise InvalidCall({"tasks": errors})
    return store(messages, durability, tasks)


def request_of(task: Mapping[str, Any]) -> TaskRequest:
    """What a validated submit asks for. Raise UnknownTaskType."""
    task_type = registry.get(task["taskType"])
    level = task.get("priority")
    return TaskRequest(
        type=task_type,
        args=[task["payload"]] if "payload" in task else task.get("args", []),
        kwargs=task.get("kwargs", {}),
        queue=task.get("queue"),
        priority=None if level is None else priority_of(level),
        run_after_us=task.get("runAfter") or 0,
        deadline_us=task.get("deadline") or 0,
        expires_us=task.get("expires") or 0,
        max_attempts=_max_attempts(task.get("retries"), task_type),
        backoff=task.get("backoff"),
        timeout=task.get("timeout"),
        retry_on=task.get("retryOn"),
        give_up_on=task.get("giveUpOn"),
        tags=task.get("tags"),
        unique=task.get("unique"),
        debounce=task.get("debounce"),
        debounce_most=task.get("debounceMost"),
        idempotency_key=task.get("idempotencyKey"),
        rate=task.get("rate"),
        concurrency=task.get("concurrency"),
        per=task.get("per"),
        limit_key=task.get("limitKey"),
        sensitive=task.get("sensitive"),
        depends_on=task.get("dependsOn"),
        if_parent_fails=task.get("ifParentFails"),
        takes_results=task.get("takesResults"),
    )


def retries_of(task_type: TaskType) -> int:
    """The retries of a submit over REST that does not say."""
    declared = task_type.max_attempts
    return conf().rest_retries if declared is None else declared - 1


def _max_attempts(retries: int | None, task_type: TaskType) -> int:
    return 1 + (retries_of(task_type) if retries is None else retries)


def message_of(task: Mapping[str, Any]) -> TaskMessage:
    """The task that a validated submit asks for. Raise InvalidCall with the API's names."""
    try:
        return enqueue.message_of(request_of(task))
    except InvalidCall as error:
        raise InvalidCall(_renamed(error.errors, task)) from error


def store(
    messages: Sequence[TaskMessage],
    durability: str | None = None,
    tasks: Sequence[Mapping[str, Any]] = (),
) -> list[Submitted]:
    """Store tasks, all of them or none. Raise as ``enqueue.store`` does, and SubmitUnknown.

    ``tasks`` are the submits that the messages were made of, if some wait for others.
    """
    parents = {
        message.id: found
        for message, task in zip(messages, tasks, strict=False)
        if (found := parents_in(task.get("dependsOn")))
    }
    try:
        others = enqueue.store(messages, durability or conf().submit_durability, parents)
    except InvalidCall as error:
        raise InvalidCall(_renamed(error.errors, {})) from error
    except UnknownOutcome as error:
        raise SubmitUnknown(str(error), [message.id for message in messages]) from error
    return [Submitted(others.get(m.id, m.id), m.id not in others) for m in messages]


def _renamed(errors: dict[str, list[str]], task: Mapping[str, Any]) -> dict[str, list[str]]:
    names = NAMES if "payload" in task else {**NAMES, "args": "args", "kwargs": "kwargs"}
    return {names.get(name, name): said for name, said in errors.items()}
