"""G3, G5, G6: a task in Redis beside its row, which was read before it."""

from collections.abc import Iterator

from ..message import State, TaskMessage
from ..states import FINAL
from .findings import Finding, Position
from .live import Seen
from .record import Row

SLACK_MS = 1000  # between the clocks of a change and of its entry in the stream


def differing(seen: Seen, state: State, row: Row) -> Iterator[Finding]:
    """What cannot be, since Redis is never behind the record, and a run ends once."""
    stand = (state.epoch, state.run, state.version)
    if row.status in FINAL and state.run <= row.run and state.status != row.status:
        said = (
            f"is {row.status} in the database ({_words(row.stand)}), but {state.status} in Redis "
            f"({_words(stand)})"
        )
        yield _wrong("G3", seen, "other-end", said)
    elif stand < row.stand:
        said = f"is at {_words(stand)} in Redis, but the database has {_words(row.stand)}"
        yield _wrong("G5", seen, "behind", said)
    elif stand == row.stand and not _is_same(seen, row):
        said = f"differs between Redis and the database, both at {_words(stand)}"
        yield _wrong("G6", seen, "differs", said)


def unrecorded(
    seen: Seen, message: TaskMessage, state: State, row: Row | None, first: Position, last: Position
) -> Iterator[Finding]:
    """A change that the database has not, though the stream has dropped it, as it seems.

    ``first``: where the stream began before the row was read; ``last``: where it ended after that.
    A first look goes by clocks and may err; the second one knows what was there at the first.
    """
    stand = (state.epoch, state.run, state.version)
    if row is not None and row.stand >= stand:
        return
    changed_ms = state.changed_ms or message.submitted_us // 1000
    if changed_ms + SLACK_MS < first[0]:
        said = f"is {state.status} since {_words(stand)}, which will never be recorded"
        yield Finding(
            kind="G6", subject=seen.id, code="unrecorded", said=said, mark=stand,
            first=first, last=last,
        )  # fmt: skip


def _is_same(seen: Seen, row: Row) -> bool:
    if seen.definition != row.definition:
        return False
    return seen.state == row.state or seen.state == _admitted(row.state)


def _admitted(state: bytes) -> bytes:
    """A state as Redis has it, which does not tell there whether a task waits for a limit."""
    if not state.startswith(b"waiting|"):
        return state
    state = state.replace(b"waiting", b"pending", 1)
    return b"" if state == b"pending|1|1|1|0|0|0||0\n" else state


def _words(stand: tuple[int, int, int]) -> str:
    epoch, run, version = stand
    return f"epoch {epoch}, run {run}, version {version}"


def _wrong(kind: str, seen: Seen, code: str, said: str) -> Finding:
    return Finding(kind=kind, subject=seen.id, code=code, said=said)
