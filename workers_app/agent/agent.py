"""The host agent: starts and stops workers on its host when it is asked to, and keeps a fleet.

Its workers run the code that the agent has loaded, until they are told to restart.
"""

import logging
import os
import signal
import socket
import time
from collections import deque
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from django.core.management import call_command

from tasks_app.broker import broker
from tasks_app.exceptions import InvalidCall, QueueUnavailable
from tasks_app.message import now_us

from ..control import PoolConfig, new_worker_id
from ..service import Service
from ..supervisor.rebirth import AGAIN
from .fleet_control import start_of
from .forked import Forked
from .keeper import Crew, FleetConfig, Keeper
from .kept import become

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.2  # between two announcements, so how long an order waits at most
QUICK_SECONDS = 30.0  # a worker that fails sooner than this is started again more slowly
MOST_FAILURES = 6  # quick ones in a row, after which a worker is given up
CLAIM_MS = 60_000  # for which an agent's word that it starts a worker stands; askers wait for less


@dataclass(frozen=True, slots=True)
class Plan:
    """A worker to start."""

    config: PoolConfig
    words: tuple[str, ...] = ()  # more options of ``runworker``
    is_kept: bool = False  # one of the agent's own fleet; nobody asked for this very one
    is_fresh: bool = False  # it was asked to restart: with the code that is there now
    failures: int = 0  # quick ones in a row


@dataclass(slots=True)
class Started:
    """A worker that this agent started."""

    plan: Plan
    process: Forked
    at: float  # monotonic
    is_told_to_end: bool = False  # by us


class Agent(Service):
    """Runs workers as its children. They drain and end with it, also when it is killed."""

    def __init__(self, fleet: FleetConfig | None = None) -> None:
        super().__init__()
        self.id = new_worker_id()
        self.since_us = now_us()
        self.workers: dict[str, Started] = {}
        self.again: list[tuple[float, Plan]] = []  # when
        self._orders: deque[dict[str, Any]] = deque()  # that arrived and are to be carried out
        self._fleet = fleet
        self._keeper = Keeper(self.id, fleet, broker()) if fleet else None

    def tick(self) -> float:
        """Say that it is alive, obey what was ordered, look after the workers."""
        self.look_after()
        self._obey_all()
        # Said again after each order: whoever asked for a worker may ask for its end at once.
        while orders := broker().fleet.announce_agent(self.id, self.said()):
            self._orders.extend(orders)
            self._obey_all()
        if self._keeper:
            self._keeper.tick(self._crew(), self._start_kept, self.stop_worker)
        return LOOK_SECONDS

    def said(self) -> dict[str, Any]:
        """What it announces."""
        fleet = {"fleet": self._keeper.said(self._crew().there)} if self._keeper else {}
        return {
            "hostname": socket.gethostname(),
            "pid": os.getpid(),
            "started_us": self.since_us,
            "workers": list(self.workers),
            **fleet,
        }

    # --- orders ---

    def _obey_all(self) -> None:
        """Carry out what has arrived. What Redis does not let us do waits for the next tick."""
        while self._orders:
            order = self._orders.popleft()
            try:
                self.obey(order)
            except InvalidCall as error:  # the orders after it still count
                logger.warning("agent: cannot obey order=%r: %s", order, error)
            except QueueUnavailable:
                self._orders.appendleft(order)
                raise

    def obey(self, order: dict[str, Any]) -> None:
        """Carry out one order; an unknown one, of a newer version, is only noted."""
        match order:
            case {"order": "start", "id": str(worker), "config": dict(config)}:
                if worker not in self.workers and self._may_start(worker, order.get("until")):
                    self.start(worker, Plan(PoolConfig.from_json(config)))
            case {"order": "stop", "id": worker} if worker in self.workers:
                self.stop_worker(worker)
            case _:
                logger.warning("agent: cannot obey order=%r", order)

    def _may_start(self, worker: str, until_ms: int | None) -> bool:
        """Whether the asker still waits. It then believes that the worker is being started."""
        fleet = broker().fleet
        is_late = until_ms is not None and server_ms() > until_ms
        if is_late or not fleet.hold(start_of(worker), self.id, CLAIM_MS):
            logger.warning("agent: refused worker=%s: nobody waits for it any more", worker)
            return False
        return True

    # --- workers ---

    def start(self, worker: str, plan: Plan) -> None:
        """Start a worker. Forked, it is registered within a fraction of a second."""
        words = ["--id", worker, *options(plan.config), *plan.words]
        work = (
            partial(become, words) if plan.is_fresh else partial(call_command, "runworker", *words)
        )
        try:
            process = Forked(f"dtps worker {worker}", work)
        except OSError as error:  # no memory, or too many processes: later, perhaps
            logger.error("agent: cannot start worker=%s: %s", worker, error)
            self._plan_again(worker, plan, is_quick=True)
            return
        self.workers[worker] = Started(plan, process, time.monotonic())
        logger.info("agent: started worker=%s pid=%d", worker, process.pid)

    def stop_worker(self, worker: str) -> None:
        """Let a worker drain and end. One that has just been started ends at once."""
        self.workers[worker].is_told_to_end = True
        self.workers[worker].process.tell(signal.SIGTERM)

    def look_after(self) -> None:
        """Note which workers have ended; start those again that did not end by an order."""
        now = time.monotonic()
        for worker, started in list(self.workers.items()):
            code = started.process.poll()
            if code is None:
                continue
            del self.workers[worker]
            logger.info("agent: ended worker=%s code=%d", worker, code)
            if code == AGAIN:
                self._start_anew(replace(started.plan, is_fresh=True, failures=0))
            elif code != 0 and not started.is_told_to_end:
                self._plan_again(worker, started.plan, is_quick=now - started.at < QUICK_SECONDS)
        due = [plan for at, plan in self.again if at <= now]
        self.again = [(at, plan) for at, plan in self.again if at > now]
        for plan in due:
            self._start_anew(plan)

    def _start_anew(self, plan: Plan) -> None:
        """Under a new name: what the old one held is found by its silence."""
        self.start(new_worker_id(plan.config.name), plan)

    def _plan_again(self, worker: str, plan: Plan, *, is_quick: bool) -> None:
        failures = plan.failures + 1 if is_quick else 1
        if failures >= MOST_FAILURES and not plan.is_kept:
            logger.error("agent: gave up worker=%s after %d quick failures", worker, failures)
            return
        pause = pause_after_failures(failures)
        logger.info("agent: replaces worker=%s in=%g seconds", worker, pause)
        self.again.append((time.monotonic() + pause, replace(plan, failures=failures)))

    # --- its own fleet ---

    def _crew(self) -> Crew:
        there = [
            worker
            for worker, started in self.workers.items()
            if started.plan.is_kept and not started.is_told_to_end
        ]
        return Crew(there, sum(plan.is_kept for _, plan in self.again))

    def _start_kept(self) -> None:
        self._start_anew(Plan(self._fleet.config, self._fleet.words, is_kept=True))

    # --- the end ---

    def drain(self, asked: list[int]) -> None:
        """Resign, and wait until every worker has drained; each further signal hastens them."""
        try:
            broker().fleet.resign_agent(self.id)  # first, so that nobody asks it any more
        except QueueUnavailable as error:
            logger.warning("agent: could not resign: %s", error)
        told = 0
        while running := [each.process for each in self.workers.values() if is_running(each)]:
            if len(asked) > told:
                told = len(asked)
                for process in running:
                    process.tell(signal.SIGTERM)
            time.sleep(LOOK_SECONDS)


def is_running(started: Started) -> bool:
    return started.process.poll() is None


def options(config: PoolConfig) -> list[str]:
    """The words of ``runworker`` that mean this configuration."""
    words = [
        "--pool-size", str(config.pool_size),
        "--min", str(config.min_workers),
        "--max", str(config.max_workers),
        "--queues", ",".join(config.queues),
    ]  # fmt: skip
    for name in ("processes", "threads", "name"):
        if getattr(config, name):
            words += [f"--{name}", str(getattr(config, name))]
    return words if config.enable_steal else [*words, "--no-steal"]


def server_ms() -> int:
    """The server's clock, which agents and askers share."""
    seconds, micros = broker().link.call("TIME")
    return int(seconds) * 1000 + int(micros) // 1000


def pause_after_failures(failures: int) -> float:
    """Seconds before a worker that failed is started again."""
    return min(2.0 ** min(failures - 1, 10), 30.0)
