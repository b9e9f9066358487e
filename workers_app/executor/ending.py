"""How an attempt ended: what is reported of it, and who is told."""

import logging
import resource
import sys
from collections.abc import Callable
from random import Random
from time import thread_time
from typing import Any, NamedTuple

from asgiref.sync import sync_to_async
from django.dispatch import Signal

from tasks_app.broker.answers import Settlement
from tasks_app.compat import TaskResult, signals
from tasks_app.conf import conf
from tasks_app.exceptions import TaskRetry, TaskSnoozed, ValueTooLarge
from tasks_app.listening import is_heard, tell
from tasks_app.message import Attempt, now_us
from tasks_app.normalize import normalized, size_of
from tasks_app.options.retrying import is_last, next_pause_ms
from tasks_app.results import finished_result
from tasks_app.secrecy.sealing import is_on, seal
from tasks_app.secrecy.sensitive import result_of, scrubbed, taken
from tasks_app.states import Status

from .errors import message_of, traceback_of, type_path
from .interrupts import Interrupts
from .job import Job

logger = logging.getLogger(__name__)

WORTH_MEASURING_US = 1_000  # a shorter attempt is not worth a look at its CPU time and memory
RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes

NONE = type(None)
RETURNED = Status.COMPLETED.value  # plain text: reading an enum's value costs more than encoding it
FAILED = Status.FAILED.value
RETRYING = Status.RETRYING.value
SNOOZED = Status.SCHEDULED.value


class Begun(NamedTuple):
    """The clocks at the start of an attempt."""

    at_us: int
    cpu: float


Send = Callable[[Signal, Callable[[], TaskResult]], None]


class Refused(Exception):
    """The task returned what cannot be kept; its cause says why. Running it again is no help."""


class Redacted(Exception):
    """Stands for the error of a task with sensitive arguments, where others may print it."""


class Ending:
    """Makes settlements of what tasks return and raise, for all threads of an executor."""

    def __init__(self, worker: str, interrupts: Interrupts, own_files: tuple[str, ...]):
        """``own_files`` are those whose frames are of no interest to users."""
        self._worker = worker
        self._interrupts = interrupts
        self._own_files = own_files
        self._rng = Random()  # noqa: S311 (jitter)
        self._memory_bytes = _peak_memory()
        self.begin_slice()

    def begin_slice(self) -> None:
        """See who listens."""
        self._hears_end = is_heard(signals.task_finished)

    def returned(self, job: Job, begun: Begun, value: Any, send: Send) -> Settlement:
        """Raise Refused if the value cannot be kept."""
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
            self._tell_finished(job, attempt, send)
        return Settlement(id=job.message.id, token=job.token, outcome="completed", line=line)

    def raised(self, job: Job, begun: Begun, error: BaseException, send: Send) -> Settlement | None:
        """Called inside the except block: who hears of it may ask for the exception."""
        if self._interrupts.is_cancelled(job):
            return None
        if isinstance(error, TaskSnoozed):
            return self._snoozed(job, begun, error)
        self._interrupts.explain(error, job)
        message = job.message
        is_refused = isinstance(error, Refused)
        failures = job.state.failures + 1
        cause = _cause_of(error)
        hide = _hiding(job) if message.hidden or job.secrets else str
        if isinstance(error, TaskRetry):  # it knows better than `retry_on` and `give_up_on`
            is_over = failures >= message.max_attempts
        else:
            is_over = is_refused or is_last(message, failures, type(error))
        attempt = Attempt(
            outcome=FAILED if is_over else RETRYING,
            error_type=type_path(cause),
            error=message_of(cause, hide),
            traceback=traceback_of(cause, () if is_refused else self._own_files, hide),
            **self._measured(job, begun),
        )
        logger.warning(
            "event=%s task=%s type=%s attempt=%d error_type=%s",
            attempt.outcome, message.id, message.type, attempt.number, attempt.error_type,
        )  # fmt: skip
        if is_over and is_heard(signals.task_finished, logging.ERROR):
            self._tell_failed(job, attempt, send)
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
            "worker": self._worker,
            "started_us": begun.at_us,
            "ended_us": ended_us,
            "cpu_seconds": cpu if begun.cpu else 0.0,  # a coroutine has none of its own
            "memory_bytes": self._memory_bytes,
        }

    def _tell_failed(self, job: Job, attempt: Attempt, send: Send) -> None:
        """Whoever hears of it may print the exception, as Django's own receiver does."""
        if not job.message.hidden and not job.secrets:
            self._tell_finished(job, attempt, send)
            return
        try:
            raise Redacted(f"{attempt.error_type}: {attempt.error}") from None
        except Redacted:
            self._tell_finished(job, attempt, send)

    def _tell_finished(self, job: Job, attempt: Attempt, send: Send) -> None:
        send(
            signals.task_finished,
            lambda: finished_result(job.message, job.state, attempt, job.type.task),
        )


def tell_of(signal: Signal, build: Callable[[], TaskResult]) -> None:
    """Send a signal. Whatever goes wrong, also a receiver's SystemExit, changes nothing."""
    try:
        tell(signal, build())
    except BaseException as error:  # noqa: BLE001 (nor is it printed by the log: its class may be evil)
        logger.error("event=signal_failed error_type=%s %s", type_path(error), message_of(error))


class Later:
    """Signals of a coroutine's attempt, sent where its calls of the ORM run.

    On the event loop a receiver could not use the database, nor be a coroutine function itself.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[Signal, Callable[[], TaskResult], BaseException | None]] = []

    def __call__(self, signal: Signal, build: Callable[[], TaskResult]) -> None:
        self._kept.append((signal, build, sys.exc_info()[1]))

    async def send(self) -> None:
        for signal, build, error in self._kept:
            await sync_to_async(_tell_with)(signal, build, error)


def _tell_with(
    signal: Signal, build: Callable[[], TaskResult], error: BaseException | None
) -> None:
    """Send a signal while an error, if there is one, is the one at hand."""
    if error is None:
        tell_of(signal, build)
        return
    trace = error.__traceback__
    try:
        raise error
    except BaseException:  # noqa: BLE001 (SystemExit too is a failure of the task)
        error.__traceback__ = trace  # without this frame
        tell_of(signal, build)


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


def _hiding(job: Job) -> Callable[[str], str]:
    """Takes sensitive arguments, and sensitive results of its parents, out of a text."""
    message = job.message
    values = [*taken(message.hidden, message.args, message.kwargs), *(job.secrets or ())]
    return lambda text: scrubbed(text, values)


def _kept(value: Any) -> Any:
    try:
        return normalized(value)
    except BaseException as error:
        raise Refused from error


def _peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT
