"""Where commands write: a terminal with colours, or a file or pipe that gets plain text alone."""

import json
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

STYLES = {
    "completed": "green", "active": "green", "failed": "red", "inactive": "red",
    "cancelled": "dim", "expired": "yellow", "retrying": "yellow", "paused": "yellow",
    "stopping": "yellow", "processing": "cyan", "assigned": "cyan",
}  # fmt: skip
BIDI = range(0x202A, 0x202F), range(0x2066, 0x206A)  # that would turn the text round


class Paper(Console):
    """A console that leaves it to the command what a reader means that has seen enough."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class Terminal:
    """``out`` is for what was asked for, ``err`` for everything else that people want to read."""

    def __init__(self, out: TextIO, err: TextIO, *, color: bool = True):
        more: dict[str, Any] = {} if color else {"color_system": None}
        self.out = Paper(file=out, highlight=False, markup=False, emoji=False, **more)
        self.err = Paper(file=err, highlight=False, markup=False, emoji=False, **more)

    @property
    def is_live(self) -> bool:
        """Whether somebody looks at ``out``, and it can be drawn anew."""
        return self.out.file.isatty() and not self.out.is_dumb_terminal

    def say(self, text: str, style: str = "") -> None:
        """One line of what was asked for."""
        self._print(self.out, text, style)

    def remark(self, text: str, style: str = "") -> None:
        """One line beside it."""
        self._print(self.err, text, style)

    def json(self, value: Any, indent: int | None = 2) -> None:
        """A value for programs. Without an indent it is one line."""
        self.out.file.write(json.dumps(value, indent=indent, default=str) + "\n")
        self.out.file.flush()

    def facts(self, pairs: Iterable[tuple[str, Any]]) -> None:
        """Names and values; those that have none are left out."""
        pairs = [(name, value) for name, value in pairs if value not in ("", None)]
        width = max((len(name) for name, _ in pairs), default=0)
        for name, value in pairs:
            self.say(f"{name:<{width}}  {value}", STYLES.get(value, "") if name == "status" else "")

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Rows under their heads; cut to fit a terminal, whole for everybody else."""
        rows = [[safe(str(cell)) for cell in row] for row in rows]
        if self.is_live:
            self.out.print(table_of(heads, rows))
            return
        widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
        for row in [heads, *rows]:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.out.file.write("  ".join(cells).rstrip() + "\n")

    def _print(self, console: Console, text: str, style: str) -> None:
        # Not through its layout, which breaks long lines also where nobody looks.
        line = Text(safe(text), style=style)
        console.print(line, soft_wrap=True)


def table_of(heads: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> Table:
    """A table for a terminal; words that are a status have its colour."""
    table = Table(box=None, title=title or None, title_justify="left", pad_edge=False)
    for n, head in enumerate(heads):
        table.add_column(head, no_wrap=n == 0, overflow="ellipsis")
    for row in rows:
        table.add_row(*(Text(safe(str(cell)), style=STYLES.get(str(cell), "")) for cell in row))
    return table


def safe(text: str) -> str:
    """A text that cannot steer a terminal, whoever wrote it; line ends and tabs stay."""
    return "".join(each if _is_harmless(each) else ascii(each)[1:-1] for each in text)


def _is_harmless(character: str) -> bool:
    if character in "\n\t":
        return True
    if any(ord(character) in steers for steers in BIDI):
        return False
    return unicodedata.category(character) not in ("Cc", "Cs")
