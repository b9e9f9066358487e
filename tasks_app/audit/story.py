"""G3, G9: whether what a state tells of its attempts can have happened."""

from collections.abc import Iterator

import msgspec

from ..conf import conf
from ..message import State, TaskMessage
from ..states import FINAL, Status
from .findings import Finding

ENDINGS = frozenset(status.value for status in FINAL)


class _Attempt(msgspec.Struct, gc=False):
    """What is checked of an Attempt; the same names and defaults."""

    run: int = 1
    outcome: str = ""


_attempts = msgspec.json.Decoder(_Attempt).decode_lines


def impossible(
    task_id: str, message: TaskMessage, state: State, *, is_live: bool
) -> Iterator[Finding]:
    """What cannot have happened. ``is_live``: in Redis, under the bounds that hold now."""
    yield from _numbers(task_id, message, state, is_live)
    if not state.lines:
        return
    try:
        attempts = _attempts(state.lines)
    except (ValueError, RecursionError) as error:
        yield _wrong("G10", task_id, "attempts", f"its attempts cannot be read: {error}")
        return
    yield from _endings(task_id, state, attempts)


def _numbers(task_id: str, message: TaskMessage, state: State, is_live: bool) -> Iterator[Finding]:
    done = state.failures + state.crashes + (state.status is Status.COMPLETED)
    if state.starts < done:
        said = (
            f"has started {state.starts} times, but failed {state.failures} times and crashed "
            f"{state.crashes} times, and is {state.status}"
        )
        yield _wrong("G9", task_id, "starts", said)
    if state.failures > message.max_attempts:
        said = f"has failed {state.failures} times; its max_attempts is {message.max_attempts}"
        yield _wrong("G9", task_id, "failures", said)
    if is_live and state.crashes > conf().max_crashes:
        said = f"has crashed {state.crashes} times; MAX_CRASHES is {conf().max_crashes}"
        yield _wrong("G9", task_id, "crashes", said)


def _endings(task_id: str, state: State, attempts: list[_Attempt]) -> Iterator[Finding]:
    ended: dict[int, str] = {}  # run -> its final outcome
    for attempt in attempts:
        if attempt.run in ended:
            before = ended[attempt.run]
            after = attempt.outcome or "an attempt"
            said = f"has gone on in run {attempt.run} after it was {before}: {after}"
            yield _wrong("G3", task_id, "after-the-end", said)
            return
        if attempt.outcome in ENDINGS:
            ended[attempt.run] = attempt.outcome
    last = ended.get(state.run)
    if last is not None and last != state.status:
        said = f"ended as {last} in run {state.run}, but is {state.status}"
        yield _wrong("G3", task_id, "other-end", said)
    if later := [run for run in ended if run > state.run]:
        yield _wrong("G3", task_id, "run", f"is in run {state.run}, but ended in run {later[0]}")


def _wrong(kind: str, task_id: str, code: str, said: str) -> Finding:
    return Finding(kind=kind, subject=task_id, code=code, said=said)
