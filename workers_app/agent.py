"""The host agent: starts and stops workers on its host when it is asked to.

Its workers run the code that the agent has loaded: deploy by starting the agent anew.
"""

import logging
import os
import signal
import socket
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.core.management import call_command

from tasks_app.broker import broker
from tasks_app.exceptions import InvalidCall, QueueUnavailable
from tasks_app.message import now_us

from .control import PoolConfig, new_worker_id
from .forked import Forked
from .service import Service

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.2  # between two announcements, so how long an order waits at most
QUICK_SECONDS = 30.0  # a worker that fails sooner than this is started again more slowly
MOST_FAILURES = 6  # quick ones in a row, after which a worker is given up


@dataclass(slots=True)
class Started:
    """A worker that this agent started."""

    config: PoolConfig
    process: Forked
    at: float  # monotonic
    failures: int = 0  # quick ones in a row before this start


class Agent(Service):
    """Runs workers as its children. They drain and end with it, also when it is killed."""

    def __init__(self) -> None:
        super().__init__()
        self.id = new_worker_id()
        self.since_us = now_us()
        self.workers: dict[str, Started] = {}
        self.again: list[tuple[float, PoolConfig, int]] = []  # when, what, failures so far

    def tick(self) -> float:
        """Say that it is alive, obey what was ordered, look after the workers."""
        self.look_after()
        for order in broker().fleet.announce_agent(self.id, self.said()):
            try:
                self.obey(order)
            except InvalidCall as error:  # of another version; the orders after it still count
                logger.warning("agent: cannot obey order=%r: %s", order, error)
        return LOOK_SECONDS

    def said(self) -> dict[str, Any]:
        """What it announces."""
        return {
            "hostname": socket.gethostname(),
            "pid": os.getpid(),
            "started_us": self.since_us,
            "workers": list(self.workers),
        }

    def obey(self, order: dict[str, Any]) -> None:
        """Carry out one order; an unknown one, of a newer version, is only noted."""
        match order:
            case {"order": "start", "id": str(worker), "config": dict(config)}:
                if worker not in self.workers:
                    self.start(worker, PoolConfig.from_json(config))
            case {"order": "stop", "id": worker} if worker in self.workers:
                self.workers[worker].process.tell(signal.SIGTERM)
            case _:
                logger.warning("agent: cannot obey order=%r", order)

    def start(self, worker: str, config: PoolConfig, failures: int = 0) -> None:
        """Start a worker. Forked, it is registered within a fraction of a second."""
        words = ["runworker", "--id", worker, *options(config)]
        process = Forked(f"dtps worker {worker}", partial(call_command, *words))
        self.workers[worker] = Started(config, process, time.monotonic(), failures)
        logger.info("agent: started worker=%s pid=%d", worker, process.pid)

    def look_after(self) -> None:
        """Note which workers have ended; start those again that did not end by an order."""
        now = time.monotonic()
        for worker, started in list(self.workers.items()):
            code = started.process.poll()
            if code is None:
                continue
            del self.workers[worker]
            logger.info("agent: ended worker=%s code=%d", worker, code)
            if code != 0:
                self._plan_again(worker, started, now)
        due = [plan for plan in self.again if plan[0] <= now]
        self.again = [plan for plan in self.again if plan[0] > now]
        for _, config, failures in due:
            # A new name: what the dead one held is found by its silence.
            self.start(new_worker_id(config.name), config, failures)

    def _plan_again(self, worker: str, started: Started, now: float) -> None:
        failures = started.failures + 1 if now - started.at < QUICK_SECONDS else 1
        if failures >= MOST_FAILURES:
            logger.error("agent: gave up worker=%s after %d quick failures", worker, failures)
            return
        self.again.append((now + pause_after_failures(failures), started.config, failures))

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


def pause_after_failures(failures: int) -> float:
    """Seconds before a worker that failed is started again."""
    return min(2.0 ** (failures - 1), 30.0)
