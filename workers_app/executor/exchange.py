"""An executor's side of an exchange: one at a time, repeated until Redis answers."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any
from uuid import uuid4

from redis.exceptions import RedisError

from tasks_app.broker import Broker, keys
from tasks_app.broker.answers import Exchange, Settlement
from tasks_app.exceptions import TaskSystemError

from .board import Board
from .lanes import Lane
from .spooler import Spooler
from .timing import limit_ms, pause_before_try

logger = logging.getLogger(__name__)

MOST_AT_ONCE = 500  # outcomes; Redis serves nobody else meanwhile
TRIES_A_LINE = 20  # tries to reach Redis for one line in the log; about a minute
MOST_BYTES = 16 * 1024 * 1024  # of their lines


class Exchanger:
    """Reports what is done and claims more. The main loop and the courier share it.

    Redis remembers the last request of each executor only, so that a second call must not begin
    before the first one is answered. Outcomes stay here until it is, and are on disk meanwhile:
    Redis may be away for as long as it likes, and nothing new is claimed until it is back.
    """

    def __init__(
        self,
        broker: Broker,
        executor: str,
        worker: str,
        board: Board,
        spooler: Spooler,
        is_stopping: Callable[[], bool] = lambda: False,
        before: Callable[[Sequence[Settlement]], None] = lambda _: None,
    ):
        self.broker = broker
        self.executor = executor
        self.worker = worker
        self.board = board
        self.spooler = spooler
        self.calls = 0  # that were answered
        self.lock = threading.Lock()
        self._is_stopping = is_stopping
        self._before = before  # each report of outcomes
        self._rng = Random()  # noqa: S311 (jitter)
        self._is_unsure = False  # whether Redis may hold other tasks for it than it knows
        self._run_id = ""  # of the server that answered last
        self._offer = ""  # token under which Redis may hand it a task while it is idle

    def exchange(
        self, lane: Lane, limit: int, idle_ms: int = 0, offer: str = "", *, steals: bool = False
    ) -> tuple[Exchange, list[int]]:
        """Report what is done in a lane, and claim up to ``limit`` tasks; with their slots.

        One that goes idle may offer to be handed a task; or, if it steals, many at once. Whoever
        claims after a sleep without a wake-up ends its offer by that.
        """
        with self.lock:
            batch = _batch(lane)
            settlements = [settlement for _, settlement in batch]
            former = self._offer if limit else ""
            says = {"idle_ms": idle_ms, "offer": offer, "steals": steals, "former": former}
            call = partial(self._exchange, lane, settlements, says, uuid4().hex)
            answer = self._until_answered(call, limit, lane, settlements)
            self._forget(batch)
            if answer.stale:
                logger.warning("event=stale executor=%s tasks=%s", self.executor, answer.stale)
            slots = self._put(answer)
            if limit:
                self._offer = "" if answer.claimed or not answer.has_lease else offer
            if former and answer.token == former:
                self._count_stolen(lane, answer, is_woken=False)
            if self._is_unsure or self._has_restarted():
                self._compare(answer.token)
            self.calls += 1
        self._refuse_unreadable(lane, answer)
        return answer, slots

    def accept(self, lane: Lane, answer: Exchange | None) -> tuple[Exchange, list[int]]:
        """Take what came with a wake-up, and see to it that the offer has ended.

        A wake-up without the offered task may be an old one: the offer still stands then, and a
        task that is handed over later would find nobody waiting for it.
        """
        with self.lock:
            if answer is None or answer.token != self._offer:
                is_woken = answer is not None
                answer = self._until_answered(partial(self._withdraw, lane, self._offer), 0, lane)
                self._count_stolen(lane, answer, is_woken=is_woken)
            self._offer = ""
            slots = self._put(answer)
        self._refuse_unreadable(lane, answer)
        return answer, slots

    def finish(self, lane: Lane) -> None:
        """Report all that is done in a lane."""
        while lane.done:
            self.exchange(lane, 0)

    def start(self, lane: Lane, ids: list[str]) -> None:
        """Publish running tasks as processing. Raise QueueUnavailable."""
        with self.lock:
            self.broker.start(self.executor, ids, lane.shard)

    def _exchange(
        self, lane: Lane, settlements: list[Settlement], says: dict[str, Any], request: str,
        limit: int,
    ) -> Exchange:  # fmt: skip
        if settlements:
            self._before(settlements)
        return self.broker.exchange(
            self.executor, self.worker, lane.queues, limit=limit, settlements=settlements,
            request=request, shard=lane.shard, **says,
        )  # fmt: skip

    def _count_stolen(self, lane: Lane, answer: Exchange, *, is_woken: bool) -> None:
        """A single task may as well have come with a wake-up that arrived too late."""
        is_named = not is_woken and len(lane.queues) == 1
        if len(answer.claimed) > is_named:
            self.board.count_stolen(len(answer.claimed))

    def _withdraw(self, lane: Lane, offer: str, _: int) -> Exchange:
        return self.broker.withdraw(self.executor, offer, lane.shard)

    def _put(self, answer: Exchange) -> list[int]:
        if not answer.claimed:
            return []
        messages = [task.message for task in answer.claimed]
        limits = [limit_ms(each.timeout) if each.timeout else 0 for each in messages]
        return self.board.put([message.id for message in messages], answer.token, limits)

    def _until_answered(
        self, call: Callable[[int], Exchange], limit: int, lane: Lane,
        settlements: Sequence[Settlement] = (),
    ) -> Exchange:  # fmt: skip
        """Make a call for up to ``limit`` tasks, again and again; for none once we must stop."""
        failures = 0
        while True:
            try:
                answer = call(limit)
                break
            except (TaskSystemError, RedisError) as error:
                failures += 1
                self._is_unsure = True
                self.spooler.note_away(lane.shard, settlements)
                if failures % TRIES_A_LINE == 1:
                    logger.warning("event=redis_away executor=%s error=%s", self.executor, error)
                time.sleep(pause_before_try(failures, self._rng))
                if self._is_stopping():
                    limit = 0
        if failures:
            logger.info("event=redis_back executor=%s tries=%d", self.executor, failures)
        self.spooler.note_delivered(settlements)
        return answer

    def _forget(self, batch: list[tuple[int, Settlement]]) -> None:
        if batch:
            outcomes = [settlement.outcome for _, settlement in batch]
            self.board.clear(
                [slot for slot, _ in batch],
                outcomes.count("completed"),
                outcomes.count("failed"),
            )

    def _has_restarted(self) -> bool:
        """Whether the server has, since it was last asked."""
        before, self._run_id = self._run_id, self.broker.link.run_id
        return before not in ("", self._run_id)

    def _compare(self, token: str) -> None:
        """After an outage, Redis and the board may tell different tales of what we hold.

        What comes under ``token``, or under the offer, is on its way to the board.
        """
        self._is_unsure, held = True, {}
        try:
            for shard in keys.shards():
                of_shard = self.broker.held_ids(self.executor, shard)
                self._give_back_unknown(of_shard, shard, {token, self._offer})
                held |= of_shard
        except (TaskSystemError, RedisError) as error:
            logger.warning("event=redis_away executor=%s error=%s", self.executor, error)
            return
        # What Redis has forgotten, or has given to others, must not start here.
        if lost := self.board.take_lost(held):
            logger.warning("event=dropped executor=%s lost=%d", self.executor, lost)
        self._is_unsure = False

    def _give_back_unknown(self, held: dict[str, str], shard: int, coming: set[str]) -> None:
        """Redis may hold tasks for us whose claim we never heard of."""
        known = self.board.held().items()
        unknown = {i: t for i, t in held.items() if t not in coming and (i, t) not in known}
        if unknown:
            self.broker.release(self.executor, unknown, shard)
            logger.warning("event=gave_back executor=%s unknown=%d", self.executor, len(unknown))

    def _refuse_unreadable(self, lane: Lane, answer: Exchange) -> None:
        """Give back what only a newer version can read; after a while, so that it may find one."""
        if not answer.unreadable:
            return
        logger.error("event=unreadable executor=%s tasks=%s", self.executor, answer.unreadable)
        slots = self.board.put(answer.unreadable, answer.token)
        for slot, task_id in zip(slots, answer.unreadable, strict=True):
            settlement = Settlement(
                id=task_id, token=answer.token, outcome="released", pause_ms=60_000
            )
            lane.done.append((slot, settlement))


def _batch(lane: Lane) -> list[tuple[int, Settlement]]:
    """Take what is done out of a lane, as much as one call may carry."""
    batch, size = [], 0
    while lane.done and len(batch) < MOST_AT_ONCE and size < MOST_BYTES:
        batch.append(lane.done.popleft())
        size += len(batch[-1][1].line)
    return batch
