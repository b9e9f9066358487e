"""One shard as the audit sees it: scanned in small steps, looked at in single moments.

Only reads, so a call whose answer was lost is simply made again. Keys and ids are texts here, in
which bytes that are no UTF-8 survive the way to Python and back.
"""

import logging
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import ResponseError

from ..broker import Broker, keys
from ..broker.wire import position
from ..exceptions import QueueUnavailable
from ..message import worker_of
from .findings import Position
from .scripts import script

logger = logging.getLogger(__name__)

STEP = 500  # members of a scan, executors or queues of a look
TASKS = 200  # of a look: two milliseconds of the server's time
MOST_BYTES = 4 * 1024 * 1024  # of one answer, roughly
TRIES, PAUSE_SECONDS = 4, 0.5  # of a call that Redis does not answer
OVERDUE_MS = 60_000  # what should have been promoted or expired for so long is overdue
SOME_IDS = 3  # of an executor's tasks, to be named in a sentence

NOWHERE: Position = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A task at one moment: its two texts, and every place where it could stand."""

    id: str
    definition: bytes
    state: bytes
    rank: float | None = None  # in its queue's ready
    due_ms: float | None = None  # in its queue's scheduled
    expires_ms: float | None = None  # in its queue's expiring
    is_held: bool = False  # by the owner in its state
    is_listed: bool = True  # its queue is on the list of queues
    is_aside: bool = False  # a purge has put it aside
    is_waiting: bool = False  # among those of its queue that wait for a limit
    is_in_line: bool = False  # of its limit
    is_admitted: bool = False  # by its limit


@dataclass(frozen=True, slots=True)
class Key:
    """A key at one moment."""

    name: str  # without what all keys of the shard begin with
    type: str  # "none" if it is gone
    ttl_ms: int  # -1: it stays for ever
    length: int  # of a list


@dataclass(frozen=True, slots=True)
class Stray:
    """A member of a container that does not belong there."""

    id: str
    is_known: bool  # Redis has its definition
    home: str  # the queue of its definition, or the owner in its state


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A queue at one moment."""

    queue: str  # escaped, as in its keys
    now_ms: int
    ready: int
    scheduled: int
    due: tuple[str, float] | None  # the first of the scheduled
    expiring: tuple[str, float] | None  # the first of those that expire
    look_at_ms: float | None  # when the promoter will look
    overdue: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """The key of a limit at one moment."""

    key: str
    label: str
    head: str  # the first task in its line; "": nobody waits
    room: int  # how many more could be admitted
    look_at_ms: float | None  # when it is looked at for a token
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """An executor at one moment."""

    executor: str
    now_ms: int
    held: int
    some_ids: list[str]
    is_registered: bool  # its worker is
    is_announced: bool
    lease_until_ms: int  # of its worker; 0: none


class Live:
    """Looks at one shard."""

    def __init__(self, broker: Broker, shard: int = 0):
        self.shard = shard
        self._link = broker.link
        self._anchor = keys.anchor(shard)
        self._knows_novalues = True

    def key(self, name: str) -> str:
        return f"{self._anchor}:{name}"

    # --- scans: bounded steps; what is there all the time is seen at least once ---

    def names(self) -> Iterator[list[str]]:
        """The names of all keys of the shard, without what they begin with."""
        start = len(self._anchor) + 1
        for some in self._scan("SCAN", "MATCH", f"{self._anchor}:*", "COUNT", STEP):
            yield [_text(name)[start:] for name in some]

    def fields(self, name: str) -> Iterator[list[str]]:
        """The fields of a hash, without their values if the server can leave those out."""
        if self._knows_novalues:
            try:
                for some in self._scan("HSCAN", self.key(name), "COUNT", STEP, "NOVALUES"):
                    yield [_text(one) for one in some]
                return
            except ResponseError:  # Redis before 7.4; it refuses the first call
                self._knows_novalues = False
        for some in self._pairs(name):
            yield [_text(one) for one in some[::2]]

    def items(self, name: str) -> Iterator[list[tuple[str, str]]]:
        """The fields of a hash with their values."""
        for some in self._scan("HSCAN", self.key(name), "COUNT", STEP):
            texts = [_text(one) for one in some]
            yield list(zip(texts[::2], texts[1::2], strict=True))

    def members(self, name: str) -> Iterator[list[str]]:
        """The members of a sorted set."""
        for some in self._scan("ZSCAN", self.key(name), "COUNT", STEP):
            yield [_text(one) for one in some[::2]]

    def listed(self, name: str) -> Iterator[list[str]]:
        """The members of a set."""
        for some in self._scan("SSCAN", self.key(name), "COUNT", STEP):
            yield [_text(one) for one in some]

    def _pairs(self, name: str) -> Iterator[list[bytes]]:
        """The same as ``items``, in steps that shrink when the values are big."""
        cursor, step = b"0", 10
        while True:
            cursor, some = self.call("HSCAN", self.key(name), cursor, "COUNT", step)
            yield some
            if cursor == b"0":
                return
            size = sum(map(len, some))
            step = max(step // 2, 1) if size > MOST_BYTES else min(step * 2, STEP)

    def _scan(self, command: str, *words: Any) -> Iterator[list[bytes]]:
        target, options = ([], words) if command == "SCAN" else (words[:1], words[1:])
        cursor = b"0"
        while True:
            cursor, some = self.call(command, *map(_bytes, target), cursor, *options)
            if some:
                yield some
            if cursor == b"0":
                return

    # --- looks: each at one moment ---

    def keys(self, names: Sequence[str]) -> list[Key]:
        """What some keys are."""
        answers = self._look("names", *names)
        return [Key(n, _text(kind), *rest) for n, (kind, *rest) in zip(names, answers, strict=True)]

    def tasks(self, ids: Sequence[str]) -> Iterator[Seen]:
        """All that Redis has of some tasks; also of one that it does not know."""
        done = 0
        while done < len(ids):
            some = ids[done : done + TASKS]
            answers = self._look("tasks", MOST_BYTES, *some)
            for task_id, answer in zip(some, answers, strict=False):
                yield _seen(task_id, *answer)
            done += len(answers)

    def strays(self, kind: str, name: str, home: str, members: Sequence[str]) -> Iterator[Stray]:
        """Those of the members of a container that do not belong there."""
        done = 0
        while done < len(members):
            some = members[done : done + TASKS]
            looked_at, strays = self._look("strays", kind, self.key(name), home, MOST_BYTES, *some)
            for member, is_known, at in strays:
                yield Stray(_text(member), bool(is_known), _text(at))
            done += looked_at

    def lines(self, queues: Sequence[str]) -> list[Line]:
        """Some queues, by their escaped names."""
        now_ms, answers = self._look("queues", OVERDUE_MS, *queues)
        return [_line(queue, now_ms, *a) for queue, a in zip(queues, answers, strict=True)]

    def holders(self, executors: Sequence[str]) -> list[Holder]:
        """Some executors."""
        words = [word for each in executors for word in (each, worker_of(each))]
        now_ms, answers = self._look("holders", SOME_IDS, *words)
        return [_holder(each, now_ms, *a) for each, a in zip(executors, answers, strict=True)]

    def limits(self, names: Sequence[str]) -> list[Limit]:
        """The keys of some limits."""
        now_ms, answers = self._look("limits", *names)
        return [
            Limit(
                key=key, label=_text(label), head=_text(head), room=room,
                look_at_ms=_number(look_at), now_ms=now_ms,
            )
            for key, (label, head, room, look_at) in zip(names, answers, strict=True)
        ]  # fmt: skip

    def uptime_ms(self) -> int:
        """For how long the server has been up: leases from before that mean little."""
        found = re.search(rb"uptime_in_seconds:(\d+)", self.call("INFO", "server"))
        return int(found[1]) * 1000

    def epoch(self) -> int:
        """How often what was lost has been restored, plus one; 0: never looked at."""
        return int(self.call("GET", self.key("epoch")) or 0)

    def last_change(self) -> Position:
        """Where the stream of changes ends, whatever of it has been acknowledged."""
        try:
            info = self.call("XINFO", "STREAM", self.key("changes"))
        except ResponseError:  # there is none
            return NOWHERE
        return position(
            dict(zip(info[::2], info[1::2], strict=True))[b"last-generated-id"].decode()
        )

    def first_change(self) -> Position:
        """Where the stream begins: all that is before has been acknowledged."""
        changes = self.key("changes")
        first = self.call("XRANGE", changes, "-", "+", "COUNT", 1)
        if first:
            return position(first[0][0].decode())
        milliseconds, number = self.last_change()
        return milliseconds, number + 1

    def _look(self, name: str, *words: Any) -> Any:
        return self._again(self._link.run, script(name), self._anchor, *map(_bytes, words))

    def call(self, *command: Any) -> Any:
        """One command that only reads. Raise QueueUnavailable."""
        return self._again(self._link.call, *command)

    def _again(self, call: Any, *words: Any) -> Any:
        for left in reversed(range(TRIES)):
            try:
                return call(*words)
            except QueueUnavailable as error:
                if not left:
                    raise
                logger.info("event=asked_again error=%s", error)
                time.sleep(PAUSE_SECONDS)


def _text(given: bytes) -> str:
    return given.decode("utf-8", "surrogateescape")


def _bytes(given: Any) -> Any:
    return given.encode("utf-8", "surrogateescape") if isinstance(given, str) else given


def _seen(
    task_id: str, definition: bytes, state: bytes, rank: bytes, due: bytes, expires: bytes,
    held: bytes, listed: bytes, aside: bytes, waiting: bytes, line: bytes, admitted: bytes,
) -> Seen:  # fmt: skip
    return Seen(
        id=task_id,
        definition=definition,
        state=state,
        rank=_number(rank),
        due_ms=_number(due),
        expires_ms=_number(expires),
        is_held=bool(held),
        is_listed=bool(listed),
        is_aside=bool(aside),
        is_waiting=bool(waiting),
        is_in_line=bool(line),
        is_admitted=bool(admitted),
    )


def _line(
    queue: str, now_ms: int, ready: int, scheduled: int, due_id: bytes, due_at: bytes,
    end_id: bytes, end_at: bytes, look_at: bytes, overdue: int,
) -> Line:  # fmt: skip
    return Line(
        queue=queue,
        now_ms=now_ms,
        ready=ready,
        scheduled=scheduled,
        due=(_text(due_id), float(due_at)) if due_at else None,
        expiring=(_text(end_id), float(end_at)) if end_at else None,
        look_at_ms=_number(look_at),
        overdue=overdue,
    )


def _holder(
    executor: str, now_ms: int, held: int, some: Iterable[bytes], registered: int, announced: int,
    lease_until: bytes,
) -> Holder:  # fmt: skip
    return Holder(
        executor=executor,
        now_ms=now_ms,
        held=held,
        some_ids=sorted(map(_text, some)),
        is_registered=bool(registered),
        is_announced=bool(announced),
        lease_until_ms=int(float(lease_until or 0)),
    )


def _number(text: bytes) -> float | None:
    return float(text) if text else None
