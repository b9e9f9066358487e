"""What dead executors held goes back into the queue, however long Redis is away."""

import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from redis.exceptions import RedisError

from tasks_app.broker import Broker, keys
from tasks_app.broker.answers import Settlement
from tasks_app.exceptions import TaskSystemError
from tasks_app.message import Attempt

from .crash import interrupted, outlived
from .lease import Lease
from .leftovers import Leftover, leftover_of, leftovers
from .overrun import Overrun

logger = logging.getLogger(__name__)

LAST_WORDS_SECONDS = 2.0  # within which a server carries out what a dead process had sent


@dataclass
class Loss:
    """A dead executor."""

    executor: str
    reason: Attempt  # what is charged to the tasks that had begun
    began: dict[str, str]  # id -> token of what had
    spared: dict[str, str] = field(default_factory=dict)  # what of it is not charged
    uncharged: str = ""  # why nothing is charged, if so
    overruns: list[Overrun] = field(default_factory=list)  # for which it was killed
    died_at: float = field(default_factory=time.monotonic)
    is_back: bool = False  # once at least

    @property
    def charged(self) -> list[str]:
        """The ids of what the crash counts for."""
        return [] if self.uncharged else list(self.began.keys() - self.spared.keys())


class Recovery:
    """Takes back what executors of one worker held, and delivers what they could not."""

    def __init__(
        self, broker: Broker, worker: str, queues: Sequence[str], shards: Sequence[int],
        lease: Lease,
    ):  # fmt: skip
        self._broker = broker
        self._worker = worker
        self._queues = queues
        self._shards = shards
        self._lease = lease
        self._losses: deque[Loss] = deque()
        self._unstarted: deque[tuple[str, dict[str, str]]] = deque()
        self._overruns: deque[tuple[str, Overrun]] = deque()
        self._leftovers: deque[Leftover] = deque()
        self._rng = Random()  # noqa: S311 (jitter)

    @property
    def is_done(self) -> bool:
        """Whether all that was lost is back."""
        waits = self._unstarted or self._overruns or self._leftovers
        return not waits and all(loss.is_back for loss in self._losses)

    def of_dead(self, loss: Loss) -> None:
        """Take back what a dead executor held: now, and again when its last words are in."""
        self._losses.append(loss)
        self.tick()

    def of_unstarted(self, executor: str, taken: dict[str, str]) -> None:
        """Give back tasks that a living executor has not started and will not."""
        self._unstarted.append((executor, taken))
        self.tick()

    def of_overrun(self, executor: str, overrun: Overrun) -> None:
        """Settle an attempt that took too long, while its executor lives on."""
        self._overruns.append((executor, overrun))
        self.tick()

    def of_others(self) -> None:
        """Deliver what executors of workers that were killed have left on this host."""
        self._leftovers += leftovers()
        self.tick()

    def tick(self) -> None:
        """Do what can be done now."""
        if not self._lease.is_answering:
            return
        try:
            while self._overruns:
                self._settle(*self._overruns[0])
                self._overruns.popleft()
            while self._unstarted:
                self._release(*self._unstarted[0])
                self._unstarted.popleft()
            while self._leftovers:
                self._deliver(self._leftovers[0])
                self._leftovers.popleft()
            for loss in list(self._losses):
                self._take_back(loss)
        except (TaskSystemError, RedisError) as error:
            self._lease.note_silence(error)

    def finish(self) -> None:
        """Take everything back once more, before the worker resigns. Raise QueueUnavailable."""
        for loss in self._losses:
            self._reap(loss)

    # --- of the living ---

    def _settle(self, executor: str, overrun: Overrun) -> None:
        task = self._broker.get_many([overrun.id]).get(overrun.id)
        if task is not None:
            settlement = overrun.settlement(task, self._rng)
            self._broker.finish(executor, [settlement], keys.shard_of(task.message.queue))
            logger.info("event=ended task=%s executor=%s", overrun.id, executor)

    def _release(self, executor: str, taken: dict[str, str]) -> None:
        for shard in self._shards:
            self._broker.release(executor, taken, shard)
        logger.info("event=gave_back executor=%s tasks=%d", executor, len(taken))

    # --- of the dead ---

    def _take_back(self, loss: Loss) -> None:
        if not loss.is_back:
            if leftover := leftover_of(loss.executor):
                self._deliver(leftover)
            for overrun in loss.overruns:
                self._settle(loss.executor, overrun)
            if loss.uncharged:
                self._give_back(loss, loss.began, interrupted(self._worker, loss.uncharged))
            else:
                self._give_back(loss, loss.spared, outlived(self._worker, loss.reason.error))
            tasks = self._reap(loss)
            loss.is_back = True
            logger.info(
                "event=recovered executor=%s tasks=%d started=%d",
                loss.executor, tasks, len(loss.began),
            )  # fmt: skip
        elif time.monotonic() - loss.died_at > LAST_WORDS_SECONDS:
            self._reap(loss)
            self._losses.remove(loss)

    def _deliver(self, leftover: Leftover) -> None:
        """Report what an executor wrote down and never got rid of; refused if it is stale."""
        delivered = stale = 0
        for shard, settlements in leftover.by_shard.items():
            stale += len(self._broker.finish(leftover.executor, settlements, shard))
            delivered += len(settlements)
        leftover.discard()
        logger.info(
            "event=delivered executor=%s results=%d stale=%d", leftover.executor, delivered, stale
        )

    def _give_back(self, loss: Loss, began: dict[str, str], trace: Attempt) -> None:
        """Put back, uncharged, what had begun; with a trace of that."""
        line = trace.encode()
        for shard in self._shards if began else ():
            held = self._broker.held_ids(loss.executor, shard)
            settlements = [
                Settlement(id=task_id, token=token, outcome="released", line=line)
                for task_id, token in began.items()
                if held.get(task_id) == token
            ]
            self._broker.finish(loss.executor, settlements, shard)

    def _reap(self, loss: Loss) -> int:
        return sum(
            self._broker.reap(
                self._worker, loss.executor, reason=loss.reason, started=loss.charged,
                queues=self._queues, shard=shard,
            )
            for shard in self._shards
        )  # fmt: skip
