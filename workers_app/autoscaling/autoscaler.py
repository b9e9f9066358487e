"""How many slots there should be: pure functions of numbers. Nothing in here reads a clock.

Up at once, down slowly. Slots are given up only after ``SCALE_DOWN_SECONDS`` in which there was no
growth and fewer would have done. So within any such time there may be shrinking and then growth,
but nothing shrinks again after that: at most one change of direction.
"""

from dataclasses import asdict, dataclass, replace
from math import ceil, floor, inf
from typing import Any, Self

from tasks_app.conf import conf

DECISION_SECONDS = 0.95  # between two decisions: one a second, on a beat that may be a bit early
STEPS = 6  # down within the time that the first one waits for
UNUSED_SHARE = 0.2  # of the slots in use, below which more of them are no help: a paused queue?
FULL_SHARE = 0.8  # of the slots in use, at which there are just enough
SHORT_TARGETS = 2  # target drain times of tasks that wait for a full pool, before it takes more


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What is known at one moment."""

    at: float  # seconds, of a clock that never goes back
    slots: int  # of this worker, now
    fewest: int  # its bounds
    most: int
    busy: int  # of its slots; none of these is given up
    utilisation: float  # the part of its slots that was in use lately, 0 to 1
    backlog: int  # ready tasks on its queues
    arrival_rate: float  # tasks a second on its queues
    mean_seconds: float  # for which a task occupies a slot; 0: none has finished yet
    total_slots: int  # of all live workers on these queues
    total_most: int  # the sum of their upper bounds
    memory_percent: float  # of the host, in use
    cpu_percent: float
    luck: float = 0.5  # from 0 to 1, fixed for a worker: who gets the slot that cannot be shared
    unit: int = 1  # slots that come and go together

    def to_json(self) -> dict[str, Any]:
        """All of them, rounded."""
        return {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What a decision has to know of the past. ``after`` makes the next one."""

    changed_at: float = -inf  # the last change of the number of slots
    since: float | None = None  # the first look, or the last growth
    needs: tuple[tuple[float, int], ...] = ()  # at, slots: each needed more than all after it
    short_since: float | None = None  # since when tasks wait although all slots are in use

    def after(self, numbers: Numbers, slots: int) -> Self:
        """What is known once it was decided that the worker has ``slots`` from now on."""
        has_grown = slots > numbers.slots
        return replace(
            self,
            changed_at=self.changed_at if slots == numbers.slots else numbers.at,
            since=numbers.at if has_grown or self.since is None else self.since,
            needs=self._needs(numbers),
            short_since=self._short_since(numbers, slots),
        )

    def peak(self, numbers: Numbers) -> int:
        """The most slots that were needed at any moment of the last ``SCALE_DOWN_SECONDS``."""
        return max(need for _, need in self._needs(numbers))

    def _needs(self, numbers: Numbers) -> tuple[tuple[float, int], ...]:
        """Those of that time. What is followed by a larger one can never be the peak again."""
        need, after = wish(numbers).need, numbers.at - conf().scale_down_seconds
        kept = [(at, before) for at, before in self.needs if before > need and at > after]
        return (*kept, (numbers.at, need))

    def _short_since(self, numbers: Numbers, slots: int) -> float | None:
        is_short = numbers.backlog > 0 and numbers.busy >= slots
        if not is_short or slots != numbers.slots:
            return None
        return numbers.at if self.short_since is None else self.short_since


@dataclass(frozen=True, slots=True)
class Wish:
    """How many slots the load asks for."""

    total: int  # of all workers on these queues
    share: int  # of this worker
    need: int  # of this worker, so that it is not too tight


@dataclass(frozen=True, slots=True)
class Decision:
    """A change of the number of slots, and why."""

    at_ms: int  # since the epoch
    from_slots: int
    to_slots: int
    reason: str
    numbers: Numbers

    def to_json(self) -> dict[str, Any]:
        """As it is kept for the API and the chart."""
        return {
            "at_ms": self.at_ms,
            "from": self.from_slots,
            "to": self.to_slots,
            "reason": self.reason,
            "numbers": self.numbers.to_json(),
        }


def desired_slots(numbers: Numbers, history: History) -> tuple[int, str]:
    """How many slots the worker should have now, and the reason as a sentence for people."""
    slots = max(_bounded(numbers.slots, numbers), min(numbers.busy, numbers.slots))
    if slots != numbers.slots:
        return slots, f"There are to be {numbers.fewest} to {numbers.most} slots."
    if numbers.at - history.changed_at < DECISION_SECONDS:
        return numbers.slots, "It was changed within the last second."
    wanted, reason = _wanted(numbers, history)
    if wanted > numbers.slots:
        return _grown(wanted, reason, numbers)
    return _shrunk(reason, numbers, history)


def wish(numbers: Numbers) -> Wish:
    """What keeps up with the arrivals and drains the backlog within the target.

    A task uses one slot at a time, however long it takes; a slot for what will arrive later than
    the target can wait. What runs is what arrived before: of the two, the larger one counts.
    """
    target = conf().scale_target_seconds
    mean = min(numbers.mean_seconds, target)
    each = mean / target  # slots for one task within the target
    keep_up, drain = ceil(numbers.arrival_rate * mean - 1e-9), numbers.backlog * each
    part = _part(numbers)
    own = max(keep_up * part, numbers.busy * each) + drain * part
    # The parts of all workers add up to the whole, so they must not all be rounded up.
    share = ceil(own - 1e-9) if part == 1 else floor(own + numbers.luck)
    used = ceil(numbers.utilisation * numbers.slots / FULL_SHARE - 1e-9)
    total = ceil(max(keep_up, numbers.busy * each) + drain - 1e-9)
    unknown = 0 if mean else numbers.busy + ceil(numbers.backlog * part)  # each may be a long one
    return Wish(total, share, max(share, used, unknown))


def _wanted(numbers: Numbers, history: History) -> tuple[int, str]:
    """Slots for the load alone, whatever it takes to get there."""
    if not numbers.slots:
        return min(numbers.backlog, 1), f"{_tasks(numbers.backlog)}, and there is no slot."
    if not numbers.mean_seconds:
        return _careful(numbers)
    wished = wish(numbers)
    target = conf().scale_target_seconds
    said = (
        f"{_tasks(numbers.backlog)}, {numbers.busy} run and {numbers.arrival_rate:.3g}/s arrive at "
        f"{numbers.mean_seconds:.3g} s each: {_slots(wished.total)} "
    )
    said += f"drain them in {target:g} s" if numbers.mean_seconds < target else "run them at once"
    if numbers.total_most > numbers.most:
        said += f"; this worker's share is {wished.share}"
    patience = SHORT_TARGETS * target
    if history.short_since is not None and numbers.at - history.short_since >= patience:
        # The others do not take their share, or not these tasks.
        more = min(numbers.slots + _step(numbers), wished.total)
        if more > wished.share:
            said += f", but all of its slots have been in use for {patience:g} s"
            return more, f"{said}."
    return wished.share, f"{said}."


def _careful(numbers: Numbers) -> tuple[int, str]:
    """Nobody knows yet how long a task takes: double, as long as all slots are in use."""
    waits = _tasks(numbers.backlog)
    if not numbers.backlog or numbers.busy < numbers.slots:
        return (
            numbers.busy,
            f"{waits}, {_slots(numbers.busy)} in use, and nothing has finished yet.",
        )
    more = min(numbers.slots, ceil(numbers.backlog * _part(numbers)))  # no more than tasks
    said = f"{waits}, {_slots(numbers.slots)} are in use, and nothing has finished yet"
    return numbers.slots + more, f"{said}: {more} more to begin with."


def _grown(wanted: int, reason: str, numbers: Numbers) -> tuple[int, str]:
    """Grow at once, unless that would be of no use or the host has nothing left."""
    if max(numbers.utilisation * numbers.slots, numbers.busy) < UNUSED_SHARE * numbers.slots:
        return numbers.slots, f"{reason} But most slots are idle: more would be, too."
    for name, used, limit in (
        ("memory", numbers.memory_percent, conf().scale_memory_percent),
        ("processor", numbers.cpu_percent, conf().scale_cpu_percent),
    ):
        if used > limit:
            full = f"But {used:.0f} % of the host's {name} is in use, and the limit is {limit:g} %"
            return numbers.slots, f"{reason} {full}: no slot is added."
    slots = max(_bounded(wanted, numbers), numbers.slots)
    return slots, f"{reason} The most is {numbers.most}." if slots < wanted else reason


def _shrunk(reason: str, numbers: Numbers, history: History) -> tuple[int, str]:
    """Give up a step's worth of slots, if fewer have sufficed for long. Never a busy one."""
    patience = conf().scale_down_seconds
    since = numbers.at if history.since is None else history.since
    peak = history.peak(numbers)
    slots = max(_bounded(max(peak, numbers.slots - _step(numbers)), numbers), numbers.busy)
    is_early = numbers.at - since < patience or numbers.at - history.changed_at < patience / STEPS
    if is_early or slots >= numbers.slots:
        return numbers.slots, reason
    return slots, f"For {patience:g} s no more than {_slots(peak)} would have been needed."


def _part(numbers: Numbers) -> float:
    """What this worker takes of the load that it shares with others."""
    return numbers.most / max(numbers.total_most, numbers.most, 1)


def _step(numbers: Numbers) -> int:
    return max(numbers.unit, numbers.slots // 4)


def _bounded(slots: int, numbers: Numbers) -> int:
    """So many, in whole units, within the bounds."""
    return max(numbers.fewest, min(-(-slots // numbers.unit) * numbers.unit, numbers.most))


def _tasks(count: int) -> str:
    return "1 task waits" if count == 1 else f"{count} tasks wait"


def _slots(count: int) -> str:
    return "1 slot" if count == 1 else f"{count} slots"
