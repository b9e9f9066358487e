"""Keeps a fleet of workers on a host, as many as there is work for."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tasks_app.broker import Broker
from tasks_app.broker.answers import Registered

from .. import said
from ..autoscaling.autoscaler import Decision
from ..autoscaling.scaler import Scaler
from ..control import PoolConfig
from ..coordinator.services.surveyor import Survey

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0  # between two decisions


@dataclass(frozen=True, slots=True)
class FleetConfig:
    """How many workers to keep, and how each is to be."""

    fewest: int
    most: int
    config: PoolConfig
    words: tuple[str, ...] = ()  # more options of ``runworker``


@dataclass(frozen=True, slots=True)
class Crew:
    """The workers that are kept now."""

    there: list[str]  # ids, the oldest first; none that drains
    awaited: int  # that failed, and will be started again


class Keeper:
    """Asks the autoscaler how many workers there are to be, and starts and drains whole ones.

    A worker's own autoscaler has nothing to do then: its bounds are its size.
    """

    def __init__(self, agent: str, fleet: FleetConfig, broker: Broker):
        self._agent = agent
        self._fleet = fleet
        self._broker = broker
        self._size = fleet.config.pool_size
        self._scaler = Scaler(fleet.fewest * self._size, fleet.most * self._size, unit=self._size)
        self._survey = Survey(broker)
        self._counts = Counts()
        self._next_look = 0.0

    def said(self, there: list[str]) -> dict[str, Any]:
        """What the agent announces: so others see what it may start, instead of what it has."""
        return {
            "queues": list(self._fleet.config.queues),
            "most": self._fleet.most * self._size,
            "workers": there,
        }

    def tick(self, crew: Crew, start: Callable[[], None], drain: Callable[[str], None]) -> None:
        """Look at the fleet once a second, and start or drain workers as is decided."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        missing = self._fleet.fewest - len(crew.there) - crew.awaited
        for _ in range(missing):
            start()
        if missing > 0:
            return  # who is there has changed
        register = self._broker.fleet.workers()
        decision = self._decide(now, crew, register)
        if decision is None:
            return
        change = (decision.to_slots - decision.from_slots) // self._size
        if change < 0:
            change = -self._drain_idle(-change, crew, register, drain)
        for _ in range(change):
            start()
        if change:
            self._keep(decision, change)

    def _decide(
        self, now: float, crew: Crew, register: Mapping[str, Registered]
    ) -> Decision | None:
        kept = [register[name].said for name in crew.there if name in register]
        demand = self._survey.look(now)
        ours = [demand[queue] for queue in self._fleet.config.queues if queue in demand]
        done, busy_us = self._counts.total(crew, register)
        return self._scaler.tick(
            now,
            slots=(len(crew.there) + crew.awaited) * self._size,
            busy=sum(min(said.number(each, "active"), self._size) for each in kept),
            done=done,
            busy_us=busy_us,
            backlog=sum(each["ready"] for each in ours),
            demand=ours,
        )

    def _drain_idle(
        self, most: int, crew: Crew, register: Mapping[str, Registered],
        drain: Callable[[str], None],
    ) -> int:  # fmt: skip
        """Drain the newest ones that hold nothing; return how many."""
        idle = [name for name in reversed(crew.there) if _is_idle(register.get(name))][:most]
        for name in idle:
            drain(name)
        return len(idle)

    def _keep(self, decision: Decision, change: int) -> None:
        decision = replace(decision, to_slots=decision.from_slots + change * self._size)
        logger.info(
            "agent: keeps workers=%d reason=%r", decision.to_slots // self._size, decision.reason
        )
        ours = {"agent": self._agent, "worker": self._agent}
        self._broker.fleet.keep_decision(decision.to_json() | ours)


class Counts:
    """What the workers of a fleet have done, those that are gone among them."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int]] = {}

    def total(self, crew: Crew, register: Mapping[str, Registered]) -> tuple[int, int]:
        """The attempts that ended, and the microseconds that they took. Neither ever falls."""
        for name in crew.there:
            if name in register:
                told = register[name].said
                self._seen[name] = said.number(told, "processed"), said.number(told, "busyUs")
        gone = [counts for name, counts in self._seen.items() if name not in crew.there]
        self._seen = {name: self._seen[name] for name in crew.there if name in self._seen}
        self._seen[""] = sum(c[0] for c in gone), sum(c[1] for c in gone)
        return sum(c[0] for c in self._seen.values()), sum(c[1] for c in self._seen.values())


def _is_idle(worker: Registered | None) -> bool:
    return (
        worker is not None
        and worker.is_alive
        and not said.number(worker.said, "active")
        and not said.number(worker.said, "reserved")
    )
