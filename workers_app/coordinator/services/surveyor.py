"""The surveyor: what each queue has in slots, and how fast work arrives, for the autoscalers."""

import time
from collections import defaultdict, deque
from collections.abc import Iterable
from statistics import median
from typing import Any

from tasks_app.broker import Broker
from tasks_app.broker.answers import Registered

from ...service import Service

PAUSE_SECONDS = 1.0
LOOKS = 5  # of which the median is the rate: a single burst is no rate, it is a backlog


class Surveyor(Service):
    """Says once a second what no worker can see alone."""

    def __init__(self, broker: Broker):
        super().__init__()
        self._broker = broker
        self._survey = Survey(broker)

    def tick(self) -> float:
        """Look at everybody once, and leave the result for all workers."""
        self._broker.fleet.keep_demand(self._survey.look(time.monotonic()))
        return PAUSE_SECONDS


class Survey:
    """What one looks at, and what has to be remembered for it."""

    def __init__(self, broker: Broker):
        self._broker = broker
        self._rates = Rates()

    def look(self, at: float) -> dict[str, dict[str, Any]]:
        """The demand on each queue that somebody serves."""
        fleet = self._broker.fleet
        demand = capacity(fleet.workers().values(), fleet.agents().values())
        rates = self._rates.note(at, fleet.arrivals())
        waiting = {q.name: q.ready for q in self._broker.stats().queues if not q.is_paused}
        for queue, found in demand.items():
            found["arrivalRate"] = round(rates.get(queue, 0.0), 3)
            found["ready"] = waiting.get(queue, 0)
        return demand


class Rates:
    """How many tasks a second come into each queue, from counters that only grow."""

    def __init__(self) -> None:
        self._at: float | None = None
        self._before: dict[str, int] = {}
        self._looks: dict[str, deque[float]] = defaultdict(lambda: deque([0.0] * LOOKS, LOOKS))

    def note(self, at: float, counters: dict[str, int]) -> dict[str, float]:
        """Take the counters as they are now; return the rates."""
        if self._at is not None and at > self._at:
            for queue, count in counters.items():
                grown = max(count - self._before.get(queue, 0), 0)  # less after a reset
                self._looks[queue].append(grown / (at - self._at))
        for queue in self._looks.keys() - counters.keys():
            del self._looks[queue]
        self._at, self._before = at, dict(counters)
        return {queue: median(looks) for queue, looks in self._looks.items()}


def capacity(
    workers: Iterable[Registered], agents: Iterable[Registered]
) -> dict[str, dict[str, Any]]:
    """The slots, their upper bound, and the number of workers of each queue.

    Workers that an agent keeps count with what that agent may start: the agent scales, not they.
    """
    demand: dict[str, dict[str, Any]] = {}
    able = {each.id: each.said for each in workers if _is_able(each)}
    for agent in agents:
        fleet = agent.said.get("fleet")
        if not agent.is_alive or not isinstance(fleet, dict):
            continue
        kept = [able.pop(name) for name in fleet.get("workers") or [] if name in able]
        slots = sum(_number(said.get("slots")) for said in kept)
        _add(demand, fleet, slots, _number(fleet.get("most")), len(kept))
    for said in able.values():
        slots = _number(said.get("slots"))
        _add(demand, said, slots, max(_most(said), slots), 1)
    return demand


def _add(demand: dict, said: dict[str, Any], slots: int, most: int, workers: int) -> None:
    queues = said.get("queues")
    for queue in queues if isinstance(queues, list) else ():
        found = demand.setdefault(str(queue), {"slots": 0, "most": 0, "workers": 0})
        found["slots"] += slots
        found["most"] += most
        found["workers"] += workers


def _is_able(worker: Registered) -> bool:
    """Whether it takes tasks."""
    return worker.is_alive and worker.said.get("status", "active") == "active"


def _most(said: dict[str, Any]) -> int:
    bounds = said.get("bounds")
    return _number(bounds[1]) if isinstance(bounds, list) and len(bounds) == 2 else 0


def _number(value: Any) -> int:
    return value if type(value) is int and value >= 0 else 0
