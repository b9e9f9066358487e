"""One attempt: a claimed task in, its outcome out. Whatever the task does, there is one."""

import logging
import resource
import sys
from collections.abc import Callable
from contextvars import Context
from inspect import getfile
from random import Random
from time import thread_time
from typing import Any, NamedTuple

from asgiref.sync import sync_to_async
from django.db import DatabaseError
from django.dispatch import Signal
from msgspec.structs import replace
from redis.exceptions import RedisError

from tasks_app.broker.answers import Settlement
from tasks_app.compat import TaskResult, signals
from tasks_app.conf import conf
from tasks_app.context import enter
from tasks_app.exceptions import (
    KeyMissing,
    QueueUnavailable,
    SealBroken,
    TaskRetry,
    TaskSnoozed,
    TaskSystemError,
    UnknownTaskType,
    ValueTooLarge,
)
from tasks_app.listening import is_heard, tell
from tasks_app.message import Attempt, TaskMessage, now_us
from tasks_app.normalize import normalized, size_of
from tasks_app.registry import TaskType, resolve, task_types
from tasks_app.results import finished_result, running_result
from tasks_app.retrying import is_last, next_pause_ms
from tasks_app.sealing import is_on, seal
from tasks_app.sensitive import opened_call, result_of, scrubbed, taken
from tasks_app.states import Status
from tasks_app.workflows.parents import results_for

from .database import tidy
from .errors import message_of, traceback_of, type_path
from .interrupts import Interrupts
from .job import Job
from .notebook import Notebook
from .page import Page

logger = logging.getLogger(__name__)

WORTH_MEASURING_US = 1_000  # a shorter attempt is not worth a look at its CPU time and memory
RESULTS_AGAIN_SECONDS = 2.0  # until a task is tried again whose parents cannot be looked up
LONGEST_RELEASE_MS = 60_000  # a task of an unknown type is tried again at least this often
RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes

OWN_FILES = (__file__, getfile(Interrupts))  # whose frames are of no interest to users

NONE = type(None)
RETURNED = Status.COMPLETED.value  # plain text: reading an enum's value costs more than encoding it
FAILED = Status.FAILED.value
RETRYING = Status.RETRYING.value
GIVEN_BACK = Status.PENDING.value
SNOOZED = Status.SCHEDULED.value


class Begun(NamedTuple):
    """The clocks at the start of an attempt."""

    at_us: int
    cpu: float


class Refused(Exception):
    """The task returned what cannot be kept; its cause says why. Running it again is no help."""


class Redacted(Exception):
    """Stands for the error of a task with sensitive arguments, where others may print it."""


class Runner:
    """Runs the tasks of one executor, from any of its threads."""

    def __init__(self, worker: str, interrupts: Interrupts, notebook: Notebook):
        self.worker = worker
        self.interrupts = interrupts
        self.notebook = notebook
        self.ahead_us = 0  # the server's clock against ours
        self.begin_slice(now_us() // 1000)
        self._types = task_types()
        self._rng = Random()  # noqa: S311 (jitter)
        self._memory_bytes = _peak_memory()

    def begin_slice(self, server_ms: int) -> None:
        """Compare the clocks by a moment that the server has just said; see who listens."""
        self.ahead_us = server_ms * 1000 - now_us()
        self._hears_start = is_heard(signals.task_started)
        self._hears_end = is_heard(signals.task_finished)

    def type_of(self, name: str) -> TaskType | None:
        """The type of a claimed task; None if it is not installed here."""
        known = self._types.get(name)
        if known is not None:
            return known
        try:
            return resolve(name)
        except UnknownTaskType:
            return None

    def run(self, job: Job) -> Settlement | None:
        """Run a sync task, in a context of its own, and put its database connections in order.

        Return None if it was cancelled meanwhile.
        """
        unfit = self._unfit(job)
        if unfit is not None:
            return unfit
        if job.message.sealed:
            job, unfit = self._opened(job)
            if unfit is not None:
                return unfit
        try:
            return Context().run(self._attempt, job)
        finally:
            tidy()

    async def arun(self, job: Job) -> Settlement | None:
        """Run a coroutine task, with the same outcome."""
        unfit = self._unfit(job)
        if unfit is not None:
            return unfit
        if job.message.sealed:
            job, unfit = self._opened(job)
            if unfit is not None:
                return unfit
        begun = Begun(now_us(), 0.0)
        page = Page(self, job, begun.at_us)
        try:
            function, args = await self._acall(job, page)
            enter(page)
            try:
                coroutine = function(*args, **job.message.kwargs)
                value = await self.interrupts.acall(job, coroutine)
            finally:
                enter(None)
                page.is_over = True
            return self._returned(job, begun, value)
        except BaseException as error:  # noqa: BLE001 (SystemExit too is a failure of the task)
            return self._raised(job, begun, error)

    def _attempt(self, job: Job) -> Settlement | None:
        begun = Begun(now_us(), thread_time())
        page = Page(self, job, begun.at_us)
        try:
            function, args = self._call(job, page)
            enter(page)
            try:
                value = self.interrupts.call(job, function, args, job.message.kwargs)
            finally:
                enter(None)
                page.is_over = True
            return self._returned(job, begun, value)
        except BaseException as error:  # noqa: BLE001 (SystemExit too is a failure of the task)
            return self._raised(job, begun, error)

    # --- before ---

    def _unfit(self, job: Job) -> Settlement | None:
        """Why a task is not to be started: it goes back, and nothing is counted."""
        if job.type is None:
            return self._put_off(job, _unknown_type(job.message.type))
        expires_us = job.message.expires_us
        if expires_us and now_us() + self.ahead_us >= expires_us:
            return self._back(job)  # the next claim expires it
        return None

    def _opened(self, job: Job) -> tuple[Job, Settlement | None]:
        """With its sensitive arguments; or why these cannot be had here."""
        try:
            args, kwargs = opened_call(job.message)
        except KeyMissing as error:
            return job, self._put_off(job, error)
        except SealBroken as error:  # and no other worker could do better
            return job, self._given_up(job, error)
        message = replace(job.message, args=args, kwargs=kwargs, sealed="")
        return job._replace(message=message), None

    def _put_off(self, job: Job, error: TaskSystemError) -> Settlement:
        """Another worker may know the type, or have the key: back, for longer the older it is."""
        message = job.message
        since_us = max(message.submitted_us, message.run_after_us)
        age_ms = (now_us() - since_us) // 1000
        if 0 < conf().unknown_type_seconds * 1000 < age_ms:
            return self._given_up(job, error)
        line = b""
        if not _is_said(job, error):
            line = Attempt(
                run=job.state.run,
                worker=self.worker,
                ended_us=now_us(),
                outcome=GIVEN_BACK,
                error_type=type_path(error),
                error=message_of(error),
            ).encode()
        pause_ms = max(1000, min(age_ms, LONGEST_RELEASE_MS))
        why = "key_missing" if isinstance(error, KeyMissing) else "unknown_type"
        logger.warning("event=%s task=%s type=%s", why, message.id, message.type)
        return self._back(job, pause_ms, line)

    def _given_up(self, job: Job, error: TaskSystemError) -> Settlement:
        attempt = Attempt(
            number=job.state.starts + 1,
            run=job.state.run,
            worker=self.worker,
            ended_us=now_us(),
            outcome=FAILED,
            error_type=type_path(error),
            error=message_of(error),
        )
        logger.warning(
            "event=failed task=%s type=%s error_type=%s",
            job.message.id, job.message.type, attempt.error_type,
        )  # fmt: skip
        return Settlement(
            id=job.message.id, token=job.token, outcome="failed", line=attempt.encode()
        )

    def _back(self, job: Job, pause_ms: int = 0, line: bytes = b"") -> Settlement:
        return Settlement(
            id=job.message.id, token=job.token, outcome="released", pause_ms=pause_ms, line=line
        )

    def _call(self, job: Job, page: Page) -> tuple[Callable[..., Any], list[Any]]:
        """The function and its positional arguments; says that the task has started."""
        task, message = job.type.task, job.message
        if self._hears_start:
            _tell(signals.task_started, lambda: page.result)
        args = message.args
        if message.takes_results and message.has_parents:
            args = [_results_for(message), *args]
        if not task.takes_context:
            return task.func, args
        return task.func, [page.context, *args]

    async def _acall(self, job: Job, page: Page) -> tuple[Callable[..., Any], list[Any]]:
        """The same for a coroutine; what it waited for is looked up beside the event loop."""
        if job.message.takes_results and job.message.has_parents:
            return await sync_to_async(self._call, thread_sensitive=False)(job, page)
        return self._call(job, page)

    def result_of(self, job: Job, started_us: int) -> TaskResult:
        """What an attempt that has begun is told of its task."""
        number = job.state.starts + 1
        return running_result(
            job.message, job.state, number, self.worker, started_us, job.type.task
        )

    # --- after ---

    def _returned(self, job: Job, begun: Begun, value: Any) -> Settlement:
        kind = type(value)
        if kind is not NONE and kind is not bool:
            value = _kept(value)
        measured = self._measured(job, begun)
        if job.message.hides_result and is_on():
            attempt = Attempt(outcome=RETURNED, sealed=_sealed(job, value), **measured)
        else:
            attempt = Attempt(outcome=RETURNED, result=value, **measured)
        try:
            line = attempt.encode()
        except UnicodeEncodeError as error:
            raise Refused from ValueError(f"The result has half a surrogate pair: {error.reason}.")
        longest = conf().max_result_bytes
        if len(line) > longest and (len(attempt.sealed) or size_of(value)) > longest:
            raise Refused from ValueTooLarge(f"The result has more than {longest} bytes as JSON.")
        if self._hears_end:
            self._tell_finished(job, attempt)
        return Settlement(id=job.message.id, token=job.token, outcome="completed", line=line)

    def _raised(self, job: Job, begun: Begun, error: BaseException) -> Settlement | None:
        """Called inside the except block: who hears of it may ask for the exception."""
        if self.interrupts.is_cancelled(job):
            return None
        if isinstance(error, TaskSnoozed):
            return self._snoozed(job, begun, error)
        self.interrupts.explain(error, job)
        message = job.message
        is_refused = isinstance(error, Refused)
        failures = job.state.failures + 1
        cause = _cause_of(error)
        hide = _hiding(message) if message.hidden else str
        if isinstance(error, TaskRetry):  # it knows better than `retry_on` and `give_up_on`
            is_over = failures >= message.max_attempts
        else:
            is_over = is_refused or is_last(message, failures, type(error))
        attempt = Attempt(
            outcome=FAILED if is_over else RETRYING,
            error_type=type_path(cause),
            error=message_of(cause, hide),
            traceback=traceback_of(cause, () if is_refused else OWN_FILES, hide),
            **self._measured(job, begun),
        )
        logger.warning(
            "event=%s task=%s type=%s attempt=%d error_type=%s",
            attempt.outcome, message.id, message.type, attempt.number, attempt.error_type,
        )  # fmt: skip
        if is_over and is_heard(signals.task_finished, logging.ERROR):
            self._tell_failed(job, attempt)
        return Settlement(
            id=message.id,
            token=job.token,
            outcome="failed" if is_over else "retry",
            pause_ms=0 if is_over else self._pause_ms(job, failures, error),
            line=attempt.encode(),
        )

    def _snoozed(self, job: Job, begun: Begun, error: TaskSnoozed) -> Settlement:
        """One line tells of all pauses in a row, or they would be too many."""
        before = job.state.attempts[-1:]
        is_again = bool(before) and before[0].snoozes > 0 and before[0].run == job.state.run
        said = self._measured(job, begun) | {"number": 0}
        snoozes = before[0].snoozes + 1 if is_again else 1
        return Settlement(
            id=job.message.id,
            token=job.token,
            outcome="snoozed_again" if is_again else "snoozed",
            pause_ms=int(error.seconds * 1000),
            line=Attempt(outcome=SNOOZED, snoozes=snoozes, **said).encode(),
        )

    def _pause_ms(self, job: Job, failures: int, error: BaseException) -> int:
        if isinstance(error, TaskRetry) and error.seconds is not None:
            return int(error.seconds * 1000)
        declared = job.type.options.get("backoff")
        declared = declared if callable(declared) else None
        return next_pause_ms(job.message, failures, self._rng, declared, error)

    def _measured(self, job: Job, begun: Begun) -> dict[str, Any]:
        """What an attempt says of itself, whatever its outcome."""
        ended_us = now_us()
        cpu = (ended_us - begun.at_us) / 1e6
        if ended_us - begun.at_us > WORTH_MEASURING_US:
            self._memory_bytes = _peak_memory()
            cpu = round(thread_time() - begun.cpu, 6)
        return {
            "number": job.state.starts + 1,
            "run": job.state.run,
            "worker": self.worker,
            "started_us": begun.at_us,
            "ended_us": ended_us,
            "cpu_seconds": cpu if begun.cpu else 0.0,  # a coroutine has none of its own
            "memory_bytes": self._memory_bytes,
        }

    def _tell_failed(self, job: Job, attempt: Attempt) -> None:
        """Whoever hears of it may print the exception, as Django's own receiver does."""
        if not job.message.hidden:
            self._tell_finished(job, attempt)
            return
        try:
            raise Redacted(f"{attempt.error_type}: {attempt.error}") from None
        except Redacted:
            self._tell_finished(job, attempt)

    def _tell_finished(self, job: Job, attempt: Attempt) -> None:
        _tell(
            signals.task_finished,
            lambda: finished_result(job.message, job.state, attempt, job.type.task),
        )


def _results_for(message: TaskMessage) -> Any:
    """What the tasks returned that this one waited for. While that cannot be had, it pauses."""
    try:
        return results_for(message)
    except (QueueUnavailable, RedisError, DatabaseError, KeyMissing) as error:
        logger.warning("event=results_away task=%s error=%s", message.id, error)
        raise TaskSnoozed(RESULTS_AGAIN_SECONDS) from error


def _tell(signal: Signal, build: Callable[[], TaskResult]) -> None:
    """Send a signal. Whatever goes wrong, also a receiver's SystemExit, changes nothing."""
    try:
        tell(signal, build())
    except BaseException as error:  # noqa: BLE001 (nor is it printed by the log: its class may be evil)
        logger.error("event=signal_failed error_type=%s %s", type_path(error), message_of(error))


def _cause_of(error: BaseException) -> BaseException:
    """The error to be told of: that of the task, where it is wrapped in one of ours."""
    if isinstance(error, Refused):
        return error.__cause__
    if isinstance(error, TaskRetry):
        return error.__cause__ or error.__context__ or error
    return error


def _sealed(job: Job, value: Any) -> str:
    try:
        return seal(value, result_of(job.message.id))
    except UnicodeEncodeError as error:
        raise Refused from ValueError(f"The result has half a surrogate pair: {error.reason}.")


def _hiding(message: TaskMessage) -> Callable[[str], str]:
    """Takes sensitive arguments out of a text."""
    values = taken(message.hidden, message.args, message.kwargs)
    return lambda text: scrubbed(text, values)


def _is_said(job: Job, error: TaskSystemError) -> bool:
    """Whether an attempt since the last one that began says this already: once is enough."""
    for attempt in reversed(job.state.attempts):
        if attempt.error_type == type_path(error):
            return True
        if attempt.number:
            break
    return False


def _kept(value: Any) -> Any:
    try:
        return normalized(value)
    except BaseException as error:
        raise Refused from error


def _unknown_type(name: str) -> UnknownTaskType:
    try:
        resolve(name)
    except UnknownTaskType as error:
        return error
    return UnknownTaskType(f"There is no task type {name!r}.")


def _peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT
