"""A task at a glance: what lists show of it, read without touching its payload or its result."""

import json
import re
from dataclasses import dataclass
from typing import Self

from ..message import STEP_MS, State, queue_in

_TEXT = rb'"(?:[^"\\]|\\.)*"'
# The first line ends with the expiry; TaskMessage's first three fields follow, in their order.
_HEAD = re.compile(
    rb"\d+\|[^|\n]*\|(-?\d+)\|\d+\n"
    rb'\{"id":(%b),"type":(%b),"submitted_us":(\d+)' % (_TEXT, _TEXT)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What the beginning of a definition and the header of a state tell."""

    id: str
    type: str
    queue: str
    priority: int  # Django's, -100 to 100
    submitted_us: int
    state: State  # without its attempts

    @classmethod
    def decode(cls, head: bytes, header: bytes) -> Self:
        """Read what the script returns. Raise ValueError if it is no task."""
        found = _HEAD.match(head)
        if found is None:
            raise ValueError(f"not the beginning of a task definition: {head[:80]!r}")
        rank, task_id, task_type, submitted_us = found.groups()
        return cls(
            id=json.loads(task_id),
            type=json.loads(task_type),
            queue=queue_in(head),
            priority=_priority_in(int(rank), int(submitted_us) // 1000),
            submitted_us=int(submitted_us),
            state=State.decode(header),
        )


def _priority_in(rank: int, submitted_ms: int) -> int:
    """Turn rank_of() round: a due time is less than half a step away from the submit."""
    return round((submitted_ms - rank) / STEP_MS)
