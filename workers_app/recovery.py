"""What dead executors held goes back into the queue, however long Redis is away."""

import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from redis.exceptions import RedisError

from tasks_app.broker import Broker
from tasks_app.broker.answers import Settlement
from tasks_app.exceptions import TaskSystemError
from tasks_app.message import Attempt

from .crash import interrupted

logger = logging.getLogger(__name__)

LAST_WORDS_SECONDS = 2.0  # within which a server carries out what a dead process had sent


@dataclass
class Loss:
    """A dead executor."""

    executor: str
    reason: Attempt
    began: dict[str, str]  # id -> token of what had started
    is_interrupted: bool  # by us, at the end of the grace period: nothing is charged
    died_at: float = field(default_factory=time.monotonic)
    is_back: bool = False  # once at least


class Recovery:
    """Takes back what executors of one worker held."""

    def __init__(self, broker: Broker, worker: str, queues: Sequence[str], shards: Sequence[int]):
        self._broker = broker
        self._worker = worker
        self._queues = queues
        self._shards = shards
        self._losses: deque[Loss] = deque()
        self._unstarted: deque[tuple[str, dict[str, str]]] = deque()

    @property
    def is_done(self) -> bool:
        """Whether all that was lost is back."""
        return not self._unstarted and all(loss.is_back for loss in self._losses)

    def of_dead(self, loss: Loss) -> None:
        """Take back what a dead executor held: now, and again when its last words are in."""
        self._losses.append(loss)
        self.tick()

    def of_unstarted(self, executor: str, taken: dict[str, str]) -> None:
        """Give back tasks that a living executor has not started and will not."""
        self._unstarted.append((executor, taken))
        self.tick()

    def tick(self) -> None:
        """Do what can be done now."""
        try:
            while self._unstarted:
                self._release(*self._unstarted[0])
                self._unstarted.popleft()
            for loss in list(self._losses):
                self._take_back(loss)
        except (TaskSystemError, RedisError) as error:
            logger.info("event=recovery_waits worker=%s error=%s", self._worker, error)

    def finish(self) -> None:
        """Take everything back once more, before the worker resigns. Raise QueueUnavailable."""
        for loss in self._losses:
            self._reap(loss)

    def _release(self, executor: str, taken: dict[str, str]) -> None:
        for shard in self._shards:
            self._broker.release(executor, taken, shard)
        logger.info("event=gave_back executor=%s tasks=%d", executor, len(taken))

    def _take_back(self, loss: Loss) -> None:
        if not loss.is_back:
            if loss.is_interrupted:
                self._give_back_interrupted(loss)
            tasks = self._reap(loss)
            loss.is_back = True
            logger.info(
                "event=recovered executor=%s tasks=%d started=%d",
                loss.executor, tasks, len(loss.began),
            )  # fmt: skip
        elif time.monotonic() - loss.died_at > LAST_WORDS_SECONDS:
            self._reap(loss)
            self._losses.remove(loss)

    def _give_back_interrupted(self, loss: Loss) -> None:
        line = interrupted(self._worker).encode()
        settlements = [
            Settlement(id=task_id, token=token, outcome="released", line=line)
            for task_id, token in loss.began.items()
        ]
        for shard in self._shards if settlements else ():
            self._broker.finish(loss.executor, settlements, shard)

    def _reap(self, loss: Loss) -> int:
        started = [] if loss.is_interrupted else list(loss.began)
        return sum(
            self._broker.reap(
                self._worker, loss.executor, reason=loss.reason, started=started,
                queues=self._queues, shard=shard,
            )
            for shard in self._shards
        )  # fmt: skip
