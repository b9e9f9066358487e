"""G1, G3, G6, G9, G10: whether a row is one that the recorder writes."""

from collections.abc import Iterator

from ..message import State
from ..states import OPEN
from . import story, texts
from .findings import Finding
from .record import Row


def broken(row: Row) -> Iterator[Finding]:
    """What is wrong with a row by itself."""
    task = texts.read(row.id, row.definition, row.state)
    yield from task.wrong
    if task.state is not None:
        yield from _columns(row, task.state)
        if task.message is not None:
            yield from story.impossible(row.id, task.message, task.state, is_live=False)


def _columns(row: Row, state: State) -> Iterator[Finding]:
    texts_say = (state.status.value, state.epoch, state.run, state.version, state.failures)
    columns = (row.status, *row.stand, row.failures)
    if columns != texts_say:
        said = f"its row says {columns} in columns, but {texts_say} in its state"
        yield Finding(kind="G6", subject=row.id, code="columns", said=said)


def lost(row: Row) -> Iterator[Finding]:
    """An open task that Redis did not know when the row was read."""
    if row.status in OPEN:
        said = f"is {row.status} in the database, and Redis does not know it"
        yield Finding(kind="G1", subject=row.id, code="lost", said=said, mark=row.stand)
