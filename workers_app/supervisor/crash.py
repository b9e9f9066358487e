"""How an attempt ended that could not say so itself: in words, and as its line in the history."""

import os
import signal

from msgspec.structs import replace

from tasks_app.exceptions import WorkerLost
from tasks_app.message import Attempt, in_doubt, now_us

INTERRUPTED = "The worker was shut down and its grace period was over."
UNGUARDED = (
    "The worker could not renew its lease, so its processes were ended before others ran the task."
)
BYSTANDER = "Another task of the same process held it up and was ended by force."
RETIRED = "Its process did not end when it was told to, and was ended by force."

LONGEST_TRACE = 16 * 1024  # characters, the last ones


def how_it_ended(wait_status: int, peak_bytes: int = 0) -> str:
    """The exit status that ``os.wait4`` gave, as a sentence."""
    peak = f" (peak memory {peak_bytes / 1e6:.0f} MB)" if peak_bytes else ""
    code = os.waitstatus_to_exitcode(wait_status)
    if code >= 0:
        return f"The process exited with code {code}{peak}."
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"number {-code}"
    return f"The process was killed by signal {name}{peak}."


def lost(worker: str, reason: str, *, trace: str = "", peak_bytes: int = 0) -> Attempt:
    """What is charged to the tasks that had started in a process that died."""
    return Attempt(
        worker=worker,
        ended_us=now_us(),
        outcome="crashed",
        error_type=f"{WorkerLost.__module__}.{WorkerLost.__qualname__}",
        error=reason,
        traceback=trace[-LONGEST_TRACE:],
        memory_bytes=peak_bytes,
    )


def outlived(worker: str, reason: str) -> Attempt:
    """The trace of an attempt that was over, but not reported, when another killed its process.

    It is not counted, but makes its task a suspect: that runs alone the next time.
    """
    return replace(
        in_doubt(lost(worker, reason)),
        error=f"It had ended, but could not report that before another task's crash. {reason}",
    )


def interrupted(worker: str, reason: str = INTERRUPTED) -> Attempt:
    """The trace of an attempt that was ended for no fault of its own: given back, not counted."""
    return Attempt(worker=worker, ended_us=now_us(), outcome="pending", error=reason)
