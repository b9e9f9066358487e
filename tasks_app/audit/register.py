"""G7, G8, G10: whether queues, executors and small keys are looked after."""

import re
from collections.abc import Iterator

from ..conf import conf
from ..message import escaped, unescaped
from .findings import Finding
from .live import OVERDUE_MS, Holder, Key, Limit, Line

MARGIN_MS = 10_000  # beyond two leases: a new leader lets one pass, then reaps once a second
MOST_HANDED = 1000  # tasks of one claim, which may come back into a queue that is full again
CONTROL = re.compile(r"[\x00-\x20\x7f]")

# The beginning of a key's name -> its type; None: whatever it may be.
TYPES = {
    "payloads": "hash", "states": "hash", "changes": "stream", "counters": "hash", "marks": "hash",
    "rated": "set", "parked": "zset",
    "remarks": "hash",
    "queues": "set", "paused": "set", "due": "zset", "offers": "hash", "aside": "list",
    "workers": "hash", "agents": "hash", "workers:leases": "zset", "agents:leases": "zset",
    "samples": "list", "takers": "hash", "arrivals": "hash", "demand": "hash",
    "decisions": "list", "epoch": "string", "gate": "string", "term": "string",
    "leader": "string", "recorded": "string", "confirmed": "string",
}  # fmt: skip
TYPES_BELOW = {
    "held:": "hash", "wake:": "list", "executors:": "set", "aside:": "zset", "reply:": "string",
    "workers:orders:": "list", "agents:orders:": "list", "workers:bell:": "list",
    "agents:bell:": "list", "answer:": "list", "hold:": "string", "unique:": "string",
    "promise:": "string",
}  # fmt: skip
QUEUE = re.compile(r"q:(?P<queue>[^:]*):(?P<part>ready|scheduled|expiring|idle|waiting)")
LIMIT = re.compile(r"limit:(?P<key>[^:]*)(?::(?P<part>line|admitted|reserved))?")
LIMIT_TYPES = {None: "hash", "line": "zset", "admitted": "set", "reserved": "set"}

# Lists that end by themselves -> the most that may lie on one. Others are never looked at again.
PASSING = {"wake:": 1000, "workers:orders:": 1000, "agents:orders:": 1000, "workers:bell:": 1,
           "agents:bell:": 1, "answer:": 100, "reply:": 0, "promise:": 0}  # fmt: skip
BOUNDED = {"samples": 900, "decisions": 200}


def type_of(name: str) -> str | None:
    """The type that a key should have; None for one that this audit does not know."""
    if name.endswith(":waiting") and name.startswith(("q:", "aside:")):
        return "set"
    if QUEUE.fullmatch(name):
        return "zset"
    if found := LIMIT.fullmatch(name):
        return LIMIT_TYPES[found["part"]]
    below = (kind for start, kind in TYPES_BELOW.items() if name.startswith(start))
    return TYPES.get(name) or next(below, None)


def misnamed(key: Key) -> Iterator[Finding]:
    """What is wrong with a key's name or type."""
    name = key.name
    wanted, queue = type_of(name), QUEUE.fullmatch(name)
    if CONTROL.search(name):
        yield _wrong("G10", name, "name", "has a space or a control character in its name")
    elif queue and escaped(unescaped(queue["queue"])) != queue["queue"]:
        yield _wrong("G10", name, "queue", "names a queue in another way than the broker does")
    if wanted and key.type not in (wanted, "none"):
        yield _wrong("G10", name, "type", f"is a {key.type} and should be a {wanted}")


def endless(key: Key) -> Iterator[Finding]:
    """A list or an answer that should be gone soon, and is not or grows."""
    name = key.name
    start = next((start for start in PASSING if name.startswith(start)), None)
    if start and key.ttl_ms == -1:
        yield _wrong("G8", name, "endless", "should end by itself, and has no time to live")
    most = PASSING[start] if start else BOUNDED.get(name)
    if most and key.length > most:
        yield _wrong("G8", name, "long", f"holds {key.length:,} entries; {most:,} is the most")


def neglected(line: Line) -> Iterator[Finding]:
    """What is wrong with a queue."""
    heads = [head[1] for head in (line.due, line.expiring) if head]
    name = unescaped(line.queue)
    if heads and (line.look_at_ms is None or line.look_at_ms > min(heads)):
        said = "the promoter will look at it later than its first task is due"
        yield _wrong("G7", f"queue {name}", "due", said, at=line.queue)
    if line.overdue:
        late = (line.now_ms - min(heads)) / 1000
        said = (
            f"{line.overdue:,} tasks are overdue to be promoted or to expire, the first one "
            f"({_first_of(line)}) by {late:,.0f} s; does a coordinator lead?"
        )
        yield _wrong(
            "G7", f"queue {name}", "overdue", said, at=line.queue, mark=(line.due, line.expiring)
        )
    most = conf().max_queue_depth
    if most and line.ready + line.scheduled > most + MOST_HANDED:
        said = f"{line.ready + line.scheduled:,} tasks wait in it; MAX_QUEUE_DEPTH is {most:,}"
        yield _wrong("G8", f"queue {name}", "depth", said, at=line.queue)


def _first_of(line: Line) -> str:
    return min(filter(None, (line.due, line.expiring)), key=lambda head: head[1])[0]


def kept_waiting(limit: Limit) -> Iterator[Finding]:
    """Tasks that wait for a limit that has room, or for a token when nobody will look."""
    if limit.head and limit.room and limit.look_at_ms is None:
        said = f"has room for {limit.room:,} more, and task {limit.head} waits for it"
        yield _wrong("G7", f"limit {limit.label}", "room", said, at=limit.key, mark=limit.head)
    elif limit.look_at_ms and limit.now_ms - limit.look_at_ms > OVERDUE_MS:
        late = (limit.now_ms - limit.look_at_ms) / 1000
        said = f"has a token since {late:,.0f} s, and is not looked at; does a coordinator lead?"
        yield _wrong(
            "G7", f"limit {limit.label}", "parked", said, at=limit.key, mark=limit.look_at_ms
        )


def abandoned(holder: Holder, uptime_ms: int) -> Iterator[Finding]:
    """Tasks that an executor holds, though nobody renews a lease for it or will reap it."""
    if not holder.held:
        return
    ids = ", ".join(holder.some_ids) + (", …" if holder.held > len(holder.some_ids) else "")
    holds = f"holds {holder.held:,} tasks ({ids})"
    worker = holder.executor.partition(":")[0]
    patience_ms = 2 * int(conf().lease_seconds * 1000) + MARGIN_MS
    silent_ms = holder.now_ms - holder.lease_until_ms
    if not holder.is_registered or not holder.lease_until_ms:
        said = f"{holds}, but its worker {worker} is not registered or was reaped"
        yield _wrong("G7", holder.executor, "no-worker", said)
    elif not holder.is_announced:
        said = f"{holds}, but its worker {worker} has not announced it: it is reaped with nobody"
        yield _wrong("G7", holder.executor, "unannounced", said)
    elif min(silent_ms, uptime_ms) > patience_ms:
        said = f"{holds}, but the lease of {worker} ended {silent_ms / 1000:,.0f} s ago"
        yield _wrong("G7", holder.executor, "no-lease", said, mark=holder.lease_until_ms)


def left_behind(holder: Holder, where: str) -> Iterator[Finding]:
    """An executor that is on a list though no worker announced it."""
    if not holder.is_announced:
        said = f"is among the {where}, but no worker announced it"
        yield _wrong("G8", holder.executor, where, said, at=(where, holder.executor))


def orphaned(holder: Holder) -> Iterator[Finding]:
    """An executor of a worker that is gone."""
    if holder.is_announced and not holder.is_registered and not holder.lease_until_ms:
        said = "is listed as an executor, but its worker has resigned"
        yield _wrong("G8", holder.executor, "orphaned", said, at=("executors", holder.executor))


def lagging(changes: int) -> Iterator[Finding]:
    """More unrecorded changes than there may be."""
    most = conf().max_recorder_lag
    if most and changes >= most:
        said = f"{changes:,} are not recorded, so submits are refused; MAX_RECORDER_LAG is {most:,}"
        yield _wrong("G8", "changes", "lag", said)


def miscounted(counter: str, value: bytes | None) -> Iterator[Finding]:
    """A counter that is no count."""
    if value is not None and not value.isdigit():
        yield _wrong("G8", counter, "counter", f"is a counter, and stands at {value!r}")


def _wrong(kind: str, subject: str, code: str, said: str, **more) -> Finding:
    return Finding(kind=kind, subject=subject, code=code, said=said, **more)
