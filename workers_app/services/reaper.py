"""The reaper: takes tasks back from workers that stopped answering."""

import logging
import time

from redis.exceptions import ResponseError

from tasks_app.broker import Broker
from tasks_app.broker.answers import Lead, Registered
from tasks_app.broker.keys import shards
from tasks_app.conf import conf
from tasks_app.exceptions import WorkerLost
from tasks_app.message import Attempt, now_us

from ..service import Service

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
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
        return PAUSE_SECONDS

    def _server_is_young_for(self) -> float:
        """Seconds until the server will have been up for a full lease."""
        return max(conf().lease_seconds - self._broker.fleet.server_uptime_seconds(), 0.0)

    def _reap(self, worker: Registered) -> None:
        if not worker.lease_until_ms:
            return  # reaped before
        reason = Attempt(
            worker=worker.id,
            ended_us=now_us(),
            outcome="crashed",
            error_type=f"{WorkerLost.__module__}.{WorkerLost.__qualname__}",
            error="The worker stopped answering.",
        )
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


def _queues_of(worker: Registered) -> list[str]:
    """Where its executors may stand as idle."""
    queues = worker.said.get("queues") if isinstance(worker.said, dict) else None
    return [q for q in queues if isinstance(q, str)] if isinstance(queues, list) else []
