"""One sentence on what holds a task up, or on what ended it, where its status does not say so."""

from .exceptions import KeyMissing, UnknownTaskType, WorkerLost
from .message import Attempt, State
from .results import CRASHED, attempts_of_run
from .states import FINAL, Status


def _path(error: type) -> str:
    return f"{error.__module__}.{error.__qualname__}"


UNKNOWN_TYPE, LOST = _path(UnknownTaskType), _path(WorkerLost)
KEY_MISSING = _path(KeyMissing)
SNOOZED = "The task itself asked to be run again later."
NO_KEY = (
    "The worker that had it lacks the key that opens its sensitive arguments. It is offered again "
    "until one has it."
)
NOBODY_KNOWS = "No worker knows this type. It is offered again until one does."
SUSPECT = (
    "The worker that held it stopped answering, and it may have begun there. It runs again, alone."
)


def note_of(state: State) -> str:
    """The sentence; empty for a task of which its status says enough."""
    lines = attempts_of_run(state)
    if not lines or state.status is Status.PROCESSING:
        return ""
    last = lines[-1]
    if state.status is Status.FAILED:
        return _poison(state) if last.outcome == CRASHED else ""
    return "" if state.status in FINAL else _held_up(state, last)


def _held_up(state: State, last: Attempt) -> str:
    if last.snoozes:
        return SNOOZED if last.snoozes == 1 else f"{SNOOZED[:-1]}, {last.snoozes} times in a row."
    if last.error_type == UNKNOWN_TYPE:
        return NOBODY_KNOWS
    if last.error_type == KEY_MISSING:
        return NO_KEY
    if last.error_type != LOST:
        return ""
    if last.outcome != CRASHED:
        return SUSPECT
    return f"The process that ran it died{_times(state)}. It runs again, alone."


def _poison(state: State) -> str:
    return f"Poison: the process that ran it died{_times(state)}, so it is not tried again."


def _times(state: State) -> str:
    return f" {state.crashes} times" if state.crashes > 1 else ""
