"""A task that is not started here: it goes back, or has failed if no worker could ever start it."""

import logging

from tasks_app.broker.answers import Settlement
from tasks_app.conf import conf
from tasks_app.exceptions import KeyMissing, TaskSystemError, UnknownTaskType
from tasks_app.message import Attempt, now_us
from tasks_app.registry import resolve
from tasks_app.states import Status

from .errors import message_of, type_path
from .job import Job

logger = logging.getLogger(__name__)

LONGEST_RELEASE_MS = 60_000  # a task of an unknown type is tried again at least this often
GIVEN_BACK = Status.PENDING.value
FAILED = Status.FAILED.value


def put_off(job: Job, worker: str, error: TaskSystemError) -> Settlement:
    """Another worker may know the type, or have the key: back, for longer the older it is."""
    message = job.message
    since_us = max(message.submitted_us, message.run_after_us)
    age_ms = (now_us() - since_us) // 1000
    if 0 < conf().unknown_type_seconds * 1000 < age_ms:
        return given_up(job, worker, error)
    line = b""
    if not _is_said(job, error):
        line = Attempt(
            run=job.state.run,
            worker=worker,
            ended_us=now_us(),
            outcome=GIVEN_BACK,
            error_type=type_path(error),
            error=message_of(error),
        ).encode()
    pause_ms = max(1000, min(age_ms, LONGEST_RELEASE_MS))
    why = "key_missing" if isinstance(error, KeyMissing) else "unknown_type"
    logger.warning("event=%s task=%s type=%s", why, message.id, message.type)
    return back(job, pause_ms, line)


def given_up(job: Job, worker: str, error: TaskSystemError) -> Settlement:
    """It has failed, and nothing of it was run."""
    attempt = Attempt(
        number=job.state.starts + 1,
        run=job.state.run,
        worker=worker,
        ended_us=now_us(),
        outcome=FAILED,
        error_type=type_path(error),
        error=message_of(error),
    )
    logger.warning(
        "event=failed task=%s type=%s error_type=%s",
        job.message.id, job.message.type, attempt.error_type,
    )  # fmt: skip
    return Settlement(id=job.message.id, token=job.token, outcome="failed", line=attempt.encode())


def back(job: Job, pause_ms: int = 0, line: bytes = b"") -> Settlement:
    """Back into its queue after a pause, with a line for its attempts if there is one.

    Its slot may have been published as begun by now, which counts as no start then.
    """
    return Settlement(
        id=job.message.id, token=job.token, outcome="turned_away", pause_ms=pause_ms, line=line
    )


def unknown_type(name: str) -> UnknownTaskType:
    """The error that says so, with the reason if there is one."""
    try:
        resolve(name)
    except UnknownTaskType as error:
        return error
    return UnknownTaskType(f"There is no task type {name!r}.")


def _is_said(job: Job, error: TaskSystemError) -> bool:
    """Whether an attempt since the last one that began says this already: once is enough."""
    for attempt in reversed(job.state.attempts):
        if attempt.error_type == type_path(error):
            return True
        if attempt.number:
            break
    return False
