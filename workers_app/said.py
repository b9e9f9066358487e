"""What workers say of themselves, believed within reason.

Workers of other versions say more, or less; and whoever can write to Redis can say anything.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from tasks_app.broker.answers import Registered

LONGEST_TEXT = 255
LONGEST_LIST = 50
LARGEST_NUMBER = 2**53 - 1  # that JavaScript can count to
LATEST_MS = 253_402_300_799_999  # the end of the year 9999


def number(said: Any, name: str) -> int:
    """A whole number from 0 on; 0 if it is anything else."""
    value = said.get(name)
    return value if type(value) is int and 0 <= value <= LARGEST_NUMBER else 0


def seconds(said: Any, name: str) -> float:
    """A length of time; 0 if it is anything else."""
    value = said.get(name)
    is_time = type(value) in (int, float) and isfinite(value) and value > 0
    return round(value, 3) if is_time else 0.0


def text(said: Any, name: str, longest: int = LONGEST_TEXT) -> str:
    """A text that is not too long."""
    return str(said.get(name) or "")[:longest]


def texts(said: Any, name: str) -> list[str]:
    """A list of such texts."""
    return [str(each)[:LONGEST_TEXT] for each in _list(said, name)]


def things(said: Any, name: str, most: int = LONGEST_LIST) -> list[dict[str, Any]]:
    """A list of objects."""
    return [each for each in _list(said, name, most) if isinstance(each, dict)]


def thing(said: Any, name: str) -> dict[str, Any]:
    """An object; an empty one if it is anything else."""
    value = said.get(name)
    return value if isinstance(value, dict) else {}


def bounds(said: Any) -> tuple[int, int] | None:
    """The fewest and the most slots that a worker may have, if it says so."""
    given = said.get("bounds")
    if isinstance(given, list) and len(given) == 2:
        given = {"minWorkers": given[0], "maxWorkers": given[1]}
    else:
        given = thing(said, "config")
    fewest, most = number(given, "minWorkers"), number(given, "maxWorkers")
    return (fewest, most) if 0 < fewest <= most else None


def moment(ms: int) -> str:
    """Milliseconds since the epoch as RFC 3339."""
    at = datetime.fromtimestamp(min(ms, LATEST_MS) / 1000, UTC)
    return at.isoformat(timespec="milliseconds")


def load(register: Iterable[Registered]) -> dict[str, int]:
    """The slots of all workers that are alive, and how many of them are in use."""
    alive = [each.said for each in register if each.is_alive]
    return {
        "slots": sum(number(said, "slots") for said in alive),
        "busy": sum(number(said, "active") for said in alive),
    }


def _list(said: Any, name: str, most: int = LONGEST_LIST) -> list[Any]:
    value = said.get(name)
    return value[:most] if isinstance(value, list) else []
