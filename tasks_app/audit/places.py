"""G1, G2: whether a task is in one place, and in the one that its state tells."""

from collections.abc import Iterator

from ..broker.keys import shard_of
from ..message import State, TaskMessage
from ..states import FINAL, HELD, Status
from .findings import Finding
from .live import Seen

# An open task that nobody holds -> where it waits.
WAITS_IN = {
    Status.PENDING: "ready", Status.SCHEDULED: "scheduled", Status.RETRYING: "scheduled",
    Status.WAITING: "waiting",  # for others; what waits for a limit is pending
}  # fmt: skip


def misplaced(seen: Seen, message: TaskMessage, state: State, shard: int) -> Iterator[Finding]:
    """What is wrong with where a known task stands. ``seen`` is of one moment, so nothing moves."""
    if shard_of(message.queue) != shard:
        yield _wrong(
            "G1", seen, "shard", f"is in shard {shard}, but queue {message.queue} lives in another"
        )
    if state.status in HELD:
        yield from _held(seen, state)
    elif state.status in WAITS_IN:
        yield from _waiting(seen, message, state)
    elif state.status in FINAL:
        yield from _final(seen, state)
    if not seen.is_aside and len(_queued(seen)) < 2:
        yield from _limited(seen, message, state)
    if state.owner and state.status not in HELD:
        yield _wrong("G2", seen, "owner", f"is {state.status}, but names {state.owner} as owner")


def _held(seen: Seen, state: State) -> Iterator[Finding]:
    if not seen.is_held:
        said = f"is {state.status}, but {state.owner or 'nobody'} does not hold it"
        yield _wrong("G2", seen, "not-held", said)
    for place in _queued(seen):
        said = f"is {state.status} by {state.owner}, and stands in {place} too"
        yield _wrong("G2", seen, f"held-and-{place}", said)


def _waiting(seen: Seen, message: TaskMessage, state: State) -> Iterator[Finding]:
    wanted, found = WAITS_IN[state.status], _queued(seen)
    if seen.is_waiting and wanted == "ready" and message.limit:
        wanted = "waiting"  # its state tells no more than that it is pending
    if not found and not seen.is_aside:
        yield _wrong("G1", seen, "nowhere", f"is {state.status}, but stands in no queue")
        return
    if found and found != [wanted]:
        said = f"stands in {' and '.join(found)}, but its state says {state.status}"
        yield _wrong("G2", seen, "queued", said)
    if found and not seen.is_listed:
        said = f"waits in queue {message.queue}, which is not on the list of queues"
        yield _wrong("G2", seen, "unlisted", said)
    if found == ["ready"] and not message.limit and seen.rank != _rank_in(seen.definition):
        yield _wrong("G2", seen, "rank", "stands at another rank than its definition says")
    if state.status is Status.WAITING and not message.has_parents:
        yield _wrong("G7", seen, "parents", "waits for other tasks, and has none to wait for")
    if found and message.expires_us and seen.expires_ms is None:
        yield _wrong("G7", seen, "never-expires", "expires, but the promoter will not hear of it")


def _limited(seen: Seen, message: TaskMessage, state: State) -> Iterator[Finding]:
    """What is wrong with how its limit counts it."""
    is_admitted = bool(message.limit) and (state.status in HELD or seen.rank is not None)
    if seen.is_admitted != is_admitted:
        said = "is not counted by its limit" if is_admitted else "is counted by its limit"
        yield _wrong("G8", seen, "counted", f"{said}, though it {_is(is_admitted)} in use")
    if seen.is_in_line != (seen.is_waiting and state.status is not Status.WAITING):
        said = "waits for its limit" if seen.is_waiting else "stands in the line of its limit"
        other = "stand in its line" if seen.is_waiting else "wait for it"
        yield _wrong("G2", seen, "line", f"{said}, and does not {other}")


def _is(so: bool) -> str:
    return "is" if so else "is not"


def _final(seen: Seen, state: State) -> Iterator[Finding]:
    for place in _queued(seen):
        said = f"is {state.status}, and still stands in {place}"
        yield _wrong("G2", seen, f"final-and-{place}", said)


def _queued(seen: Seen) -> list[str]:
    places = {
        "ready": seen.rank is not None,
        "scheduled": seen.due_ms is not None,
        "waiting": seen.is_waiting,
    }
    return [place for place, is_there in places.items() if is_there]


def _rank_in(definition: bytes) -> float:
    return float(definition.split(b"|", 3)[2])


def _wrong(kind: str, seen: Seen, code: str, said: str) -> Finding:
    return Finding(kind=kind, subject=seen.id, code=code, said=said)
