"""How many tasks go first, and about when this one starts."""

from typing import Any

from ..words import many, span
from .reason import Reason
from .scene import Scene

FEWEST_ENDED = 5  # tasks, before their mean duration says anything


def order_of(scene: Scene, *, is_held_up: bool) -> Reason:
    """Of a task that is ready. If something holds up all of its queue, no start is foretold."""
    ahead = scene.standing.ahead
    if ahead is None:
        return Reason("moving", "It is on its way between its queue and a worker just now.")
    numbers = {"ahead": ahead, "arrival_rate": _arrival_rate(scene)}
    first = "It is the next of its queue"
    if ahead:
        first = f"{many(ahead, 'task')} of its queue go{'es' * (ahead == 1)} first"
    said = f"{first}." if is_held_up else _foretold(scene, ahead, first, numbers)
    return Reason("behind" if ahead else "next", said, numbers)


def _foretold(scene: Scene, ahead: int, first: str, numbers: dict[str, Any]) -> str:
    """The sentence of a task that will start by itself; adds to the numbers."""
    slots = numbers["slots"] = scene.total(scene.able, "slots")
    free = slots - scene.total(scene.able, "active") - scene.total(scene.able, "reserved")
    if ahead == 0 and free > 0:
        return f"{first}: a worker takes it any moment."
    if ahead == 0:
        first += ", and all slots are in use"
    seconds = _expected_seconds(scene, ahead, slots, free)
    if seconds is None:
        return f"{first}; too little has run yet to say for how long."
    numbers["expected_start_in_seconds"] = round(seconds, 3)
    said = f"{first}; it starts in about {span(seconds)}"
    others = {str(q) for each in scene.able for q in each.said["queues"]} - {scene.queue}
    if others:
        return f"{said}, or later, since its workers serve other queues too."
    return f"{said} if nothing more urgent arrives."


def _expected_seconds(scene: Scene, ahead: int, slots: int, free: int) -> float | None:
    """From the mean duration of all that the queue's workers have run; None if that says nothing.

    What runs is half done on the average, and as many tasks end at once as there are slots.
    """
    ended = scene.total(scene.able, "processed")
    mean = scene.total(scene.able, "busyUs") / 1e6 / ended if ended >= FEWEST_ENDED else 0.0
    if not mean or not slots:
        return None
    before = ahead + scene.total(scene.able, "reserved") + (0.5 * slots if free <= 0 else 0)
    return before * mean / slots


def _arrival_rate(scene: Scene) -> float | None:
    """Tasks a second into the queue, as the leader has measured; None if none leads."""
    rate = scene.standing.demand.get("arrivalRate")
    return rate if isinstance(rate, int | float) else None
