"""Who works: the registers of workers and agents, their leases and orders, and who leads."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..conf import conf
from . import keys
from .answers import Lead, Registered

if TYPE_CHECKING:
    from .broker import Broker

WORKERS, AGENTS = "workers", "agents"
SAMPLES_KEPT = 900  # one a second: a quarter of an hour


class Fleet:
    """The registers live in shard 0; a worker's lease is known in every shard."""

    def __init__(self, broker: "Broker"):
        self._broker = broker

    def announce(
        self, worker: str, said: dict[str, Any], *, executors: Iterable[str] = ()
    ) -> list[dict[str, Any]]:
        """Renew a worker's lease. Return the orders that were left for it, oldest first."""
        return self._announce(WORKERS, worker, said, executors, keys.shards())

    def announce_agent(self, agent: str, said: dict[str, Any]) -> list[dict[str, Any]]:
        """The same for a host agent."""
        return self._announce(AGENTS, agent, said, (), [0])

    def _announce(
        self, kind: str, name: str, said: dict, executors: Iterable[str], shards: Sequence[int]
    ) -> list[dict[str, Any]]:
        lease_ms = int(conf().lease_seconds * 1000)
        executors = [_checked(executor) for executor in executors]
        arguments = (kind, name, json.dumps(said), lease_ms, *executors)
        orders = [o for shard in shards for o in self._broker.run("announce", shard, *arguments)]
        return [json.loads(order) for order in orders]

    def resign(self, worker: str) -> bool:
        """Take a worker off. Return False, with nothing changed, if it still holds tasks."""
        # Shard 0 last: its register is where a reaper finds the worker meanwhile.
        shards = reversed(keys.shards())
        return all(self._broker.run("resign", shard, WORKERS, worker) for shard in shards)

    def resign_agent(self, agent: str) -> None:
        self._broker.run("resign", 0, AGENTS, agent)

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
        """Leave an order for a worker. Return False if it is not registered."""
        return bool(self._broker.run("order", 0, WORKERS, worker, json.dumps(order)))

    def order_agent(self, agent: str, order: dict[str, Any]) -> bool:
        return bool(self._broker.run("order", 0, AGENTS, agent, json.dumps(order)))

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
        self._broker.run("sample", 0, json.dumps(sample), SAMPLES_KEPT)

    def samples(self, limit: int = SAMPLES_KEPT) -> list[dict[str, Any]]:
        """The last samples, oldest first."""
        found = self._broker.link.call("LRANGE", keys.key(0, "samples"), -limit, -1)
        return [json.loads(sample) for sample in found]


def _checked(executor: str) -> str:
    """An executor's id stands in the header of a state."""
    if not executor or re.search(r"[|\s]", executor):
        raise ValueError(f"An executor's id is one word without '|', not {executor!r}.")
    return executor
