"""What travels: a task as it was submitted, and what became of it so far.

Redis holds two texts of a task. Its *definition* changes during a run by an operator's order
alone, while nobody holds it: a first line for Lua, ``1|queue|rank|expires``, then JSON for Python.
Its *state* is a header for Lua, then one line of JSON for each attempt that has ended. Lua reads
first lines only; what users wrote is JSON and stays opaque to it.
"""

import re
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Self
from urllib.parse import quote, unquote

import msgspec

from .conf import conf
from .exceptions import WorkerLost
from .options.backoff import Backoff
from .options.limits import limit_mark
from .options.unique import Unique, digest_of, unique_mark
from .secrecy.sensitive import without
from .states import FINAL, Status

FORMAT = 1  # of a definition; a reader that knows another one refuses

YEAR_MS = 31_557_600_000  # 365.25 days
STEP_MS = 250 * YEAR_MS  # between neighbouring priorities; exact in a double up to priority 100
MOST_DUE_MS = 100 * YEAR_MS  # a due time further from the submit than this is moved to it

LOWEST_PRIORITY, HIGHEST_PRIORITY = -100, 100  # Django's, and the only ones stored
UNREADABLE = "unreadable"  # stands for the type of a task whose definition cannot be read
LEVELS = range(1, 11)  # the view on them: REST, pages and metrics

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


clock_ns = time.time_ns  # tasks_app.testing puts one in its place that can stand


def now_us() -> int:
    """This machine's clock, microseconds since the epoch."""
    return clock_ns() // 1000


def moment(us: int) -> datetime | None:
    """An aware datetime for microseconds since the epoch; None for 0."""
    return EPOCH + timedelta(microseconds=us) if us else None


def us_of(moment: datetime) -> int:
    """Microseconds since the epoch for an aware datetime; 0 is none, so the epoch itself is 1."""
    return (moment - EPOCH) // timedelta(microseconds=1) or 1


def priority_of(level: int) -> int:
    """Django's priority for a level from 1 to 10."""
    return (level - 5) * 20


def level_of(priority: int) -> int:
    """The level from 1 to 10 that a priority from -100 to 100 is shown as."""
    return max(1, min(10, -(-priority // 20) + 5))


def rank_of(priority: int, due_ms: int, submitted_ms: int) -> int:
    """The place in a queue, lowest first: by priority, and inside one by due time."""
    due_ms = max(submitted_ms - MOST_DUE_MS, min(submitted_ms + MOST_DUE_MS, due_ms))
    return due_ms - priority * STEP_MS


def ranks_of(level: int, at_ms: int) -> tuple[int, int]:
    """The lowest and the highest rank that a task of a level can have, seen at ``at_ms``."""
    lowest, highest = _PRIORITIES[level]
    half = STEP_MS // 2
    return at_ms - highest * STEP_MS - half, at_ms - lowest * STEP_MS + half - 1


def _priorities() -> dict[int, tuple[int, int]]:
    """The lowest and the highest priority of each level."""
    found: dict[int, tuple[int, int]] = {}
    for priority in range(LOWEST_PRIORITY, HIGHEST_PRIORITY + 1):
        lowest, _ = found.get(level_of(priority), (priority, priority))
        found[level_of(priority)] = lowest, priority
    return found


_PRIORITIES = _priorities()


class TaskMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task as it was submitted. Moments are microseconds since the epoch; 0 is none.

    Make a changed copy with ``msgspec.structs.replace``.
    """

    id: str  # UUIDv7, so that ids sort by time
    type: str  # name of the registered function, "package.module.function" or a short name
    submitted_us: int
    args: list[Any] = []  # JSON
    kwargs: dict[str, Any] = {}  # JSON
    queue: str = "default"
    priority: int = 0  # Django's, -100 to 100
    run_after_us: int = 0  # not before
    deadline_us: int = 0  # due by then: orders the work, and lateness is marked
    expires_us: int = 0  # begun by then, or never run
    max_attempts: int = 1
    backoff: float | Backoff = 1.0  # a number: seconds before the first retry, doubled each time
    retry_on: tuple[str, ...] = ()  # dotted paths of exceptions; none: all
    give_up_on: tuple[str, ...] = ()
    timeout: float = 0.0  # seconds an attempt may take; 0: no bound
    backend: str = "default"  # alias in TASKS
    tags: tuple[str, ...] = ()
    unique: Unique | None = None
    unique_key: str = ""  # digest of what makes another task the same; "": nothing does
    debounce: float = 0.0  # seconds that a newer one may replace it in; 0: it does not wait
    debounce_most: float = 0.0  # seconds that it can be put off by that
    idempotency_key: str = ""  # of the call that submitted it; "": a repeat is another task
    rate: str = ""  # most starts in some time, "10/s"; "": no bound
    concurrency: int = 0  # most at once; 0: no bound
    limit: str = ""  # 96 bits of a digest of what has these limits; "": nothing does
    limit_label: str = ""  # the same for people
    limit_takes_turns: bool = False  # with other limits of its type: it is one of many tenants'
    sensitive: tuple[str, ...] = ()  # names of arguments, "return"; "*": see secrecy/
    hidden: tuple[tuple[int | str, ...], ...] = ()  # where these are: position or name, then keys
    sealed: str = ""  # their values, encrypted; "": they stand in their places
    secret: str = ""  # keyed digest of them, if a digest of the whole call is made
    has_parents: bool = False  # it waits for other tasks; which, only the database knows
    if_parent_fails: str = "cancel"  # or "run"
    takes_results: str = ""  # of its parents, as first argument: "one", or "list"; "": not
    workflow: str = ""  # id of the one that it belongs to

    @property
    def rank(self) -> int:
        """See ``rank_of``; undated work is due one ``patience_seconds`` after it may start."""
        from_ms = max(self.submitted_us, self.run_after_us) // 1000
        due_ms = self.deadline_us // 1000 if self.deadline_us else from_ms + _patience_ms()
        return rank_of(self.priority, due_ms, self.submitted_us // 1000)

    @property
    def hides_result(self) -> bool:
        return "return" in self.sensitive or "*" in self.sensitive

    def __repr__(self) -> str:
        """For logs and tracebacks: without what it was called with."""
        return f"<TaskMessage {self.id} {self.type}>"

    def encode(self) -> bytes:
        """The definition. The arguments must be JSON; NaN would silently become null."""
        expires_ms = -(-self.expires_us // 1000)
        line = f"{FORMAT}|{escaped(self.queue)}|{self.rank}|{expires_ms}\n"
        return line.encode() + _encode(self)

    def marks(self, *, waits: bool = True) -> bytes:
        """What Lua must know of it beyond the definition's first line, as JSON; b"" for most.

        Unless it ``waits``, one that has parents does not begin by waiting for them.
        """
        found: dict[str, Any] = {}
        if self.has_parents and waits:
            found["p"] = 1  # first: see marks.lua
        if self.unique_key:
            found["u"] = unique_mark(
                self.unique_key, self.unique, self.debounce, self.debounce_most
            )
        if self.idempotency_key:
            found["i"] = {
                "k": digest_of(self.idempotency_key),
                "h": self._digest(),
                "ms": int(conf().idempotency_seconds * 1000),
            }
        if self.limit:
            found["l"] = self._limit_mark()
        return _encode(found) if found else b""

    def _digest(self) -> str:
        """Of what it asks for. Sensitive arguments are in it by a digest that nobody can guess."""
        if not self.hidden:
            return digest_of(self.type, self.args, self.kwargs)
        shown = without(self.hidden, self.args, self.kwargs)
        return digest_of(self.type, *shown, self.secret)

    def _limit_mark(self) -> dict[str, Any]:
        """With what its rank is counted from when it is admitted; a deadline stays one (``d``)."""
        rank = rank_of(self.priority, 0 if self.deadline_us else _patience_ms(), 0)
        return {
            **limit_mark(
                self.limit, self.limit_label, self.rate, self.concurrency, self.limit_takes_turns
            ),
            "q": escaped(self.queue),
            "r": rank,
            **({"d": 1} if self.deadline_us else {}),
        }

    def again(self) -> Self:
        """The same for a retry: without the bounds in time that only its first run had."""
        expires_us = 0 if self.expires_us <= now_us() else self.expires_us
        return msgspec.structs.replace(self, run_after_us=0, expires_us=expires_us)

    @classmethod
    def decode(cls, definition: bytes) -> Self:
        """Read a definition. Raise ValueError if it is none, or one of a newer format."""
        line, _, body = definition.partition(b"\n")
        if not line.startswith(_FORMAT):
            raise ValueError(f"not a task definition of format {FORMAT}: {line[:80]!r}")
        return _decode_message(body)


_FORMAT = b"%d|" % FORMAT
_encode = msgspec.json.Encoder().encode
_decode_message = msgspec.json.Decoder(TaskMessage).decode


def _patience_ms() -> int:
    return int(conf().patience_seconds * 1000)


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One execution that has ended, or the reason why there was none. Moments as in TaskMessage."""

    number: int = 0  # of the start, in its run; 0 if nothing had started
    run: int = 1
    worker: str = ""
    started_us: int = 0
    ended_us: int = 0
    outcome: str = ""  # final, "retrying", "pending" (given back), "scheduled" (snoozed), "crashed"
    error_type: str = ""  # dotted path of the exception's class
    error: str = ""  # its message
    traceback: str = ""
    cpu_seconds: float = 0.0
    memory_bytes: int = 0
    snoozes: int = 0  # in a row, of which this is the last: it asked to be run later
    result: Any = None  # JSON; of a completed attempt
    sealed: str = ""  # the result, encrypted, instead of it

    def encode(self) -> bytes:
        """One line of JSON, as a state keeps it. The result must be JSON."""
        return _encode(self)


_decode_attempts = msgspec.json.Decoder(Attempt).decode_lines

WORKER_LOST = f"{WorkerLost.__module__}.{WorkerLost.__qualname__}"
_LOST = WORKER_LOST.encode()


def in_doubt(reason: Attempt) -> Attempt:
    """What is said of a task of a lost worker, which may have begun: nothing is charged."""
    return Attempt(
        worker=reason.worker,
        ended_us=reason.ended_us,
        outcome=Status.PENDING,
        error_type=WORKER_LOST,
        error="The worker was lost while it held this task, which may have begun.",
    )


def _ends_in_doubt(lines: bytes) -> bool:
    """Whether the last of some attempts is one that ``in_doubt`` made."""
    last = lines[lines.rfind(b"\n", 0, len(lines) - 1) + 1 :]
    if _LOST not in last:
        return False
    (attempt,) = _decode_attempts(last)
    return attempt.outcome == Status.PENDING and attempt.error_type == WORKER_LOST


class State(msgspec.Struct, frozen=True):
    """What became of a task so far: the header's fields, and the attempts."""

    status: Status = Status.PENDING
    epoch: int = 1
    run: int = 1  # grows when a finished task is retried
    version: int = 1  # grows with every move
    starts: int = 0
    failures: int = 0
    crashes: int = 0
    owner: str = ""  # the executor that holds it
    changed_ms: int = 0  # the last move, by the server's clock; 0 for a task that just waits
    lines: bytes = b""  # the attempts as JSON, one a line

    @classmethod
    def decode(cls, state: bytes | None) -> Self:
        """Read a state; a task that merely waits has none. Raise ValueError if it is none."""
        if not state:
            return cls()
        header, _, lines = state.partition(b"\n")
        return cls(*_header_fields(header), lines)

    @property
    def attempts(self) -> list[Attempt]:
        """The attempts that have ended, oldest first."""
        return _decode_attempts(self.lines)

    @property
    def is_final(self) -> bool:
        return self.status in FINAL

    @property
    def is_suspect(self) -> bool:
        """Whether it was, or may have been, running when a process died; so it may be the cause."""
        return self.crashes > 0 or (self.lines != b"" and _ends_in_doubt(self.lines))

    @property
    def worker(self) -> str:
        """The worker whose executor holds the task; "" if none does."""
        return worker_of(self.owner)


@lru_cache(maxsize=1024)  # tasks that were claimed together have it in common
def _header_fields(header: bytes) -> tuple[Status, int, int, int, int, int, int, str, int]:
    """The fields of a State in their order, but for the lines."""
    status, epoch, run, version, starts, failures, crashes, owner, changed_ms = (
        header.decode().split("|")
    )
    return (
        Status(status), int(epoch), int(run), int(version),
        int(starts), int(failures), int(crashes), owner, int(changed_ms),
    )  # fmt: skip


class StoredTask(msgspec.Struct, frozen=True):
    """A task as Redis has it."""

    message: TaskMessage
    state: State


def worker_of(executor: str) -> str:
    """The worker that an executor belongs to; its id is ``worker:number:random``."""
    return executor.partition(":")[0]


@lru_cache(maxsize=1024)
def escaped(queue: str) -> str:
    """A queue's name as it stands in keys and definitions: any text is legal to Django."""
    return quote(queue, safe="")


def unescaped(queue: str) -> str:
    """The name that ``escaped`` was given."""
    return unquote(queue)


_FIRST_LINE = re.compile(rb"\d+\|[^|\n]*\|-?\d+\|\d+\n")


def is_definition(text: bytes) -> bool:
    """Whether a text begins as a definition of any format does: what Lua needs of it is there."""
    return _FIRST_LINE.match(text) is not None


def queue_in(definition: bytes) -> str:
    """The queue named in a definition's first line."""
    return unescaped(definition.split(b"|", 2)[1].decode())
