"""Why a task waits for a limit of its key."""

from collections.abc import Iterator

from ..api.task_view import rfc3339
from ..broker import broker
from ..broker.answers import Limit
from ..words import clock, many, span
from .reason import Reason
from .scene import Scene


def limit_reasons(scene: Scene) -> Iterator[Reason]:
    """Those limits that are used up; or, if none is by now, how many of its key go first."""
    limits = broker().limits_of(scene.message.id)
    full = [limit for limit in limits if limit.is_full]
    for limit in full:
        yield _concurrency(limit) if limit.kind == "concurrency" else _rate(limit, scene.now_ms)
    if not full:
        ahead = next((limit.ahead for limit in limits if limit.ahead is not None), 0)
        yield Reason(
            "limit_turn",
            f"It waits for its turn among the tasks of its key: {_first(ahead)}.",
            {"ahead": ahead},
        )


def _concurrency(limit: Limit) -> Reason:
    said = f"The limit of {limit.label} is full ({limit.in_use} of {limit.of} at once)"
    return Reason("limit_full", f"{said}; {_first(limit.ahead)}.", _numbers(limit))


def _rate(limit: Limit, now_ms: int) -> Reason:
    said = f"The rate of {limit.label} is used up ({limit.per})"
    numbers = _numbers(limit)
    if limit.next_at_ms is not None:
        seconds = (limit.next_at_ms - now_ms) / 1000
        numbers |= {
            "next_at": rfc3339(limit.next_at_ms * 1000),
            "next_in_seconds": round(seconds, 3),
        }
        said += f": it has room again in {span(seconds)}, at {clock(limit.next_at_ms * 1000)}"
    return Reason("rate_used_up", f"{said}; {_first(limit.ahead)}.", numbers)


def _first(ahead: int | None) -> str:
    if not ahead:
        return "it is the next"
    return f"{many(ahead, 'task')} of it go{'es' * (ahead == 1)} first"


def _numbers(limit: Limit) -> dict[str, object]:
    return {
        "label": limit.label,
        "in_use": limit.in_use,
        "of": limit.of,
        "ahead": limit.ahead,
        "rate": limit.per,
    }
