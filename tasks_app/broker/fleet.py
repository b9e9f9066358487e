"""Who works: the registers of workers and agents, their leases and orders, and who leads."""

import json
import re
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ..conf import conf
from ..message import escaped, unescaped
from . import keys
from .answers import Announced, Lead, Registered
from .inbox import Inbox

if TYPE_CHECKING:
    from .broker import Broker

WORKERS, AGENTS = "workers", "agents"
SAMPLES_KEPT = 900  # one a second: a quarter of an hour
DECISIONS_KEPT = 200
DEMAND_SECONDS = 10  # for which it is believed
ANSWER_SECONDS = 30  # for which an answer waits to be heard
TURN_SECONDS = 0.4  # of waiting for one, on top of a silent server's timeout


class Fleet:
    """The registers live in shard 0; a worker's lease is known in every shard.

    Orders are handed out once by one of these, whatever is lost on the way or comes twice.
    """

    def __init__(self, broker: "Broker"):
        self._broker = broker
        self._inboxes: dict[tuple[str, str], Inbox] = {}  # by kind and id of the receiver

    def announce(
        self,
        worker: str,
        said: dict[str, Any],
        *,
        executors: Iterable[str] = (),
        queues: Iterable[str] = (),
    ) -> Announced:
        """Renew a worker's lease. Return what it needs to know: its orders, and of its queues."""
        executors = [_checked(executor) for executor in executors]
        of_shard = _by_shard(queues)
        left, backlog, demand, renewed_ms = {}, {}, {}, 0
        for shard in reversed(keys.shards()):  # shard 0 last: its register is what counts
            names = of_shard.get(shard, [])
            renewed_ms, left[shard], waiting, told = self._announce(
                WORKERS, worker, said, executors, names, shard
            )
            backlog |= dict(zip(names, waiting, strict=True))
            demand |= {n: json.loads(t) for n, t in zip(names, told, strict=True) if t}
        return Announced(self._take(WORKERS, worker, left), backlog, demand, renewed_ms)

    def announce_agent(self, agent: str, said: dict[str, Any]) -> list[dict[str, Any]]:
        """Renew a host agent's lease. Return the orders that were left for it, oldest first."""
        return self._take(AGENTS, agent, {0: self._announce(AGENTS, agent, said, [], [], 0)[1]})

    def _announce(
        self, kind: str, name: str, said: dict, executors: list[str], queues: list[str], shard: int
    ) -> Any:
        lease_ms = int(conf().lease_seconds * 1000)
        arrived = self._inbox(kind, name).arrived(shard)
        arguments = (kind, name, json.dumps(said), lease_ms, *arrived)
        queues = [len(queues), *map(escaped, queues)]
        return self._broker.run("announce", shard, *arguments, *queues, *executors)

    def orders(self, worker: str) -> list[dict[str, Any]]:
        """The oldest orders that were left for a worker, up to 100 of each shard; no renewal.

        The next call says that they have arrived, and brings more of them if there are more.
        """
        inbox = self._inbox(WORKERS, worker)
        left = {
            shard: self._broker.run("orders", shard, worker, *inbox.arrived(shard))
            for shard in keys.shards()
        }
        return self._take(WORKERS, worker, left)

    def _take(self, kind: str, name: str, left: dict[int, list[bytes]]) -> list[dict[str, Any]]:
        """What came from the shards. Not before all have answered: until then it comes again."""
        inbox = self._inbox(kind, name)
        return [order for shard, texts in left.items() for order in inbox.take(shard, texts)]

    def _inbox(self, kind: str, name: str) -> Inbox:
        return self._inboxes.setdefault((kind, name), Inbox())

    def resign(self, worker: str) -> bool:
        """Take a worker off. Return False, with nothing changed, if it still holds tasks."""
        # Shard 0 last: its register is where a reaper finds the worker meanwhile.
        shards = reversed(keys.shards())
        return all(self._broker.run_as_leader("resign", shard, WORKERS, worker) for shard in shards)

    def resign_agent(self, agent: str) -> None:
        self._broker.run_as_leader("resign", 0, AGENTS, agent)

    def workers(self) -> dict[str, Registered]:
        """Every worker that has not resigned, by id; also silent ones."""
        return self._register(WORKERS)

    def agents(self) -> dict[str, Registered]:
        return self._register(AGENTS)

    def _register(self, kind: str) -> dict[str, Registered]:
        now_ms, flat = self._broker.run("fleet", 0, kind)
        register = {}
        for name, said, until in zip(flat[::3], flat[1::3], flat[2::3], strict=True):
            worker = name.decode()
            until_ms = int(float(until or 0))
            register[worker] = Registered(worker, json.loads(said), until_ms, now_ms)
        return register

    def executors(self, worker: str, shard: int = 0) -> list[str]:
        """The executors that a worker announced and that were not reaped."""
        found = self._broker.link.call("SMEMBERS", keys.key(shard, f"executors:{worker}"))
        return sorted(executor.decode() for executor in found)

    def order(self, worker: str, order: dict[str, Any]) -> bool:
        """Leave an order for a worker, and ring its bell. Return False if it is not registered."""
        return self._order(WORKERS, worker, order)

    def order_agent(self, agent: str, order: dict[str, Any]) -> bool:
        return self._order(AGENTS, agent, order)

    def _order(self, kind: str, name: str, order: dict[str, Any]) -> bool:
        text = json.dumps({**order, "ticket": uuid4().hex})
        return bool(self._broker.run("order", 0, kind, name, text))

    def lead(self, who: str) -> Lead:
        """Become or stay the leader for ``leader_seconds``; falsy if somebody else leads."""
        leader_ms, lease_ms = int(conf().leader_seconds * 1000), int(conf().lease_seconds * 1000)
        term, was_led = self._broker.run("lead", 0, who, leader_ms, lease_ms)
        return Lead(term, bool(was_led))

    def abdicate(self, who: str) -> bool:
        """Stop leading, so that another one can start at once. Return whether ``who`` led."""
        return bool(self._broker.run("abdicate", 0, who))

    def leader(self) -> str | None:
        """Who leads now."""
        found = self._broker.link.call("GET", keys.key(0, "leader"))
        return found.decode() if found else None

    def hold(self, name: str, who: str, lease_ms: int) -> bool:
        """Become or stay the only holder of a lease; 0 ms give it up. Return whether it is held."""
        return bool(self._broker.run("hold", 0, name, who, lease_ms))

    def server_uptime_seconds(self) -> int:
        """For how long the server has been up: what it says of leases from before means little."""
        found = re.search(rb"uptime_in_seconds:(\d+)", self._broker.link.call("INFO", "server"))
        return int(found[1])

    def keep_sample(self, sample: dict[str, Any]) -> None:
        """Keep one more sample of the metrics; the oldest goes."""
        self._broker.run_as_leader("sample", 0, json.dumps(sample), SAMPLES_KEPT)

    def samples(self, limit: int = SAMPLES_KEPT) -> list[dict[str, Any]]:
        """The last samples, oldest first."""
        found = self._broker.link.call("LRANGE", keys.key(0, "samples"), -limit, -1)
        return [json.loads(sample) for sample in found]

    def arrivals(self) -> dict[str, int]:
        """How many tasks were ever submitted to each queue; a count that only grows."""
        found = {}
        for shard in keys.shards():
            flat = self._broker.link.call("HGETALL", keys.key(shard, "arrivals"))
            names = (unescaped(name.decode()) for name in flat[::2])
            found |= dict(zip(names, map(int, flat[1::2]), strict=True))
        return found

    def keep_demand(self, demand: Mapping[str, dict[str, Any]]) -> None:
        """Tell the workers of the queues; instead of what was told before."""
        of_shard = _by_shard(demand)
        for shard in keys.shards():
            names = of_shard.get(shard, [])
            flat = [word for n in names for word in (escaped(n), json.dumps(demand[n]))]
            self._broker.run_as_leader("demand", shard, DEMAND_SECONDS, *flat)

    def keep_decision(self, decision: dict[str, Any]) -> None:
        """Keep one more decision of an autoscaler; the oldest goes."""
        self._broker.run("decision", 0, json.dumps(decision), DECISIONS_KEPT)

    def decisions(self, limit: int = 100) -> list[dict[str, Any]]:
        """The last decisions of the autoscalers, newest first."""
        found = self._broker.link.call("LRANGE", keys.key(0, "decisions"), 0, max(limit, 0) - 1)
        return [json.loads(decision) for decision in found] if limit > 0 else []

    def answer(self, request: str, value: dict[str, Any]) -> None:
        """Leave an answer for whoever waits for it with ``await_answer``."""
        self._broker.run("answer", 0, request, json.dumps(value), ANSWER_SECONDS)

    def await_answer(self, request: str, seconds: float) -> dict[str, Any] | None:
        """Wait for the answer to a request; None after ``seconds`` without.

        In short turns, so that a server that falls silent meanwhile is noticed as soon as always.
        """
        link, until = self._broker.link, time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            turn = min(left, TURN_SECONDS)
            command = ("BLPOP", keys.key(0, f"answer:{request}"), turn)
            if found := link.call(*command, answer_within=turn + link.timeout):
                return json.loads(found[1])
        return None


def _by_shard(queues: Iterable[str]) -> dict[int, list[str]]:
    """Each queue once, by the shard that it lives in."""
    found: dict[int, list[str]] = {}
    for queue in dict.fromkeys(queues):
        found.setdefault(keys.shard_of(queue), []).append(queue)
    return found


def _checked(executor: str) -> str:
    """An executor's id stands in the header of a state."""
    if not executor or re.search(r"[|\s]", executor):
        raise ValueError(f"An executor's id is one word without '|', not {executor!r}.")
    return executor
