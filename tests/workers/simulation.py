"""A small world of workers and tasks in which time is a number: for the autoscaler's tests."""

import heapq
from dataclasses import dataclass, field
from itertools import count, pairwise
from random import Random

from workers_app.autoscaling.scaler import Scaler
from workers_app.coordinator.services.surveyor import Rates

START_SECONDS = 0.1  # until a new slot works


@dataclass
class Worker:
    """Slots that run tasks, and the real autoscaler on top of them."""

    scaler: Scaler
    slots: int
    running: list[float] = field(default_factory=list)  # when each ends
    done: int = 0
    busy_us: int = 0
    decisions: list[tuple[float, int, int]] = field(default_factory=list)  # at, from, to


class World:
    """Tasks ``(arrives, seconds)`` on one queue, first come, first served, and their workers."""

    def __init__(self, tasks, workers=1, fewest=1, most=10, slots=None, seed=1, scales=True):
        rng = Random(seed)
        self.workers = [
            Worker(Scaler(fewest, most, rng.random()), slots or fewest) for _ in range(workers)
        ]
        self.most = most
        self.waiting, self.arrived, self.finished = [], 0, 0
        self.rates, self.rate = Rates(), 0.0
        self.totals = []  # (at, slots of all workers)
        self.interrupted = 0
        self.last_finish = 0.0
        self.longest_wait = 0.0
        self._order, self._events = count(), []
        self._known = workers * (slots or fewest)  # as the surveyor saw it last
        for at, seconds in tasks:
            self._plan(at, self._arrive, at, seconds)
        if scales:
            self._plan(0.5, self._survey)
            for worker in self.workers:
                self._plan(rng.random(), self._beat, worker)

    def run(self, until):
        """Let everything happen until a moment."""
        while self._events and self._events[0][0] <= until:
            self.now, _, act, given = heapq.heappop(self._events)
            act(*given)
        return self

    @property
    def slots(self):
        return sum(worker.slots for worker in self.workers)

    @property
    def peak(self):
        return max(slots for _, slots in self.totals)

    def _plan(self, at, act, *given):
        heapq.heappush(self._events, (at, next(self._order), act, given))

    def _arrive(self, at, seconds):
        self.arrived += 1
        self.waiting.append((at, seconds))
        self._hand_out()

    def _hand_out(self):
        taken = 0
        for worker in self.workers:
            while len(worker.running) < worker.slots and taken < len(self.waiting):
                arrived, seconds = self.waiting[taken]
                self.longest_wait = max(self.longest_wait, self.now - arrived)
                worker.running.append(self.now + seconds)
                self._plan(self.now + seconds, self._finish, worker, seconds)
                taken += 1
        del self.waiting[:taken]

    def _finish(self, worker, seconds):
        worker.running.remove(self.now)
        worker.done += 1
        worker.busy_us += round(seconds * 1e6)
        self.finished += 1
        self.last_finish = self.now
        self._hand_out()

    def _survey(self):
        self.rate = self.rates.note(self.now, {"default": self.arrived}).get("default", 0.0)
        self._known = self.slots
        self._plan(self.now + 1, self._survey)

    def _beat(self, worker):
        demand = {
            "slots": self._known, "most": self.most * len(self.workers),
            "workers": len(self.workers), "arrivalRate": self.rate, "ready": len(self.waiting),
        }  # fmt: skip
        decision = worker.scaler.tick(
            self.now, slots=worker.slots, busy=len(worker.running), done=worker.done,
            busy_us=worker.busy_us, backlog=len(self.waiting), demand=[demand],
        )  # fmt: skip
        if decision:
            worker.decisions.append((self.now, decision.from_slots, decision.to_slots))
            self.interrupted += max(len(worker.running) - decision.to_slots, 0)
            pause = START_SECONDS if decision.to_slots > worker.slots else 0.0
            self._plan(self.now + pause, self._resize, worker, decision.to_slots)
        self.totals.append((self.now, self.slots))
        self._plan(self.now + 1, self._beat, worker)

    def _resize(self, worker, slots):
        worker.slots = slots
        self._hand_out()


def most_reversals(decisions, seconds=30.0):
    """The most changes of direction within so many seconds."""
    worst = 0
    for first, (began, _, _) in enumerate(decisions):
        within = [to > before for at, before, to in decisions[first:] if at - began < seconds]
        worst = max(worst, sum(a != b for a, b in pairwise(within)))
    return worst
