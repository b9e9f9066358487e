"""The probes of Redis, and the order of all probes."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from ..slices import slices
from ..states import FINAL
from . import compared, places, register, story, texts
from .findings import Finding, Position
from .live import STEP, Holder, Live, Seen
from .probe import Probe
from .record import Record, Row
from .record_probes import LedgerProbe, OutboxProbe, QuarantineProbe, RecordProbe, ReleaseProbe


class KeyProbe(Probe):
    """G8, G10: the names, the types and the bounds of keys; and what they are keys of."""

    def __init__(self, live: Live):
        self._live = live
        self.queues: set[str] = set()  # escaped
        self.sets: set[tuple[str, str]] = set()  # name of a sorted set of tasks, its queue
        self.lists: set[tuple[str, str, str]] = set()  # kind, name and home of a set of tasks
        self.lines: set[tuple[str, str]] = set()  # name of the line of a limit, its key
        self.limits: set[str] = set()  # keys of limits
        self.executors: set[str] = set()  # that hold something
        self.teams: set[str] = set()  # workers that have executors
        self.unique: set[str] = set()  # names of unique keys that do not end by themselves

    def subjects(self) -> Iterator[list[str]]:
        yield from self._live.names()

    def look(self, subjects: Sequence[str]) -> Iterator[Finding]:
        for key in self._live.keys(subjects):
            yield from register.misnamed(key)
            if key.type == register.type_of(key.name):
                self._note(key.name)
                if key.name.startswith("unique:") and key.ttl_ms == -1:
                    self.unique.add(key.name)
                yield from register.endless(key)

    def _note(self, name: str) -> None:
        if found := register.QUEUE.fullmatch(name):
            self.queues.add(found["queue"])
            if found["part"] in ("ready", "scheduled"):
                self.sets.add((name, found["queue"]))
            elif found["part"] == "waiting":
                self.lists.add(("waiting", name, found["queue"]))
        elif found := register.LIMIT.fullmatch(name):
            self.limits.add(found["key"])
            if found["part"] == "line":
                self.lines.add((name, found["key"]))
            elif found["part"]:
                self.lists.add(("admitted", name, found["key"]))
        elif name.startswith("held:"):
            self.executors.add(name.removeprefix("held:"))
        elif name.startswith("executors:"):
            self.teams.add(name.removeprefix("executors:"))


class TaskProbe(Probe):
    """Every task that a shard knows: its texts, its place, its story, and its row."""

    counts = "redis"

    def __init__(self, live: Live, others: Sequence[Live], record: Record):
        self._live = live
        self._others = others
        self._record = record

    def subjects(self) -> Iterator[list[str]]:
        yield from self._live.fields("payloads")

    def look(self, subjects: Sequence[str]) -> Iterator[Finding]:
        for ids in self._record.slices(subjects):
            # In this order: the record is never ahead of Redis, nor behind what is acknowledged.
            first = self._live.first_change()
            recorded = self._record.rows(ids)
            seen = list(self._live.tasks(ids))
            last = self._live.last_change()
            known = [one for one in seen if one.definition]
            found: list[Finding] = []
            for one in known:
                found += self._judge(one, recorded.get(one.id), first, last)
            yield from self._unless_quarantined(found)
            yield from self._elsewhere([one.id for one in known])

    def _judge(self, seen: Seen, row: Row | None, first: Position, last: Position) -> list[Finding]:
        message, state, found = texts.read(seen.id, seen.definition, seen.state)
        if message is None or state is None:
            return found
        found += places.misplaced(seen, message, state, self._live.shard)
        found += story.impossible(seen.id, message, state, is_live=True)
        if row is not None:
            found += compared.differing(seen, state, row)
        found += compared.unrecorded(seen, message, state, row, first, last)
        return found

    def _unless_quarantined(self, found: list[Finding]) -> Iterator[Finding]:
        """What the database refused has no row, and is told as that."""
        waiting = [f.subject for f in found if f.code == "unrecorded"]
        refused = self._record.quarantined(waiting) if waiting else set()
        yield from (f for f in found if f.code != "unrecorded" or f.subject not in refused)

    def _elsewhere(self, ids: Sequence[str]) -> Iterator[Finding]:
        for other in self._others:
            for seen in other.tasks(ids):
                if seen.definition:
                    said = f"is in shard {self._live.shard} and in shard {other.shard}"
                    yield Finding(kind="G1", subject=seen.id, code="two-shards", said=said)


class StrayProbe(Probe):
    """G1, G2: what stands or is held somewhere, and does not belong there."""

    def __init__(self, live: Live, keys: KeyProbe):
        self._live = live
        self._keys = keys

    def subjects(self) -> Iterator[list[tuple[str, str, str, str]]]:
        """Kind and name of the container, whose it is, and a member."""
        for name, queue in sorted(self._keys.sets):
            for members in self._live.members(name):
                yield [("queue", name, queue, member) for member in members]
        for name, key in sorted(self._keys.lines):
            for members in self._live.members(name):
                yield [("line", name, key, member) for member in members]
        for kind, name, home in sorted(self._keys.lists):
            for members in self._live.listed(name):
                yield [(kind, name, home, member) for member in members]
        for executor in sorted(self._keys.executors):
            name = f"held:{executor}"
            for fields in self._live.fields(name):
                yield [("held", name, executor, task_id) for task_id in fields]
        for name in ("states", "marks"):
            for fields in self._live.fields(name):
                yield [("states", name, "", task_id) for task_id in fields]

    def look(self, subjects: Sequence[tuple[str, str, str, str]]) -> Iterator[Finding]:
        containers = defaultdict(list)
        for kind, name, home, member in subjects:
            containers[kind, name, home].append(member)
        for (kind, name, home), members in containers.items():
            for stray in self._live.strays(kind, name, home, members):
                said = _STRAY[kind](name, stray.home) if stray.is_known else _unknown(name)
                yield Finding(
                    kind="G2" if stray.is_known else "G1", subject=stray.id, code=f"stray {name}",
                    said=said, at=(kind, name, home, stray.id),
                )  # fmt: skip


_STRAY = {
    "queue": lambda name, home: f"stands in {name}, but its queue is {home}",
    "waiting": lambda name, home: f"stands in {name}, but its queue is {home}",
    "line": lambda name, home: f"stands in {name}, but its limit is {home or 'none'}",
    "admitted": lambda name, home: f"is counted in {name}, but its limit is {home or 'none'}",
    "held": lambda name, home: (
        f"is held by {name.removeprefix('held:')}, but its state names {home or 'nobody'} as owner"
    ),
}


def _unknown(name: str) -> str:
    return f"is in {name}, but Redis has no definition of it"


class TokenProbe(Probe):
    """G4: no two executors hold under one token, and none holds without."""

    def __init__(self, live: Live, keys: KeyProbe):
        self._live = live
        self._keys = keys
        self._whose: dict[str, str] = {}  # token -> executor

    def subjects(self) -> Iterator[list[tuple[str, str, str]]]:
        """Executor, token and task of each claim."""
        for executor in sorted(self._keys.executors):
            for some in self._live.items(f"held:{executor}"):
                yield [(executor, token, task_id) for task_id, token in some]

    def look(self, subjects: Sequence[tuple[str, str, str]]) -> Iterator[Finding]:
        for executor, token, task_id in subjects:
            other = self._whose.setdefault(token, executor)
            if token and other == executor:
                continue
            if not self._holds(executor, token, task_id):
                continue
            said = f"is held by {executor} under " + (
                f"a token that {other} holds tasks under too" if token else "no token at all"
            )
            yield Finding(
                kind="G4", subject=task_id, code="token", said=said, at=(executor, token, task_id)
            )

    def _holds(self, executor: str, token: str, task_id: str) -> bool:
        found = self._live.call("HGET", self._live.key(f"held:{executor}"), task_id)
        return found is not None and found.decode(errors="replace") == token


class UniqueProbe(Probe):
    """G8: unique keys of tasks that are over or gone."""

    def __init__(self, live: Live, keys: KeyProbe):
        self._live = live
        self._keys = keys

    def subjects(self) -> Iterator[list[str]]:
        yield from slices(sorted(self._keys.unique), STEP)

    def look(self, subjects: Sequence[str]) -> Iterator[Finding]:
        for name in subjects:
            value = self._live.call("GET", self._live.key(name))
            if value is None:
                continue
            owner = value.decode(errors="replace").partition(" ")[0]
            (seen,) = self._live.tasks([owner])
            if not seen.definition or seen.state.partition(b"|")[0].decode() in FINAL:
                said = f"is still taken by task {owner}, which is over"
                yield Finding(kind="G8", subject=name, code="unique", said=said, mark=owner)


class QueueProbe(Probe):
    """G7, G8: every queue, as the promoter and the submit see it."""

    def __init__(self, live: Live, keys: KeyProbe):
        self._live = live
        self._keys = keys

    def subjects(self) -> Iterator[list[str]]:
        yield from slices(sorted(self._keys.queues), STEP)

    def look(self, subjects: Sequence[str]) -> Iterator[Finding]:
        for line in self._live.lines(subjects):
            yield from register.neglected(line)


class LimitProbe(Probe):
    """G7: every limit, as those see it that wait for it."""

    def __init__(self, live: Live, keys: KeyProbe):
        self._live = live
        self._keys = keys

    def subjects(self) -> Iterator[list[str]]:
        yield from slices(sorted(self._keys.limits), STEP)

    def look(self, subjects: Sequence[str]) -> Iterator[Finding]:
        for limit in self._live.limits(subjects):
            yield from register.kept_waiting(limit)


class HolderProbe(Probe):
    """G7: every executor that holds something."""

    def __init__(self, live: Live, keys: KeyProbe):
        self._live = live
        self._keys = keys

    def subjects(self) -> Iterator[list[str]]:
        yield from slices(sorted(self._keys.executors), STEP)

    def look(self, subjects: Sequence[str]) -> Iterator[Finding]:
        uptime_ms = self._live.uptime_ms()
        for holder in self._live.holders(subjects):
            yield from register.abandoned(holder, uptime_ms)


class ListProbe(Probe):
    """G8: executors on a list that no worker announced, or whose worker is gone."""

    LISTS = ("offers", "takers")

    def __init__(self, live: Live, keys: KeyProbe):
        self._live = live
        self._keys = keys

    def subjects(self) -> Iterator[list[tuple[str, str]]]:
        for name in self.LISTS:
            for some in self._live.fields(name):
                yield [(name, executor) for executor in some]
        for worker in sorted(self._keys.teams):
            for some in self._live.listed(f"executors:{worker}"):
                yield [("executors", executor) for executor in some]

    def look(self, subjects: Sequence[tuple[str, str]]) -> Iterator[Finding]:
        for holder, (where, _) in zip(self._holders(subjects), subjects, strict=True):
            if where == "executors":
                yield from register.orphaned(holder)
            elif self._is_on(where, holder.executor):
                yield from register.left_behind(holder, where)

    def _holders(self, subjects: Sequence[tuple[str, str]]) -> list[Holder]:
        return self._live.holders([executor for _, executor in subjects])

    def _is_on(self, where: str, executor: str) -> bool:
        return bool(self._live.call("HEXISTS", self._live.key(where), executor))


class StreamProbe(Probe):
    """G8: the changes that wait to be recorded, and the counters."""

    def __init__(self, live: Live):
        self._live = live

    def subjects(self) -> Iterator[list[str]]:
        yield ["changes"]
        yield from self._live.fields("counters")

    def look(self, subjects: Sequence[str]) -> Iterator[Finding]:
        for name in subjects:
            if name == "changes":
                yield from register.lagging(self._live.call("XLEN", self._live.key("changes")))
            else:
                value = self._live.call("HGET", self._live.key("counters"), name)
                yield from register.miscounted(name, value)


def probes(shards: Sequence[Live], record: Record) -> Iterator[Probe]:
    """All of them, in an order in which each knows what it needs to."""
    for live in shards:
        others = [other for other in shards if other is not live]
        yield (keys := KeyProbe(live))
        yield LedgerProbe(live, record)
        yield HolderProbe(live, keys)
        yield QueueProbe(live, keys)
        yield LimitProbe(live, keys)
        yield StreamProbe(live)
        yield ListProbe(live, keys)
        yield TokenProbe(live, keys)
        yield UniqueProbe(live, keys)
        yield TaskProbe(live, others, record)
        yield StrayProbe(live, keys)
    yield RecordProbe(shards, record)
    yield ReleaseProbe(shards, record)
    yield OutboxProbe()
    yield QuarantineProbe(record)
