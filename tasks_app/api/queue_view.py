"""How the API and the command line show a queue."""

from typing import Any

from ..broker.answers import QueueStats
from ..message import LEVELS


def queue_shown(queue: QueueStats) -> dict[str, Any]:
    """What waits in it, and whether it gives anything out."""
    return {
        "name": queue.name,
        "paused": queue.is_paused,
        "ready": queue.ready,
        "scheduled": queue.scheduled,
        "waiting": queue.waiting,
        "levels": {str(level): queue.levels[level - 1] for level in LEVELS},
    }
