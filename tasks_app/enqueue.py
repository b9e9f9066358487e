"""The one door into the queue: for REST, for Python, for whoever submits.

A task is stored the moment that this returns, also inside an atomic block: a worker may run it
before the block has committed. Until the outbox is there, write
``transaction.on_commit(partial(task.enqueue, ...))`` where that matters.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from uuid_utils import uuid7

from .broker import broker
from .compat import DEFAULT_TASK_BACKEND_ALIAS, signals
from .conf import conf
from .exceptions import DuplicateTask, InvalidCall, ValueTooLarge
from .listening import is_heard, tell
from .lookup import is_id
from .message import HIGHEST_PRIORITY, LOWEST_PRIORITY, TaskMessage, now_us
from .normalize import normalized, queue_error, size_of
from .registry import TaskType
from .results import enqueued_result, task_of

LATEST_US = 253_402_300_799_999_999  # the last moment of the year 9999
EARLIEST_US = -62_135_596_800_000_000  # the first one of the year 1
MOST_ATTEMPTS = 1_000_000
MOST_SECONDS = 10 * 366 * 86_400  # of a pause or a time limit


class TaskRequest(NamedTuple):
    """What somebody asks for. None leaves an option to the type, and then to the settings."""

    type: TaskType
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = {}
    queue: str | None = None
    priority: int | None = None  # Django's, -100 to 100
    run_after_us: int = 0
    deadline_us: int = 0
    expires_us: int = 0
    max_attempts: int | None = None
    backoff: float | None = None  # seconds
    timeout: float | None = None  # seconds
    backend: str = DEFAULT_TASK_BACKEND_ALIAS
    id: str | None = None  # a new one if None


def submit(requests: Sequence[TaskRequest]) -> list[TaskMessage]:
    """Store tasks, all of them or none. Raise as ``message_of`` and the broker's submit do."""
    messages = [message_of(request) for request in requests]
    store(messages)
    return messages


def store(messages: Sequence[TaskMessage]) -> None:
    """Store tasks, all of them or none, then say so by ``task_enqueued``."""
    if len({message.id for message in messages}) < len(messages):
        raise DuplicateTask("Two tasks of one call have the same id.")
    broker().submit_many(messages)
    if is_heard(signals.task_enqueued):
        for message in messages:
            tell(signals.task_enqueued, enqueued_result(message, task_of(message)))


def message_of(request: TaskRequest) -> TaskMessage:
    """The task that a request asks for.

    Raise InvalidCall, which names the fields that are wrong, or ValueTooLarge.
    """
    errors = options_errors(request)
    values = {}
    for name, value in (("args", list(request.args)), ("kwargs", dict(request.kwargs))):
        try:
            values[name] = normalized(value)
            size_of(values[name])
        except (TypeError, ValueError) as error:
            errors[name] = [f"Cannot be stored as JSON: {error}."]
    if errors:
        raise InvalidCall(errors)
    return message_with(request, values["args"], values["kwargs"])


def message_with(request: TaskRequest, args: list, kwargs: dict) -> TaskMessage:
    """The task that a request with sound options asks for, its arguments normalized already.

    Raise ValueTooLarge, or ValueError if a text in the arguments is not one.
    """
    asked, options = request.type, conf()
    size, limit = size_of((args, kwargs)), options.max_payload_bytes
    if size > limit:
        raise ValueTooLarge(f"The arguments take {size:,} bytes as JSON; {limit:,} are allowed.")
    return TaskMessage(
        id=request.id or str(uuid7()),
        type=asked.name,
        submitted_us=now_us(),
        args=args,
        kwargs=kwargs,
        queue=_given(request.queue, asked.queue),
        priority=int(_given(request.priority, asked.priority)),
        run_after_us=request.run_after_us,
        deadline_us=request.deadline_us,
        expires_us=request.expires_us,
        max_attempts=_given(request.max_attempts, asked.max_attempts, options.max_attempts),
        backoff=float(_given(request.backoff, asked.backoff, options.backoff_seconds)),
        timeout=float(_given(request.timeout, asked.timeout, 0)),
        backend=request.backend,
    )


def options_errors(request: TaskRequest) -> dict[str, list[str]]:
    """What is wrong with a request, apart from its arguments: field -> sentences."""
    said = {
        "id": "" if request.id is None or is_id(request.id) else "This is not a task id.",
        "queue": "" if request.queue is None else queue_error(request.queue),
        "priority": _priority_error(request.priority),
        "run_after": moment_error(request.run_after_us),
        "deadline": moment_error(request.deadline_us),
        "expires": moment_error(request.expires_us) or _expires_error(request.expires_us),
        "max_attempts": attempts_error(request.max_attempts),
        "backoff": seconds_error(request.backoff),
        "timeout": seconds_error(request.timeout),
    }
    return {name: [sentence] for name, sentence in said.items() if sentence}


def attempts_error(value: Any) -> str:
    if value is None or (_is_whole(value) and 1 <= value <= MOST_ATTEMPTS):
        return ""
    return f"The number of attempts must be a whole number from 1 to {MOST_ATTEMPTS:,}."


def seconds_error(value: Any) -> str:
    if value is None:
        return ""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and 0 <= value <= MOST_SECONDS:  # which NaN is not
        return ""
    return f"A pause or a time limit must be a number of seconds from 0 to {MOST_SECONDS:,}."


def moment_error(us: Any) -> str:
    return "" if _is_whole(us) and EARLIEST_US <= us <= LATEST_US else "This is not a moment."


def _expires_error(us: int) -> str:
    return "This moment has passed already." if us and us <= now_us() else ""


def _priority_error(value: Any) -> str:
    if value is None or (_is_whole(value) and LOWEST_PRIORITY <= value <= HIGHEST_PRIORITY):
        return ""
    return f"Must be a whole number from {LOWEST_PRIORITY} to {HIGHEST_PRIORITY}."


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _given(value: Any, declared: Any, default: Any = None) -> Any:
    if value is not None:
        return value
    return default if declared is None else declared
