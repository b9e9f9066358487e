"""What a task can ask and say while it runs: ``tasks_app.current()``, or its first parameter."""

import logging
from collections.abc import Sequence
from contextvars import ContextVar
from math import isfinite
from typing import Any, NoReturn, Protocol

import msgspec
from asgiref.sync import sync_to_async

from . import compat
from .compat import TaskResult
from .exceptions import TaskRetry, TaskSnoozed

MOST_SECONDS = 366 * 86400  # of a pause that a task may ask for


class Attempt(Protocol):
    """What a worker gives a context: the attempt that runs."""

    @property
    def context(self) -> "TaskContext": ...
    @property
    def result(self) -> TaskResult: ...
    @property
    def is_cancelled(self) -> bool: ...
    @property
    def seconds_left(self) -> float | None: ...
    @property
    def deadline_left(self) -> float | None: ...
    @property
    def fence(self) -> int: ...
    @property
    def parents(self) -> Sequence[TaskResult]: ...
    def report(self, done: float, total: float | None, note: str) -> None: ...
    def write(self, text: str, level: int, logger: str = "") -> None: ...
    def load(self) -> dict[str, Any]: ...
    def save(self, state: dict[str, Any]) -> None: ...


_running: ContextVar[Attempt | None] = ContextVar("tasks_app_attempt", default=None)
enter = _running.set  # by a worker, before a task's code; None after it


def attempt() -> Attempt | None:
    """The attempt whose code runs here."""
    return _running.get()


def current() -> "TaskContext | None":
    """The context of the attempt that runs in this thread or coroutine; None outside of a task.

    Code that a task calls sees it, also through ``sync_to_async`` and in asyncio's tasks. A thread
    that a task starts by itself does not: give the context to it.
    """
    running = _running.get()
    return running and running.context


class TaskContext(compat.TaskContext):
    """Django's TaskContext (``attempt``, ``task_result``) and more; any thread may use it."""

    __slots__ = ("_attempt", "_result", "_state")
    __setattr__ = object.__setattr__  # Django's is frozen

    def __init__(self, attempt: Attempt):
        self._attempt = attempt
        self._result: TaskResult | None = None
        self._state: dict[str, Any] | None = None

    @property
    def task_result(self) -> TaskResult:
        """The task as it stood when this attempt began."""
        if self._result is None:
            self._result = self._attempt.result
        return self._result

    # --- to be asked ---

    @property
    def is_cancelled(self) -> bool:
        """Whether nobody wants the outcome any more: it was cancelled, or somebody else has it."""
        return self._attempt.is_cancelled

    @property
    def seconds_left(self) -> float | None:
        """Until this attempt's timeout; None if it has none, less than 0 if that has passed."""
        return self._attempt.seconds_left

    @property
    def deadline_left(self) -> float | None:
        """Seconds until the task's deadline; None if it has none, less than 0 if it is late."""
        return self._attempt.deadline_left

    @property
    def parents(self) -> Sequence[TaskResult]:
        """The tasks that this one waited for, in the order given: their results and errors.

        The first look asks the database, and waits some seconds for a Redis that is away before it
        raises QueueUnavailable. Of many, ``takes_results`` costs less.
        """
        return self._attempt.parents

    @property
    def fence(self) -> int:
        """A number that grows with every claim of this task: whoever has a lower one lost it."""
        return self._attempt.fence

    # --- to be told ---

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Say how far it is, as often as you like: a few a second are written, and the last."""
        self._attempt.report(done, total, note)

    def log(self, text: Any, level: int | str = logging.INFO) -> None:
        """Add a line to the task's log."""
        if isinstance(level, str):
            level = logging.getLevelNamesMapping()[level.upper()]
        self._attempt.write(str(text), level)

    # --- checkpoints ---

    @property
    def state(self) -> dict[str, Any]:
        """What was saved last, by this attempt or one before it, in whatever run; or {}.

        Change it as you like; it is kept when you ``save()``. The first look may ask Redis.
        """
        if self._state is None:
            self._state = self._attempt.load()
        return self._state

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        self._state = state

    def save(self) -> None:
        """Store ``state`` at once. It must be a dict of JSON.

        Waits some seconds for a Redis that is away, then raises QueueUnavailable. Raise TaskLost
        if somebody else has the task by now: then nothing was stored. Raise ValueTooLarge.
        """
        self._attempt.save(self.state)

    async def asave(self) -> None:
        """The same, without keeping the event loop."""
        await sync_to_async(self.save, thread_sensitive=False)()

    # --- ends of the attempt ---

    def snooze(self, seconds: float) -> NoReturn:
        """End this attempt, and begin it anew after a pause: neither an attempt nor a failure.

        As often as the task likes; its ``expires`` holds all the same.
        """
        raise TaskSnoozed(_pause(seconds))

    def retry(self, in_seconds: float | None = None) -> NoReturn:
        """Fail this attempt, to be tried again after this pause, if `max_attempts` allows it.

        None: after the usual pause. In an ``except`` block that error is the attempt's.
        """
        raise TaskRetry(None if in_seconds is None else _pause(in_seconds))


def _pause(seconds: float) -> float:
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not isfinite(seconds) or not 0 <= seconds <= MOST_SECONDS:
        raise ValueError(
            f"A pause must be a number of seconds from 0 to {MOST_SECONDS:,}, not {seconds!r}."
        )
    return float(seconds)


def encoded(state: Any) -> bytes:
    """A checkpoint as JSON. Raise TypeError or ValueError."""
    if not isinstance(state, dict):
        raise TypeError(f"The state must be a dict, not {type(state).__name__}.")
    return msgspec.json.encode(state)
