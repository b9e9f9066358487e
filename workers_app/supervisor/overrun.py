"""An attempt that is ended by force for its time limit, and its outcome."""

from random import Random

from tasks_app.broker.answers import Settlement
from tasks_app.conf import conf
from tasks_app.exceptions import TaskTimeout
from tasks_app.message import Attempt, StoredTask, now_us
from tasks_app.options.retrying import is_last, next_pause_ms
from tasks_app.states import Status

from ..executor.board import Running
from ..executor.clock import boottime_ns
from .crash import LONGEST_TRACE


class Overrun:
    """An attempt that is ended by force; settled as soon as Redis answers."""

    def __init__(self, worker: str, running: Running, trace: str = ""):
        self.id = running.id
        self.token = running.token
        self.trace = trace
        self.peak_bytes = 0
        self._worker = worker
        self._limit_seconds = running.timeout_ms / 1000
        self._ended_us = now_us()
        self._started_us = self._ended_us - (boottime_ns() - running.started_ns) // 1000

    def settlement(self, task: StoredTask, rng: Random) -> Settlement:
        """Its outcome, by the rule of any failure."""
        failures = task.state.failures + 1
        is_over = is_last(task.message, failures, TaskTimeout)
        attempt = Attempt(
            number=task.state.starts + (task.state.status == Status.ASSIGNED),
            run=task.state.run,
            worker=self._worker,
            started_us=self._started_us,
            ended_us=self._ended_us,
            outcome=(Status.FAILED if is_over else Status.RETRYING).value,
            error_type=f"{TaskTimeout.__module__}.{TaskTimeout.__qualname__}",
            error=f"The attempt took longer than its limit of {self._limit_seconds:g} s, "
            f"did not end in the {conf().timeout_grace_seconds:g} s after that, "
            "and was ended by force.",
            traceback=self.trace[-LONGEST_TRACE:],
            memory_bytes=self.peak_bytes,
        )
        return Settlement(
            id=self.id,
            token=self.token,
            outcome="failed" if is_over else "retry",
            pause_ms=0 if is_over else next_pause_ms(task.message, failures, rng),
            line=attempt.encode(),
        )


def seconds_of(running: Running) -> float:
    """For how long a task has been running."""
    return (boottime_ns() - running.started_ns) / 1e9
