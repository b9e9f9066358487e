"""From the two texts of a task in Redis to its row in the database. Pure, and on the hot path.

A row holds both texts as they are, and beside them what is searched for. Of the JSON only these
few fields are read; arguments, results and tracebacks are skipped over, however large they are.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from tasks_app.message import FORMAT, State, queue_in
from tasks_app.states import FINAL, Status

# Characters; the columns' own lengths.
LONGEST_NAME = 255
LONGEST_WORKER = 64
LONGEST_ERROR = 500


class Row(NamedTuple):
    """A TaskRecord's columns, in the order in which they are written."""

    id: str
    type: str
    queue: str
    priority: int
    status: str
    worker: str
    submitted_us: int
    started_us: int
    finished_us: int
    epoch: int
    run: int
    version: int
    failures: int
    deadline_missed: bool
    error: str
    definition: bytes
    state: bytes


class _Definition(msgspec.Struct):
    """What a row needs of a TaskMessage; the same names and defaults."""

    type: str
    submitted_us: int
    priority: int = 0
    deadline_us: int = 0


class _Attempt(msgspec.Struct, gc=False):
    """What a row needs of an Attempt; the same names and defaults."""

    run: int = 1
    worker: str = ""
    started_us: int = 0
    ended_us: int = 0
    outcome: str = ""
    error_type: str = ""
    error: str = ""


_definition = msgspec.json.Decoder(_Definition).decode
_attempts = msgspec.json.Decoder(_Attempt).decode_lines

NO_ATTEMPT = _Attempt()


def row_of(task_id: str, definition: bytes, raw: bytes | None) -> Row:
    """The row of a task. Raise ValueError if a text is none that message.py encodes."""
    line, _, body = definition.partition(b"\n")
    try:
        asked = _definition(body)
        state = State.decode(raw)
        attempts = _attempts(state.lines) if state.lines else ()
    except RecursionError as error:  # JSON that is nested too deeply even to be skipped
        raise ValueError(str(error)) from error
    last = attempts[-1] if attempts else NO_ATTEMPT
    finished_us = _finished_us(state, last) if state.status in FINAL else 0
    return Row(
        id=task_id,
        type=_name(asked.type, LONGEST_NAME),
        queue=_queue(line[: line.index(b"|", 2)]),
        priority=asked.priority,
        status=state.status.value,
        worker=_name(state.worker or last.worker, LONGEST_WORKER),
        submitted_us=asked.submitted_us,
        started_us=_started_us(state, attempts),
        finished_us=finished_us,
        epoch=state.epoch,
        run=state.run,
        version=state.version,
        failures=state.failures,
        deadline_missed=0 < asked.deadline_us < finished_us,
        error=_error_of(attempts),
        definition=definition,
        state=raw or b"",
    )


def printable(text: str, longest: int) -> str:
    """The text as every database takes it: NUL and lone surrogates escaped, cut to fit."""
    escaped = text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    return escaped[:longest]


_name = lru_cache(maxsize=1000)(printable)  # of names there are few


@lru_cache(maxsize=1000)
def _queue(beginning: bytes) -> str:
    """The queue in the beginning of a definition, ``1|queue``."""
    if not beginning.startswith(b"%d|" % FORMAT):
        raise ValueError(f"not a task definition of format {FORMAT}: {beginning[:80]!r}")
    return printable(queue_in(beginning), LONGEST_NAME)


def _started_us(state: State, attempts: Sequence[_Attempt]) -> int:
    """When the first attempt of the run started."""
    for attempt in attempts:
        if attempt.started_us and attempt.run == state.run:
            return attempt.started_us
    return state.changed_ms * 1000 if state.status is Status.PROCESSING else 0


def _finished_us(state: State, last: _Attempt) -> int:
    """When a final task became final: with its last attempt or, as by expiry, without one."""
    if last.outcome == state.status.value and last.run == state.run and last.ended_us:
        return last.ended_us
    return state.changed_ms * 1000


def _error_of(attempts: Sequence[_Attempt]) -> str:
    for attempt in reversed(attempts):
        if said := attempt.error or attempt.error_type:
            return printable(said[:LONGEST_ERROR], LONGEST_ERROR)
    return ""
