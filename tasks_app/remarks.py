"""What a task says of itself while it runs: its progress, its checkpoint and its log.

Redis has them in the hash ``remarks``, as ``lua/parts/remarks.lua`` says; the database as one text
of the same parts. Both are there for the few tasks that said anything.
"""

from typing import Any, NamedTuple, Self

import msgspec

LONGEST_NOTE = 200  # characters
LONGEST_TEXT = 2000  # of a line


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a task is, as it said last."""

    done: float
    total: float | None = None
    note: str = ""
    at_us: int = 0
    run: int = 1
    attempt: int = 1


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a task's log."""

    text: str
    level: str = "INFO"
    logger: str = ""  # its name; "": the context's own
    at_us: int = 0
    run: int = 1
    attempt: int = 1


encode = msgspec.json.Encoder().encode
_progress = msgspec.json.Decoder(Progress).decode
_lines = msgspec.json.Decoder(Line).decode_lines


class Remarks(NamedTuple):
    """Three texts; see ``lua/parts/remarks.lua``. Those of a task that said nothing are empty."""

    head: bytes = b""
    checkpoint: bytes = b""  # JSON; b"": none
    lines: bytes = b""

    @classmethod
    def decode(cls, text: bytes) -> Self:
        """Read what ``text`` gave."""
        line, progress, checkpoint, lines = bytes(text).split(b"\n", 3)
        return cls(line + b"\n" + progress, checkpoint, lines)

    @property
    def text(self) -> bytes:
        """All in one, as the database keeps it."""
        return b"\n".join(self)

    @property
    def at_ms(self) -> int:
        """When the task last said anything, by the server's clock; 0: never."""
        return int(self.head.partition(b"|")[0] or 0)

    @property
    def dropped(self) -> int:
        """How many lines are no longer kept, since the log is bounded."""
        return int(self.head.split(b"|", 3)[2]) if self.head else 0

    @property
    def progress(self) -> Progress | None:
        said = self.head.partition(b"\n")[2]
        return _progress(said) if said else None

    @property
    def log(self) -> list[Line]:
        """The lines, oldest first."""
        return _lines(self.lines)

    @property
    def state(self) -> dict[str, Any] | None:
        """The checkpoint; None if there is none."""
        return msgspec.json.decode(self.checkpoint) if self.checkpoint else None


NOTHING = Remarks()
