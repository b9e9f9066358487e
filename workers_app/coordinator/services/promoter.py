"""The promoter: makes due tasks pending, ends expired ones, and cancels what a purge put aside."""

from tasks_app.broker import Broker
from tasks_app.broker.broker import MOST_A_CALL
from tasks_app.broker.keys import shards

from ...service import Service

LONGEST_MS = 100  # between two looks: a task may have been scheduled for the next moment
SHORTEST_MS = 1


class Promoter(Service):
    """Looks in every shard at what is due, a slice at a time."""

    def __init__(self, broker: Broker, limit: int = MOST_A_CALL):
        super().__init__()
        self._broker = broker
        self._limit = limit

    def tick(self) -> float:
        """Promote and sweep one slice a shard; the pause ends when the next task is due."""
        pauses_ms = [LONGEST_MS]
        for shard in shards():
            looked_at, next_ms = self._broker.promote(self._limit, shard)
            _, more = self._broker.sweep(self._limit, shard)
            pauses_ms.append(pause_ms(looked_at >= self._limit or more, next_ms))
        return min(pauses_ms) / 1000


def pause_ms(is_more: bool, next_ms: int) -> int:
    """How long to wait if the next task is due in ``next_ms``; -1 if none is scheduled."""
    if is_more:
        return 0
    return LONGEST_MS if next_ms < 0 else max(SHORTEST_MS, min(next_ms, LONGEST_MS))
