"""The consistency sweep: finds what no crash should leave behind, repairs it and says so.

A slow, bounded look, each half a minute. Whoever holds a task without being on any worker's list is
reaped; a task whose executor does not hold it waits again; what an executor holds and has plainly
forgotten goes back. Each repair is an operation that checks again, so it may come too late, and
never too early. ``manage.py audit`` looks at more, and changes nothing.
"""

import logging
from collections.abc import Iterator
from itertools import islice

from tasks_app.audit.live import Holder, Live, Seen
from tasks_app.broker import Broker
from tasks_app.broker.answers import Recorded, Registered
from tasks_app.broker.keys import shards
from tasks_app.message import WORKER_LOST, Attempt, State, now_us, worker_of
from tasks_app.states import HELD

logger = logging.getLogger(__name__)

STEPS = 4  # of a walk over the states, in each sweep

Found = tuple[int, str, str]  # a shard, an executor, and the task or nothing


class Repairs:
    """Sweeps all shards. What may be a matter of the moment is repaired when it is found twice."""

    def __init__(self, broker: Broker):
        self._broker = broker
        self._walks: dict[int, Iterator[list[str]]] = {}
        self._found: dict[Found, str] = {}  # by the last sweep -> the token

    def sweep(self, workers: dict[str, Registered]) -> None:
        """Look once, and repair."""
        before, self._found = self._found, {}
        for shard in shards():
            live = Live(self._broker, shard)
            self._reap_strangers(live, before)
            self._open_unheld(live)
            self._release_forgotten(shard, workers, before)

    def _reap_strangers(self, live: Live, before: dict[Found, str]) -> None:
        """Executors that hold tasks, and workers that have executors, though nobody renews them."""
        executors, workers = _named(live)
        for holder in live.holders(executors):
            found = (live.shard, holder.executor, "")
            if holder.held and not holder.is_announced:
                self._found[found] = ""
                if found in before:
                    self._reap(live.shard, worker_of(holder.executor), holder.executor)
        for worker in workers:
            if not _any_of(live, worker).lease_until_ms:
                self._reap(live.shard, worker)

    def _reap(self, shard: int, worker: str, executor: str = "") -> None:
        reason = lost(worker, "Nobody answered for its executor any more.")
        taken = self._broker.reap(worker, executor, reason=reason, shard=shard)
        logger.warning(
            "event=repaired what=stranger worker=%s executor=%s taken_back=%d",
            worker, executor, taken,
        )  # fmt: skip

    def _open_unheld(self, live: Live) -> None:
        """Tasks that an executor should hold, and does not: nobody would ever end them."""
        walk = self._walks.setdefault(live.shard, live.fields("states"))
        ids = [task_id for some in islice(walk, STEPS) for task_id in some]
        if not ids:
            del self._walks[live.shard]  # begins anew
            return
        # Glances first: a state may carry a large result.
        looked_at = self._broker.glance([i for i in ids if i.isprintable()]).values()
        suspects = [glance.id for glance in looked_at if glance.state.status in HELD]
        for seen in live.tasks(suspects):
            if seen.definition and not seen.is_held and State.decode(seen.state).status in HELD:
                self._open(live.shard, seen)

    def _open(self, shard: int, seen: Seen) -> None:
        # One version further than it is: if it moves on meanwhile, it is left alone.
        task = Recorded(seen.id, seen.definition, _next_version(seen.state), is_final=False)
        epoch = max(self._broker.epoch(shard), 1)
        done = self._broker.reconcile(epoch, [task], shard)
        logger.warning("event=repaired what=unheld task=%s done=%s", seen.id, done.get(seen.id))

    def _release_forgotten(
        self, shard: int, workers: dict[str, Registered], before: dict[Found, str]
    ) -> None:
        """What executors hold under one token for two sweeps, and say that they do not have."""
        for executor in _idle(workers):
            held = self._broker.held_ids(executor, shard)
            forgotten = {i: t for i, t in held.items() if before.get((shard, executor, i)) == t}
            self._found |= {(shard, executor, task_id): t for task_id, t in held.items()}
            if forgotten and (released := self._broker.release(executor, forgotten, shard)):
                logger.warning(
                    "event=repaired what=forgotten executor=%s given_back=%d",
                    executor, len(released),
                )  # fmt: skip


def lost(worker: str, why: str) -> Attempt:
    """The line for a task that was in the hands of a worker that is gone."""
    return Attempt(
        worker=worker,
        ended_us=now_us(),
        outcome="crashed",
        error_type=WORKER_LOST,
        error=why,
    )


def _named(live: Live) -> tuple[list[str], list[str]]:
    """The executors that hold something, and the workers that have a list of executors."""
    executors, workers = [], []
    for names in live.names():
        executors += [n.removeprefix("held:") for n in names if n.startswith("held:")]
        workers += [n.removeprefix("executors:") for n in names if n.startswith("executors:")]
    return executors, workers


def _any_of(live: Live, worker: str) -> Holder:
    """What is known of a worker, as of any of its executors."""
    return live.holders([f"{worker}:"])[0]


def _idle(workers: dict[str, Registered]) -> Iterator[str]:
    """The executors that say that they have nothing in hand."""
    for worker in workers.values():
        said = worker.said.get("executors") if isinstance(worker.said, dict) else None
        for each in said if worker.is_alive and isinstance(said, list) else ():
            if isinstance(each, dict) and each.get("active") == each.get("reserved") == 0:
                yield str(each.get("id", ""))


def _next_version(state: bytes) -> bytes:
    header, newline, lines = state.partition(b"\n")
    words = header.split(b"|")
    words[3] = b"%d" % (int(words[3]) + 1)
    return b"|".join(words) + newline + lines
