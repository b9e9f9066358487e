"""The setting ``RETENTION``: for how long what has ended is kept, by status and by type."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from ..states import FINAL, Status

DAY = 86_400.0
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY, "w": 7 * DAY}
STATUSES = tuple(sorted(status.value for status in FINAL))
# Beside tasks: what the database refused, slots of schedules, bulk operations, workers that ended.
OTHERS = ("quarantine", "firings", "operations", "workers")

_SPAN = re.compile(r"(\d+(?:\.\d+)?) ?([smhdw])", re.ASCII)

Seconds = float | None  # None: for ever


@dataclass(frozen=True, slots=True)
class Rules:
    """How long, in seconds; None is for ever."""

    statuses: dict[Status, Seconds]
    others: dict[str, Seconds]
    types: dict[str, dict[Status, Seconds]] = field(default_factory=dict)  # of those that differ

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Read the setting. Raise ValueError with a sentence if it is wrong."""
        known = (*STATUSES, *OTHERS, "types")
        if unknown := sorted(given.keys() - {*known}, key=str):
            raise ValueError(f"has {unknown[0]!r}; known are {', '.join(known)}")
        default = dict.fromkeys(STATUSES, 90 * DAY) | {Status.COMPLETED: 30 * DAY}
        statuses = {s: _seconds(given[s], s) if s in given else default[s] for s in STATUSES}
        others = {o: _seconds(given[o], o) if o in given else 90 * DAY for o in OTHERS}
        types = given.get("types", {})
        if not isinstance(types, Mapping):
            raise ValueError("'types' must be a dict of type to how long")
        return cls(
            {Status(s): seconds for s, seconds in statuses.items()},
            others,
            {str(name): _of_type(value, str(name), statuses) for name, value in types.items()},
        )

    def seconds(self, status: Status, task_type: str) -> Seconds:
        """How long a task of a type is kept once it has that status."""
        return self.types.get(task_type, self.statuses)[status]

    def is_over(self, status: str, task_type: str, finished_us: int, now_us: int) -> bool:
        """Whether a task that ended then may go now."""
        seconds = self.seconds(Status(status), task_type)
        return seconds is not None and 0 < finished_us < before_us(seconds, now_us)


def before_us(seconds: float, now_us: int) -> int:
    """What ended before this moment is kept no longer."""
    return now_us - int(seconds * 1_000_000)


def _of_type(value: Any, name: str, statuses: Mapping[str, Seconds]) -> dict[Status, Seconds]:
    if not isinstance(value, Mapping):
        return dict.fromkeys(map(Status, STATUSES), _seconds(value, name))
    if unknown := sorted(value.keys() - {*STATUSES}, key=str):
        raise ValueError(f"has {unknown[0]!r} for {name}; known are {', '.join(STATUSES)}")
    given = {status: _seconds(each, name) for status, each in value.items()}
    return {Status(status): given.get(status, statuses[status]) for status in STATUSES}


def _seconds(value: Any, name: str) -> Seconds:
    """Seconds, or a text such as "7d", "12h", "30m"; None is for ever."""
    if value is None:
        return None
    if type(value) in (int, float) and math.isfinite(value) and value >= 0:
        return float(value)
    seconds = span_in(value) if isinstance(value, str) else None
    if seconds is None:
        raise ValueError(
            f"must have seconds for {name!r}, a text such as '7d', '12h', '30m', or None for ever, "
            f"and not {value!r}"
        )
    return seconds


def span_in(text: str) -> float | None:
    """The seconds that a text such as "7d" stands for; None if it is none."""
    found = _SPAN.fullmatch(text)
    return float(found[1]) * UNITS[found[2]] if found else None
