"""What the broker is told and what it answers: small values, no behaviour."""

from dataclasses import dataclass, field

import msgspec

from ..message import StoredTask


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What an executor says of a task that it held."""

    id: str
    token: str
    outcome: str  # "completed", "failed", "retry" or "released"
    pause_ms: int = 0  # before a retry or a released task may start
    line: bytes = b""  # one Attempt, encoded


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

    @property
    def ready(self) -> int:
        return sum(self.levels)


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
