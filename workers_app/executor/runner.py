"""One attempt: a claimed task in, its outcome out. Whatever the task does, there is one."""

import logging
import resource
import sys
from collections.abc import Callable
from contextvars import Context
from inspect import getfile
from random import Random
from time import thread_time, time_ns
from typing import Any, NamedTuple

from django.dispatch import Signal

from tasks_app.broker.answers import Settlement
from tasks_app.compat import TaskContext, TaskResult, signals
from tasks_app.conf import conf
from tasks_app.exceptions import UnknownTaskType, ValueTooLarge
from tasks_app.listening import is_heard, tell
from tasks_app.message import Attempt, now_us
from tasks_app.normalize import normalized, size_of
from tasks_app.registry import get, task_types
from tasks_app.results import finished_result, running_result
from tasks_app.retrying import next_pause_ms
from tasks_app.states import Status

from .database import tidy
from .errors import message_of, traceback_of, type_path
from .interrupts import Interrupts
from .job import Job

logger = logging.getLogger(__name__)

WORTH_MEASURING_US = 1_000  # a shorter attempt is not worth a look at its CPU time and memory
LONGEST_RELEASE_MS = 60_000  # a task of an unknown type is tried again at least this often
RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes

OWN_FILES = (__file__, getfile(Interrupts))  # whose frames are of no interest to users

NONE = type(None)
RETURNED = Status.COMPLETED.value  # plain text: reading an enum's value costs more than encoding it
FAILED = Status.FAILED.value
RETRYING = Status.RETRYING.value
GIVEN_BACK = Status.PENDING.value


class Begun(NamedTuple):
    """The clocks at the start of an attempt."""

    at_us: int
    cpu: float


class Refused(Exception):
    """The task returned what cannot be kept; its cause says why. Running it again is no help."""


class Runner:
    """Runs the tasks of one executor, from any of its threads."""

    def __init__(self, worker: str, interrupts: Interrupts):
        self.worker = worker
        self.interrupts = interrupts
        self.ahead_us = 0  # the server's clock against ours
        self.begin_slice(now_us() // 1000)
        self.types = task_types()
        self._rng = Random()  # noqa: S311 (jitter)
        self._memory_bytes = _peak_memory()

    def begin_slice(self, server_ms: int) -> None:
        """Compare the clocks by a moment that the server has just said; see who listens."""
        self.ahead_us = server_ms * 1000 - now_us()
        self._hears_start = is_heard(signals.task_started)
        self._hears_end = is_heard(signals.task_finished)

    def run(self, job: Job) -> Settlement | None:
        """Run a sync task, in a context of its own, and put its database connections in order.

        Return None if it was cancelled meanwhile.
        """
        unfit = self._unfit(job)
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
        begun = Begun(now_us(), 0.0)
        try:
            function, args = self._call(job, begun)
            coroutine = function(*args, **job.message.kwargs)
            return self._returned(job, begun, await self.interrupts.acall(job, coroutine))
        except BaseException as error:  # noqa: BLE001 (SystemExit too is a failure of the task)
            return self._raised(job, begun, error)

    def _attempt(self, job: Job) -> Settlement | None:
        begun = Begun(time_ns() // 1000, thread_time())
        try:
            function, args = self._call(job, begun)
            value = self.interrupts.call(job, function, args, job.message.kwargs)
            return self._returned(job, begun, value)
        except BaseException as error:  # noqa: BLE001 (SystemExit too is a failure of the task)
            return self._raised(job, begun, error)

    # --- before ---

    def _unfit(self, job: Job) -> Settlement | None:
        """Why a task is not to be started: it goes back, and nothing is counted."""
        if job.type is None:
            return self._unknown(job)
        expires_us = job.message.expires_us
        if expires_us and now_us() + self.ahead_us >= expires_us:
            return self._back(job)  # the next claim expires it
        return None

    def _unknown(self, job: Job) -> Settlement:
        """An older or a newer worker may know the type: back, for longer the older the task is."""
        message = job.message
        age_ms = (now_us() - message.submitted_us) // 1000
        line = b""
        if not job.state.lines:  # said once is enough
            error = _unknown_type(message.type)
            line = Attempt(
                run=job.state.run,
                worker=self.worker,
                ended_us=now_us(),
                outcome=GIVEN_BACK,
                error_type=type_path(error),
                error=message_of(error),
            ).encode()
        pause_ms = max(1000, min(age_ms, LONGEST_RELEASE_MS))
        logger.warning("event=unknown_type task=%s type=%s", message.id, message.type)
        return self._back(job, pause_ms, line)

    def _back(self, job: Job, pause_ms: int = 0, line: bytes = b"") -> Settlement:
        return Settlement(
            id=job.message.id, token=job.token, outcome="released", pause_ms=pause_ms, line=line
        )

    def _call(self, job: Job, begun: Begun) -> tuple[Callable[..., Any], list[Any]]:
        """The function and its positional arguments; says that the task has started."""
        task, message = job.type.task, job.message
        if self._hears_start:
            _tell(signals.task_started, lambda: self._running(job, begun))
        if not task.takes_context:
            return task.func, message.args
        return task.func, [TaskContext(task_result=self._running(job, begun)), *message.args]

    def _running(self, job: Job, begun: Begun) -> TaskResult:
        number = job.state.starts + 1
        return running_result(
            job.message, job.state, number, self.worker, begun.at_us, job.type.task
        )

    # --- after ---

    def _returned(self, job: Job, begun: Begun, value: Any) -> Settlement:
        kind = type(value)
        if kind is not NONE and kind is not bool:
            value = _kept(value)
        attempt = Attempt(outcome=RETURNED, result=value, **self._measured(job, begun))
        try:
            line = attempt.encode()
        except UnicodeEncodeError as error:
            raise Refused from ValueError(f"The result has half a surrogate pair: {error.reason}.")
        longest = conf().max_result_bytes
        if len(line) > longest and size_of(value) > longest:
            raise Refused from ValueTooLarge(f"The result has more than {longest} bytes as JSON.")
        if self._hears_end:
            self._tell_finished(job, attempt)
        return Settlement(id=job.message.id, token=job.token, outcome="completed", line=line)

    def _raised(self, job: Job, begun: Begun, error: BaseException) -> Settlement | None:
        """Called inside the except block: who hears of it may ask for the exception."""
        if self.interrupts.is_cancelled(job):
            return None
        self.interrupts.explain(error, job)
        message = job.message
        is_refused = isinstance(error, Refused)
        failures = job.state.failures + 1
        is_last = is_refused or failures >= message.max_attempts
        cause = error.__cause__ if is_refused else error
        attempt = Attempt(
            outcome=FAILED if is_last else RETRYING,
            error_type=type_path(cause),
            error=message_of(cause),
            traceback=traceback_of(cause, () if is_refused else OWN_FILES),
            **self._measured(job, begun),
        )
        logger.warning(
            "event=%s task=%s type=%s attempt=%d error_type=%s",
            attempt.outcome, message.id, message.type, attempt.number, attempt.error_type,
        )  # fmt: skip
        if is_last and is_heard(signals.task_finished, logging.ERROR):
            self._tell_finished(job, attempt)
        return Settlement(
            id=message.id,
            token=job.token,
            outcome="failed" if is_last else "retry",
            pause_ms=0 if is_last else next_pause_ms(message, failures, self._rng),
            line=attempt.encode(),
        )

    def _measured(self, job: Job, begun: Begun) -> dict[str, Any]:
        """What an attempt says of itself, whatever its outcome."""
        ended_us = time_ns() // 1000
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

    def _tell_finished(self, job: Job, attempt: Attempt) -> None:
        _tell(
            signals.task_finished,
            lambda: finished_result(job.message, job.state, attempt, job.type.task),
        )


def _tell(signal: Signal, build: Callable[[], TaskResult]) -> None:
    """Send a signal. Whatever goes wrong, also a receiver's SystemExit, changes nothing."""
    try:
        tell(signal, build())
    except BaseException as error:  # noqa: BLE001 (nor is it printed by the log: its class may be evil)
        logger.error("event=signal_failed error_type=%s %s", type_path(error), message_of(error))


def _kept(value: Any) -> Any:
    try:
        return normalized(value)
    except BaseException as error:
        raise Refused from error


def _unknown_type(name: str) -> UnknownTaskType:
    try:
        get(name)
    except UnknownTaskType as error:
        return error
    return UnknownTaskType(f"There is no task type {name!r}.")


def _peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT
