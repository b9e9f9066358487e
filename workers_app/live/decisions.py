"""What the autoscalers decided lately, and why: for the API, the page and its chart."""

from typing import Any

from tasks_app.broker import broker

from .. import said

KEPT = 200
LONGEST_REASON = 1000


def newest(limit: int, worker: str = "") -> list[dict[str, Any]]:
    """Up to ``limit`` decisions, newest first: all, or those of one worker."""
    kept = broker().fleet.decisions(KEPT if worker else limit)
    found = [_shown(each) for each in kept if isinstance(each, dict)]
    return [each for each in found if worker in ("", each["worker"])][:limit]


def brief(limit: int) -> list[dict[str, Any]]:
    """The same for all workers, without the numbers that were decided on."""
    return [
        {name: value for name, value in each.items() if name != "numbers"} for each in newest(limit)
    ]


def _shown(decision: dict[str, Any]) -> dict[str, Any]:
    numbers = decision.get("numbers")
    return {
        "at": said.moment(said.number(decision, "at_ms")),
        "worker": said.text(decision, "worker"),
        "from": said.number(decision, "from"),
        "to": said.number(decision, "to"),
        "reason": said.text(decision, "reason", LONGEST_REASON),
        "numbers": numbers if isinstance(numbers, dict) else {},
    }
