"""The reaper: takes tasks back from workers that stopped answering."""

import logging
import time
from collections.abc import Iterable

from redis.exceptions import ResponseError

from tasks_app.broker import Broker
from tasks_app.broker.answers import Lead, Registered
from tasks_app.broker.keys import shards
from tasks_app.conf import conf

from ...service import Service
from ..repairs import Repairs, lost

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0  # at the longest: the next lease may end before
SHORTEST_SECONDS = 0.01
SWEEP_SECONDS = 30.0
SHOW_LOST_SECONDS = 300  # for so long a lost worker stays on the register, as inactive
SHOW_LOST_AGENT_SECONDS = 60


class Reaper(Service):
    """Reaps the workers whose lease is over; the script looks at the lease once more.

    A silence may be the server's own: just started, or out of reach of everybody. Then every
    worker gets one full lease to answer before the first is reaped.
    """

    def __init__(self, broker: Broker, lead: Lead):
        super().__init__()
        self._broker = broker
        self._not_before = time.monotonic()
        if not lead.was_led:
            self._not_before += conf().lease_seconds
        self._lost: dict[str, int] = {}  # worker -> when it was first seen silent, server's ms
        self._repairs = Repairs(broker)
        self._sweep_at = self._not_before + SWEEP_SECONDS

    def tick(self) -> float:
        """Reap who is silent, and take off the register who has been for long."""
        wait = max(self._not_before - time.monotonic(), self._server_is_young_for())
        if wait > 0:
            return min(wait, PAUSE_SECONDS)
        workers = self._broker.fleet.workers()
        silent = {name: worker for name, worker in workers.items() if not worker.is_alive}
        for worker in silent.values():
            try:
                self._reap(worker)
            except ResponseError as error:  # a broken task; other workers' must not wait for it
                logger.error("event=not_reaped worker=%s error=%s", worker.id, error)
        self._resign_long_lost(silent)
        self._resign_lost_agents()
        self._sweep(workers)
        return pause_seconds(workers.values())

    def _server_is_young_for(self) -> float:
        """Seconds until the server will have been up for a full lease."""
        return max(conf().lease_seconds - self._broker.fleet.server_uptime_seconds(), 0.0)

    def _reap(self, worker: Registered) -> None:
        if not worker.lease_until_ms:
            return  # reaped before
        reason = lost(worker.id, "The worker stopped answering.")
        taken, queues = 0, _queues_of(worker)
        # Shard 0 last: the register shows its lease, and without one nobody would come back.
        for shard in reversed(shards()):
            taken += self._broker.reap(worker.id, reason=reason, queues=queues, shard=shard)
        logger.warning("event=worker_lost worker=%s taken_back=%d", worker.id, taken)

    def _resign_long_lost(self, silent: dict[str, Registered]) -> None:
        self._lost = {name: self._lost.get(name, w.now_ms) for name, w in silent.items()}
        for name, since_ms in self._lost.items():
            if silent[name].now_ms - since_ms >= SHOW_LOST_SECONDS * 1000:
                self._broker.fleet.resign(name)

    def _resign_lost_agents(self) -> None:
        for agent in self._broker.fleet.agents().values():
            if agent.now_ms - agent.lease_until_ms >= SHOW_LOST_AGENT_SECONDS * 1000:
                self._broker.fleet.resign_agent(agent.id)

    def _sweep(self, workers: dict[str, Registered]) -> None:
        if time.monotonic() < self._sweep_at:
            return
        self._sweep_at = time.monotonic() + SWEEP_SECONDS
        try:
            self._repairs.sweep(workers)
        except (ResponseError, ValueError) as error:  # something that this version cannot read
            logger.error("event=not_repaired error=%s", error)


def pause_seconds(workers: Iterable[Registered]) -> float:
    """How long to wait: until the next lease ends, unless it is renewed meanwhile."""
    rests = [(w.lease_until_ms - w.now_ms) / 1000 for w in workers if w.is_alive]
    return max(min([PAUSE_SECONDS, *rests]), SHORTEST_SECONDS)


def _queues_of(worker: Registered) -> list[str]:
    """Where its executors may stand as idle."""
    queues = worker.said.get("queues") if isinstance(worker.said, dict) else None
    return [q for q in queues if isinstance(q, str)] if isinstance(queues, list) else []
