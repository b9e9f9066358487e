"""How the API, the command line and the live page show a queue."""

from typing import Any

from ..broker.answers import QueueStats
from ..message import LEVELS


def queue_in_short(queue: QueueStats) -> dict[str, Any]:
    """What waits in it, and whether it gives anything out."""
    return {
        "name": queue.name,
        "paused": queue.is_paused,
        "ready": queue.ready,
        "scheduled": queue.scheduled,
        "waiting": queue.waiting,
    }


def queue_shown(queue: QueueStats) -> dict[str, Any]:
    """The same, and at which levels it is ready."""
    levels = {str(level): queue.levels[level - 1] for level in LEVELS}
    return queue_in_short(queue) | {"levels": levels}
