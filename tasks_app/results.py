"""A task as Django sees it: a TaskResult, built from what Redis or the database has."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.utils import timezone

from .compat import Task, TaskError, TaskResult, TaskResultStatus
from .conf import conf
from .exceptions import KeyMissing, SealBroken, TaskCancelled, TaskExpired
from .message import Attempt, State, StoredTask, TaskMessage, moment
from .options.backoff import DECLARED
from .registry import resolve
from .secrecy.sensitive import declared_names, opened_result, shown_call
from .states import FINAL, Status

READY, RUNNING = TaskResultStatus.READY, TaskResultStatus.RUNNING
SUCCESSFUL, FAILED = TaskResultStatus.SUCCESSFUL, TaskResultStatus.FAILED

CRASHED = "crashed"  # an attempt's outcome, like the next ones
FAILURES = frozenset({Status.FAILED, Status.RETRYING, CRASHED})

# Django has four words: what is not over is READY, also between two attempts.
DJANGOS = {
    status: {Status.PROCESSING: RUNNING, Status.COMPLETED: SUCCESSFUL}.get(
        status, FAILED if status in FINAL else READY
    )
    for status in Status
}


def enqueued_result(message: TaskMessage, task: Task) -> TaskResult:
    """What ``enqueue`` answers; ``task`` is exactly the one that was enqueued."""
    return _result(
        message, task, status=READY, began_us=[], finished_us=0, errors=[], worker_ids=[]
    )


def result_of(stored: StoredTask, backend_alias: str | None = None) -> TaskResult:
    """A snapshot of a task. Raise UnknownTaskType if its type is not installed here."""
    message, state = stored.message, stored.state
    lines = attempts_of_run(state)
    is_running = state.status == Status.PROCESSING
    began_us = [line.started_us for line in lines if line.started_us]
    if is_running:
        # Its exact start is in the executor's hands; this is when that was published.
        began_us.append(state.changed_ms * 1000)
    result = _result(
        message,
        task_of(message, backend_alias=backend_alias),
        status=DJANGOS[state.status],
        began_us=began_us,
        finished_us=_finished_us(state, lines),
        errors=_errors(state, lines),
        worker_ids=_fitted(_workers(lines), state.starts - is_running)
        + [state.worker] * is_running,
    )
    if state.status == Status.COMPLETED and lines:
        _set_return_value(result, message, lines[-1])
    return result


def running_result(
    message: TaskMessage,
    state: State,
    attempt_number: int,
    worker_id: str,
    started_us: int,
    task: Task | None = None,
) -> TaskResult:
    """What the attempt that starts now is told of itself; ``state`` is as it was claimed."""
    lines = attempts_of_run(state)
    return _result(
        message,
        task_of(message, task),
        status=RUNNING,
        began_us=[*(line.started_us for line in lines if line.started_us), started_us],
        finished_us=0,
        errors=_failures(lines),
        worker_ids=[*_fitted(_workers(lines), attempt_number - 1), worker_id],
    )


def finished_result(
    message: TaskMessage, state: State, attempt: Attempt, task: Task | None = None
) -> TaskResult:
    """What is told of the last attempt; ``state`` is as it was claimed, without that attempt."""
    lines = [*attempts_of_run(state), attempt]
    is_completed = attempt.outcome == Status.COMPLETED
    result = _result(
        message,
        task_of(message, task),
        status=SUCCESSFUL if is_completed else FAILED,
        began_us=[line.started_us for line in lines if line.started_us],
        finished_us=attempt.ended_us,
        errors=_failures(lines),
        worker_ids=[*_fitted(_workers(lines[:-1]), attempt.number - 1), attempt.worker],
    )
    if is_completed:
        _set_return_value(result, message, attempt)
    return result


def task_of(
    message: TaskMessage, task: Task | None = None, backend_alias: str | None = None
) -> Task:
    """The task with the options that it was submitted with.

    ``task`` is its declaration, by default the registered one. The options are not validated
    again: settings may have changed since, and what was stored has to stay readable.
    """
    task = task or resolve(message.type).task
    options = {
        "priority": message.priority,
        "queue_name": message.queue,
        "run_after": _when(message.run_after_us),
        "backend": backend_alias or message.backend,
    }
    for name, default in (
        ("max_attempts", conf().max_attempts),
        ("backoff", conf().backoff_seconds),
        ("retry_on", ()),
        ("give_up_on", ()),
        ("timeout", 0),
        ("tags", ()),
        ("unique", None),
        ("debounce", 0),
        ("debounce_most", 0),
        ("rate", ""),
        ("concurrency", 0),
    ):
        declared, submitted = getattr(task, name, None), getattr(message, name)
        is_left_open = declared is None and submitted == default
        options[name] = None if is_left_open else submitted
    options["sensitive"] = declared_names(message.sensitive)
    if options["unique"] is None and getattr(task, "unique", None):
        options["unique"] = False
    if message.backoff == DECLARED:
        options["backoff"] = task.backoff
    for name, us in (("deadline", message.deadline_us), ("expires", message.expires_us)):
        options[name] = moment(us)
    copy = object.__new__(type(task))
    for field in fields(task):
        value = options[field.name] if field.name in options else getattr(task, field.name)
        object.__setattr__(copy, field.name, value)
    return copy


def attempts_of_run(state: State) -> list[Attempt]:
    """The attempts since an operator last opened the task again; all of them, if nobody did."""
    return [attempt for attempt in state.attempts if attempt.run == state.run]


def _result(
    message: TaskMessage, task: Task, *, began_us: list[int], finished_us: int, **given: Any
) -> TaskResult:
    args, kwargs = shown_call(message)
    kind = SealedResult if message.hides_result else TaskResult
    return kind(
        task=task,
        id=message.id,
        enqueued_at=_when(message.submitted_us),
        started_at=_when(began_us[0]) if began_us else None,
        last_attempted_at=_when(began_us[-1]) if began_us else None,
        finished_at=_when(finished_us),
        args=args,
        kwargs=kwargs,
        backend=task.backend,
        **given,
    )


def _set_return_value(result: TaskResult, message: TaskMessage, attempt: Attempt) -> None:
    try:
        value = opened_result(message, attempt)
    except (KeyMissing, SealBroken) as error:
        value = Unopened(error)
    object.__setattr__(result, "_return_value", value)  # Django offers no other way


class Unopened(NamedTuple):
    """Stands for a return value that is encrypted, and cannot be opened here."""

    reason: KeyMissing | SealBroken


class SealedResult(TaskResult):
    """Of a task whose result is sensitive: it need not be possible to open it here."""

    @property
    def return_value(self) -> Any:
        """As Django's. Raise KeyMissing or SealBroken."""
        value = super().return_value
        if isinstance(value, Unopened):
            raise value.reason
        return value


def _when(us: int) -> datetime | None:
    """A datetime as ``timezone.now()`` gives one: without a zone if the project has USE_TZ off."""
    aware = moment(us)
    if aware is None or settings.USE_TZ:
        return aware
    return timezone.make_naive(aware, timezone.get_default_timezone())


def _finished_us(state: State, lines: Sequence[Attempt]) -> int:
    if not state.is_final:
        return 0
    if lines and lines[-1].outcome == state.status and lines[-1].ended_us:
        return lines[-1].ended_us
    return state.changed_ms * 1000


def _workers(lines: Sequence[Attempt]) -> list[str]:
    """The workers of what had started: a given back task may say who could not start it."""
    return [line.worker for line in lines if line.number or line.outcome == CRASHED]


def _fitted(workers: list[str], starts: int) -> list[str]:
    """Exactly one worker for each start: an attempt that was given back leaves no line."""
    workers = workers[len(workers) - starts :] if starts < len(workers) else workers
    return [""] * (starts - len(workers)) + workers


def _errors(state: State, lines: Sequence[Attempt]) -> list[TaskError]:
    errors = _failures(lines)
    if state.status == Status.EXPIRED:
        errors.append(_told(TaskExpired, "It had not begun when its `expires` passed."))
    elif state.status == Status.CANCELLED:
        errors.append(_told(TaskCancelled, lines[-1].error if lines else ""))
    return errors


def _failures(lines: Sequence[Attempt]) -> list[TaskError]:
    return [_error(line) for line in lines if line.outcome in FAILURES]


def _error(line: Attempt) -> TaskError:
    text = line.traceback or f"{line.error_type}: {line.error}\n"
    return TaskError(exception_class_path=line.error_type, traceback=text)


def _told(kind: type[Exception], text: str) -> TaskError:
    path = f"{kind.__module__}.{kind.__qualname__}"
    return TaskError(exception_class_path=path, traceback=f"{path}: {text}\n")
