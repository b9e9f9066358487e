"""How a child ended, in words, and as the attempt that its tasks are charged with."""

import os
import signal

from tasks_app.exceptions import WorkerLost
from tasks_app.message import Attempt, now_us

INTERRUPTED = "The worker was shut down and its grace period was over."


def how_it_ended(wait_status: int) -> str:
    """The exit status that ``os.waitpid`` gave, as a sentence."""
    code = os.waitstatus_to_exitcode(wait_status)
    if code >= 0:
        return f"The process exited with code {code}."
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"number {-code}"
    return f"The process was killed by signal {name}."


def lost(worker: str, reason: str) -> Attempt:
    """What is charged to the tasks that had started in a process that died."""
    return Attempt(
        worker=worker,
        ended_us=now_us(),
        outcome="crashed",
        error_type=f"{WorkerLost.__module__}.{WorkerLost.__qualname__}",
        error=reason,
    )


def interrupted(worker: str) -> Attempt:
    """The trace of an attempt that a shutdown ended: given back, not counted."""
    return Attempt(worker=worker, ended_us=now_us(), outcome="pending", error=INTERRUPTED)
