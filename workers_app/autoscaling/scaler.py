"""The autoscaler of one pool: gathers the numbers each beat, and asks what they mean."""

import logging
from collections.abc import Sequence
from random import Random
from typing import Any

import psutil

from tasks_app.conf import conf
from tasks_app.message import now_us

from .autoscaler import Decision, History, Numbers, desired_slots

logger = logging.getLogger(__name__)

MEAN_HALF_LIFE = 15.0  # seconds after which what was measured counts half
USE_HALF_LIFE = 3.0
FORGET_DEMAND_SECONDS = 60.0  # without a leader: what is known of the others gets old


class Scaler:
    """Tells a pool when to change its number of slots. It keeps no clock: ``at`` is given."""

    def __init__(self, fewest: int, most: int, luck: float | None = None, unit: int = 1):
        self.fewest = fewest
        self.most = most
        self._unit = unit
        self._luck = Random().random() if luck is None else luck  # noqa: S311 (who rounds up)
        self._history = History()
        self._use = Use()
        self._others = Others()
        self._cpu = Smooth(USE_HALF_LIFE)
        psutil.cpu_percent()  # the first answer of a process says nothing

    def tick(
        self, at: float, *, slots: int, busy: int, done: int, busy_us: int, backlog: int,
        demand: Sequence[dict[str, Any]],
    ) -> Decision | None:  # fmt: skip
        """Take what is known now; return what to change, if anything.

        ``done`` and ``busy_us`` are counters of attempts that ended and of the time they took;
        ``demand`` is what the leader says of each queue of the pool.
        """
        self._use.note(at, slots, busy, done, busy_us, backlog)
        self._others.note(at, demand)
        if self.fewest == self.most == slots:
            return None
        total_slots, total_most = self._others.with_ours(slots, self.most)
        numbers = Numbers(
            at=at,
            slots=slots,
            fewest=self.fewest,
            most=self.most,
            busy=min(busy, slots),
            utilisation=self._use.utilisation,
            backlog=backlog,
            arrival_rate=self._others.arrival_rate,
            mean_seconds=self._use.mean_seconds,
            total_slots=total_slots,
            total_most=total_most,
            memory_percent=psutil.virtual_memory().percent,
            cpu_percent=self._cpu.note(at, psutil.cpu_percent()),
            luck=self._luck,
            unit=self._unit,
        )
        wanted, reason = desired_slots(numbers, self._history)
        self._history = self._history.after(numbers, wanted)
        if wanted == slots:
            return None
        logger.info("event=scale from=%d to=%d reason=%r", slots, wanted, reason)
        return Decision(now_us() // 1000, slots, wanted, reason, numbers)

    def resized(self, slots: int) -> None:
        """Somebody chose the number of slots: keep it for a while, and within the bounds."""
        self.fewest, self.most = min(self.fewest, slots), max(self.most, slots)
        self._history = History()


class Smooth:
    """A mean over time that forgets."""

    def __init__(self, half_life: float):
        self.value = 0.0
        self._half_life = half_life
        self._at: float | None = None

    def note(self, at: float, value: float) -> float:
        """Take what was so since the last call; return the mean."""
        kept = 0.0 if self._at is None else 0.5 ** (max(at - self._at, 0.0) / self._half_life)
        self._at = at
        self.value = kept * self.value + (1 - kept) * value
        return self.value


class Use:
    """How the slots of a pool were used lately, and how long a task takes."""

    def __init__(self) -> None:
        self.utilisation = 0.0
        self.mean_seconds = 0.0  # 0 as long as nothing has finished
        self._smooth = Smooth(USE_HALF_LIFE)
        self._last: tuple[float, int, int, int] | None = None
        self._ended = Fading(MEAN_HALF_LIFE)  # tasks, and the seconds that they took
        self._begun = Fading(USE_HALF_LIFE)  # tasks, and the seconds of slots in use

    def note(self, at: float, slots: int, busy: int, done: int, busy_us: int, backlog: int) -> None:
        """Take the state of the pool, and of its counters, at a moment."""
        last, self._last = self._last, (at, done, busy_us, backlog)
        if last is None or at <= last[0]:
            self.utilisation = self._smooth.note(at, min(busy / slots, 1.0) if slots else 0.0)
            return
        seconds = at - last[0]
        ended, took = max(done - last[1], 0), max(busy_us - last[2], 0) / 1e6
        used = max(min(busy, slots), min(took / seconds, slots))
        self.utilisation = self._smooth.note(at, used / slots if slots else 0.0)
        # Behind a backlog every slot is taken, whatever a glance at very short tasks shows.
        is_full = used and min(backlog, last[3]) >= slots
        self._ended.add(seconds, ended, took)
        self._begun.add(seconds, ended, seconds * (slots if is_full else used))
        self.mean_seconds = self._ended.mean() if done else 0.0
        if done and is_full:  # as long as they run, nothing else shows that tasks became longer
            self.mean_seconds = max(self.mean_seconds, self._begun.mean(busy))


class Fading:
    """A number of tasks, and of seconds for them. Both count less and less."""

    def __init__(self, half_life: float):
        self._half_life = half_life
        self._tasks = self._seconds = 0.0

    def add(self, passed: float, tasks: int, seconds: float) -> None:
        """Take what came to it since the last call, ``passed`` seconds ago."""
        kept = 0.5 ** (passed / self._half_life)
        self._tasks = kept * self._tasks + tasks
        self._seconds = kept * self._seconds + seconds

    def mean(self, more: int = 0) -> float:
        """Seconds for each task; ``more`` tasks are counted too."""
        tasks = self._tasks + more
        return self._seconds / tasks if tasks > 1e-9 else 0.0


class Others:
    """What the leader says of the queues that this pool shares with others."""

    def __init__(self) -> None:
        self.arrival_rate = 0.0
        self._at: float | None = None
        self._demand: Sequence[dict[str, Any]] = ()

    def note(self, at: float, demand: Sequence[dict[str, Any]]) -> None:
        """Take what it said last. Without a leader, the last word counts for a while."""
        told = [each for each in demand if isinstance(each, dict)]
        if told or self._at is None or at - self._at > FORGET_DEMAND_SECONDS:
            self._at, self._demand = at, told
        self.arrival_rate = sum(_number(each, "arrivalRate") for each in told)

    def with_ours(self, slots: int, most: int) -> tuple[int, int]:
        """The slots and the upper bounds of all workers on these queues.

        Several queues may have other workers each. What counts is the busiest: its weight is the
        work that waits and arrives there.
        """
        target = conf().scale_target_seconds
        weights = [
            1e-6 + _number(each, "ready") + target * _number(each, "arrivalRate")
            for each in self._demand
        ]
        if not weights:
            return slots, most
        # Shares add up, not what they are a part of.
        share = sum(
            weight * most / max(_number(each, "most"), most, 1)
            for weight, each in zip(weights, self._demand, strict=True)
        ) / sum(weights)
        total_slots = max(_number(each, "slots") for each in self._demand)
        return max(round(total_slots), slots), round(most / share) if share else most


def _number(said: dict[str, Any], name: str) -> float:
    value = said.get(name)
    return float(value) if isinstance(value, int | float) and value >= 0 else 0.0
