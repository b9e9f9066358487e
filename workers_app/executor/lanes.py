"""An executor's queues by shard: one exchange touches one shard."""

from collections import deque
from collections.abc import Iterable

from tasks_app.broker import keys
from tasks_app.broker.answers import Settlement


class Lane:
    """The queues of one shard, and what was done of their tasks and is not reported yet."""

    def __init__(self, shard: int, queues: list[str]):
        self.shard = shard
        self.queues = queues
        self.done: deque[tuple[int, Settlement]] = deque()  # slot on the board, outcome


def lanes_of(queues: Iterable[str]) -> list[Lane]:
    """The lanes that some queues need, in the order of their first queues."""
    by_shard: dict[int, list[str]] = {}
    for queue in queues:
        by_shard.setdefault(keys.shard_of(queue), []).append(queue)
    return [Lane(shard, some) for shard, some in by_shard.items()]
