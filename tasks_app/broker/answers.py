"""What the broker is told and what it answers: small values, no behaviour."""

from dataclasses import dataclass, field

import msgspec

from ..message import StoredTask


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What an executor says of a task that it held."""

    id: str
    token: str
    outcome: str  # as exchange.lua tells
    pause_ms: int = 0  # before a retry or a released task may start
    line: bytes = b""  # one Attempt, encoded


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a task that waits for others."""

    id: str
    version: int  # at which it was looked at
    not_before_ms: int = 0  # if it is let go
    line: bytes = b""  # one Attempt, encoded, if it is cancelled
    reason: str = ""  # id of the task that is why: not if that is open again


@dataclass(frozen=True, slots=True)
class Remark:
    """What a task says of itself that is not known yet; nothing is as it was."""

    id: str
    token: str
    serial: int = 0  # of the lines: these are added once
    progress: bytes = b""  # JSON
    checkpoint: bytes = b""  # JSON
    lines: bytes = b""  # JSON, each with a newline at its end


@dataclass(frozen=True, slots=True)
class Exchange:
    """What one exchange brought."""

    token: str  # of all that was claimed
    claimed: list[StoredTask]  # most urgent first
    stale: list[str]  # ids whose settlement was dropped: somebody else has them
    has_lease: bool = True  # False: not announced by a worker, or not since that was reaped
    unreadable: list[str] = field(default_factory=list)  # claimed too, but not understood here


@dataclass(frozen=True, slots=True)
class QueueStats:
    """What waits in one queue."""

    name: str
    is_paused: bool
    scheduled: int  # scheduled or retrying
    levels: tuple[int, ...]  # ready tasks at level 1, 2, ..., 10
    waiting: int = 0  # for a place in a limit

    @property
    def ready(self) -> int:
        return sum(self.levels)


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of a task's key, and how much of it is used up."""

    label: str  # whose it is
    kind: str  # "concurrency" or "rate"
    in_use: int  # admitted tasks; or tokens that are spent or reserved
    of: int
    ahead: int | None  # tasks that wait before it; None: it does not wait for a place
    next_at_ms: int | None = None  # of a rate with no token left: when it has one, if it is known
    per: str = ""  # of a rate: as it was declared

    @property
    def is_full(self) -> bool:
        return self.in_use >= self.of


@dataclass(frozen=True, slots=True)
class Stats:
    """What waits, and what was counted since the last reset."""

    at_ms: int  # the server's clock
    queues: list[QueueStats]
    unrecorded: int  # changes that wait for the recorder
    counters: dict[str, int] = field(default_factory=dict)

    def count(self, name: str) -> int:
        """How often, or 0.

        ``submitted completed failed cancelled expired retried crashed stolen stale late``.
        """
        return self.counters.get(name, 0)

    @property
    def ready(self) -> int:
        return sum(queue.ready for queue in self.queues)

    @property
    def scheduled(self) -> int:
        return sum(queue.scheduled for queue in self.queues)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one task stands, and how its queue is."""

    at_ms: int  # the server's clock
    is_known: bool  # to Redis; a final task is forgotten once it is recorded
    is_paused: bool  # its queue
    ahead: int | None  # tasks of its queue that go first; None: it is not ready
    due_ms: int | None  # None: it is not scheduled
    demand: dict  # what the leader tells of the queue; may be nothing
    unrecorded: int  # changes that wait for the recorder
    gate: str  # run id of the server that a leader has found sound; "" if none has looked


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed since the recorder last acknowledged."""

    last: str  # stream id to acknowledge; "" if nothing changed
    ids: list[str]  # each once, in order of first change


@dataclass(frozen=True, slots=True)
class Announced:
    """What a worker learns when it renews its lease."""

    orders: list[dict]  # that were left for it, oldest first; each comes out once
    backlog: dict[str, int]  # tasks of each queue that it asked for that could be claimed now
    demand: dict[str, dict]  # what the leader tells of these queues; few seconds old, or nothing
    renewed_ms: int  # the server's clock at that moment


@dataclass(frozen=True, slots=True)
class Recorded:
    """A task as the database has it."""

    id: str
    definition: bytes
    state: bytes
    is_final: bool
    remarks: bytes = b""  # as remarks.py has them in one text


@dataclass(frozen=True, slots=True)
class Registered:
    """A worker or an agent on its register."""

    id: str
    said: dict  # what it said of itself
    lease_until_ms: int  # the server's clock; 0 once it was reaped
    now_ms: int  # the server's clock

    @property
    def is_alive(self) -> bool:
        return self.lease_until_ms > self.now_ms


@dataclass(frozen=True, slots=True)
class Lead:
    """The answer to a bid for leadership."""

    term: int  # grows with every change of leader; 0: somebody else leads
    was_led: bool  # whether a leader ticked within the lease before

    def __bool__(self) -> bool:
        return self.term > 0
