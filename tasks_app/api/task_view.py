"""How the API shows a task: its status, all of it, or a row of a list."""

from datetime import UTC
from typing import Any

from ..message import Attempt, State, StoredTask, TaskMessage, level_of, moment
from ..models import TaskRecord
from ..note import note_of
from ..options.backoff import shown_backoff
from ..options.unique import shown_unique
from ..remarks import NOTHING, Line, Remarks
from ..results import attempts_of_run
from ..secrecy.sensitive import shown_call, shown_names, shown_result
from ..states import FINAL, Status
from ..workflows.parents import ids_for

NEVER = Attempt()
MOST_SHOWN = 100  # tasks that one waited for


def status_of(task: StoredTask) -> dict[str, Any]:
    """What ``GET /api/tasks/status`` answers: the names that its clients know."""
    message, state = task.message, task.state
    attempts = attempts_of_run(state)
    last = attempts[-1] if attempts else NEVER
    end_us = _end_us(state, last)
    return {
        "task_id": message.id,
        "status": state.status.value,
        "output": shown_result(message, last) if state.status is Status.COMPLETED else None,
        "error": "" if state.status is Status.COMPLETED else last.error or last.error_type,
        "start_time": rfc3339(_start_us(state, last)),
        "end_time": rfc3339(end_us),
        "retry_count": max(0, state.failures - (state.status is Status.FAILED)),
        "worker_id": state.worker or last.worker,
        "metrics": {
            "processing_time": _ran_us(last) * 1000,
            "queue_wait_time": _waited_us(message, state, attempts) * 1000,
            "memory_usage": last.memory_bytes,
            "cpu_time": last.cpu_seconds,
        },
        "deadline_missed": 0 < message.deadline_us < end_us,
    }


def all_of(task: StoredTask, said: Remarks = NOTHING) -> dict[str, Any]:
    """What ``GET /api/tasks/{id}`` answers: everything that is known of a task but its log."""
    message, state = task.message, task.state
    args, kwargs = shown_call(message)
    return status_of(task) | {
        "task_type": message.type,
        "args": args,
        "kwargs": kwargs,
        "sensitive": shown_names(message.sensitive),
        "queue": message.queue,
        "priority": level_of(message.priority),
        "submitted_at": rfc3339(message.submitted_us),
        "run_after": rfc3339(message.run_after_us),
        "deadline": rfc3339(message.deadline_us),
        "expires": rfc3339(message.expires_us),
        "retries": message.max_attempts - 1,
        "backoff": shown_backoff(message.backoff),
        "retry_on": list(message.retry_on),
        "give_up_on": list(message.give_up_on),
        "timeout": message.timeout,
        "tags": list(message.tags),
        "unique": shown_unique(message.unique),
        "debounce": message.debounce,
        "idempotency_key": message.idempotency_key,
        "rate": message.rate,
        "concurrency": message.concurrency,
        "limit": message.limit_label,
        "workflow": message.workflow,
        "depends_on": ids_for(message.id, MOST_SHOWN) if message.has_parents else [],
        "if_parent_fails": message.if_parent_fails,
        "takes_results": bool(message.takes_results),
        "run": state.run,
        "crashes": state.crashes,
        "note": note_of(state),
        "progress": progress_of(said),
        "checkpoint": said.state,
        "attempts": [_attempt(attempt) for attempt in state.attempts],
    }


def progress_of(said: Remarks) -> dict[str, Any] | None:
    """How far a task is; None if it told nothing."""
    progress = said.progress
    return progress and {
        "done": progress.done,
        "total": progress.total,
        "note": progress.note,
        "at": rfc3339(progress.at_us),
        "run": progress.run,
        "attempt": progress.attempt,
    }


def log_of(task_id: str, said: Remarks) -> dict[str, Any]:
    """What ``GET /api/tasks/{id}/log`` answers."""
    return {
        "task_id": task_id,
        "lines": [_line(line) for line in said.log],
        "dropped": said.dropped,
    }


def row_of(record: TaskRecord) -> dict[str, Any]:
    """A task in a list, from the history's columns alone: payloads and results may be large."""
    return {
        "task_id": record.id,
        "task_type": record.type,
        "queue": record.queue,
        "priority": record.level,
        "status": record.status,
        "worker_id": record.worker,
        "submitted_at": rfc3339(record.submitted_us),
        "started_at": rfc3339(record.started_us),
        "finished_at": rfc3339(record.finished_us if record.status in FINAL else 0),
        "failures": record.failures,
        "deadline_missed": record.deadline_missed,
        "error": record.error,
    }


def rfc3339(us: int) -> str | None:
    """A moment for people and programs; None for 0."""
    at = moment(us)
    return at and at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _line(line: Line) -> dict[str, Any]:
    return {
        "at": rfc3339(line.at_us),
        "level": line.level,
        "logger": line.logger,
        "text": line.text,
        "run": line.run,
        "attempt": line.attempt,
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "run": attempt.run,
        "worker_id": attempt.worker,
        "start_time": rfc3339(attempt.started_us),
        "end_time": rfc3339(attempt.ended_us),
        "outcome": attempt.outcome,
        "snoozes": attempt.snoozes,
        "error_type": attempt.error_type,
        "error": attempt.error,
        "traceback": attempt.traceback,
        "cpu_time": attempt.cpu_seconds,
        "memory_usage": attempt.memory_bytes,
    }


def _start_us(state: State, last: Attempt) -> int:
    """When the attempt started that runs now, or the last one."""
    return state.changed_ms * 1000 if state.status is Status.PROCESSING else last.started_us


def _ran_us(last: Attempt) -> int:
    return max(0, last.ended_us - last.started_us) if last.started_us else 0


def _end_us(state: State, last: Attempt) -> int:
    """When a task became final: with its last attempt or, as by expiry, without one."""
    if state.status not in FINAL:
        return 0
    return last.ended_us or state.changed_ms * 1000


def _waited_us(message: TaskMessage, state: State, attempts: list[Attempt]) -> int:
    """From when it might have started to when it did; in a later run, from the run before."""
    before = [attempt.ended_us for attempt in state.attempts if attempt.run < state.run]
    since_us = max(message.submitted_us, message.run_after_us, *before)
    started = [attempt.started_us for attempt in attempts if attempt.started_us]
    if not started and state.status is Status.PROCESSING:
        started = [state.changed_ms * 1000]
    return max(0, started[0] - since_us) if started else 0
