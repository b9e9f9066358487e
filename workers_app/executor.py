"""An executor: claims a slice of tasks, runs it, reports it with the next claim."""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import cycle
from typing import Any
from uuid import uuid4

from redis.exceptions import RedisError

from tasks_app.broker import Broker
from tasks_app.broker.answers import Exchange, Settlement
from tasks_app.broker.broker import IDLE_MS
from tasks_app.conf import conf
from tasks_app.exceptions import TaskSystemError

from .board import Board
from .coroutines import Coroutines
from .courier import Courier
from .crew import Crew
from .database import tidy
from .exchange import Exchanger
from .job import Job
from .lanes import Lane, lanes_of
from .runner import Runner
from .timing import Mean, tasks_worth

logger = logging.getLogger(__name__)

IDLE_SECONDS = 2.0  # an idle executor claims anyway after so long without being woken
NO_LEASE_SECONDS = 0.1  # before asking again whether the worker is known now
FULL_SECONDS = 1.0  # between two looks for a free slot, if nobody says that there is one
DRAIN_SECONDS = 0.02  # between two looks whether the last task is done


class Interrupted(BaseException):
    """Ends the wait of an idle executor that is told to stop."""


class Executor:
    """Runs sync tasks in its main thread or in ``threads`` of them, coroutine tasks beside."""

    def __init__(
        self, broker: Broker, executor: str, worker: str, queues: Sequence[str], threads: int,
        board: Board,
    ):  # fmt: skip
        self.name = executor
        self.broker = broker
        self.board = board
        self.lanes = lanes_of(queues)
        self.runner = Runner(worker)
        self.exchanger = Exchanger(broker, executor, worker, board, lambda: self.stopping)
        self.courier = Courier(self.exchanger, self.lanes)
        self.freed = threading.Event()  # set by who makes room while there is none
        self.coroutines = Coroutines(self._run_coroutine, self.freed)
        self.crew = Crew(threads, self._run_job, self.freed) if threads > 1 else None
        self.mean = Mean(conf().slice_seconds)  # of sync tasks
        self.stopping = False
        self._is_waiting = False  # so that `stop` may interrupt
        self._is_idle = False  # waits to be woken, with a slot free
        self._gets_coroutines = False  # whether the last slice had any

    def stop(self) -> None:
        """Claim nothing more. Called by the signal handler, in the main thread."""
        self.stopping = True
        if self._is_waiting:
            self._is_waiting = False
            raise Interrupted

    def run(self) -> None:
        """Work until ``stop``; then give back what has not started and finish the rest."""
        self.courier.awake.set()
        self.courier.start()
        lanes = cycle(self.lanes)
        empty = 0
        while not self.stopping:
            self.freed.clear()  # before the look, so that no change after it is missed
            room = self._room()
            if room == 0:
                self._wait(lambda: self.freed.wait(FULL_SECONDS))
                continue
            empty = 0 if self._work(next(lanes), room) else empty + 1
            if empty >= len(self.lanes) and not self.stopping:
                self._idle(next(lanes))
        self._drain()

    # --- claiming ---

    def _room(self) -> int:
        """How many tasks to claim now; 0 while every slot is taken."""
        sync, coroutines = self._sync_room(), self.coroutines.room
        if sync == 0 and self.crew.load > self.crew.threads:
            return 0  # some wait for a thread already
        wanted = max(sync, coroutines) if self._gets_coroutines else sync
        return max(0, min(wanted, coroutines, self.board.room))

    def _sync_room(self) -> int:
        goal = tasks_worth(conf().slice_seconds, self.mean.seconds)
        if self.crew is None:
            return goal  # the main thread is here, so it is free
        goal, load = max(goal, self.crew.threads), self.crew.load
        # Short tasks are claimed when half of the last ones are done, not one by one.
        self.crew.low = max(self.crew.threads - 1, goal // 2)
        return goal - load if load <= self.crew.low else 0

    def _work(self, lane: Lane, room: int) -> bool:
        """Report, claim and run. Return whether there was anything to run."""
        return self._run_answer(lane, *self.exchanger.exchange(lane, room))

    def _run_answer(self, lane: Lane, answer: Exchange, slots: list[int]) -> bool:
        if not answer.has_lease:
            self._wait(lambda: time.sleep(NO_LEASE_SECONDS))
            return True
        if not slots:
            return False
        self._run_slice(self._jobs(lane, answer, slots))
        return True

    def _idle(self, lane: Lane) -> None:
        """Say that a slot is free, look once more, and wait to be woken; perhaps with a task."""
        offer = self._offer()
        for each in self.lanes:
            # For one task: who gets what it asks for is not idle.
            if self._run_answer(each, *self.exchanger.exchange(each, 1, IDLE_MS, offer)):
                return
        tidy()
        if not self._has_work() and not any(each.done for each in self.lanes):
            self.courier.awake.clear()
        woken = self._until_woken(lane)
        self.courier.awake.set()
        if offer:
            self._run_answer(lane, *self.exchanger.accept(lane, woken))

    def _offer(self) -> str:
        """A token under which we may be handed a task; a more urgent one might wait elsewhere."""
        queues = [queue for lane in self.lanes for queue in lane.queues]
        return uuid4().hex if len(queues) == 1 else ""

    def _until_woken(self, lane: Lane) -> Exchange | None:
        seconds = IDLE_SECONDS / len(self.lanes)
        self._is_idle = True
        try:
            return self._wait(lambda: self.broker.wait(self.name, seconds, lane.shard))
        except (TaskSystemError, RedisError):
            return None  # the next call meets the same, and repeats
        finally:
            self._is_idle = False

    def _wait(self, wait: Callable[[], Any]) -> Any:
        """Wait in a way that ``stop`` can end at any moment; the answer is None then."""
        with suppress(Interrupted):
            try:
                self._is_waiting = True
                if not self.stopping:
                    return wait()
            finally:
                self._is_waiting = False
        return None

    def _jobs(self, lane: Lane, answer: Exchange, slots: list[int]) -> list[Job]:
        claimed, token, types = answer.claimed, answer.token, self.runner.types
        self.runner.begin_slice(claimed[-1].state.changed_ms)
        return [
            Job(slot, task.message, task.state, token, lane, types.get(task.message.type))
            for slot, task in zip(slots, claimed, strict=True)
        ]

    # --- running ---

    def _run_slice(self, jobs: list[Job]) -> None:
        suspects = [job for job in jobs if job.state.crashes]
        if suspects:
            jobs = [job for job in jobs if not job.state.crashes]
        self._run_together(jobs)
        for job in suspects:
            self._run_alone(job)

    def _run_alone(self, job: Job) -> None:
        """A task that was there when a process died: if it dies again, nobody else is charged."""
        self._wait_until_done()
        self._run_together([job])
        self._wait_until_done()

    def _wait_until_done(self) -> None:
        """Until all that was handed over is done and reported; or until told to stop."""
        while self._has_work() and not self.stopping:
            self._wait(lambda: time.sleep(DRAIN_SECONDS))
        for lane in self.lanes:
            self.exchanger.finish(lane)

    def _run_together(self, jobs: list[Job]) -> None:
        coroutines = [job for job in jobs if job.type is not None and job.type.is_async]
        self._gets_coroutines = bool(coroutines)
        if coroutines:
            self.coroutines.give(coroutines)
            jobs = [job for job in jobs if job.type is None or not job.type.is_async]
        if self.crew is not None:
            self.crew.give(jobs)
        elif jobs:
            self._run_here(jobs)

    def _run_here(self, jobs: list[Job]) -> None:
        began = time.perf_counter()
        for job in jobs:
            if self.stopping:
                break
            self._run_one(job)
        self.mean.add(time.perf_counter() - began, len(jobs))

    def _run_job(self, job: Job) -> None:
        """A thread's part of a slice."""
        if self.stopping:
            return
        began = time.perf_counter()
        try:
            self._run_one(job)
        except BaseException:  # noqa: BLE001 (it is logged there)
            _give_up()
        self.mean.add(time.perf_counter() - began, 1)

    def _run_one(self, job: Job) -> None:
        if self.board.start(job.slot):
            self._ended(job, self.runner.run(job))
        else:
            self.board.clear([job.slot])

    async def _run_coroutine(self, job: Job) -> None:
        if self.stopping:
            return
        try:
            if self.board.start(job.slot):
                settlement = await self.runner.arun(job)
                await self.coroutines.tidy()
                self._ended(job, settlement)
            else:
                self.board.clear([job.slot])
        except BaseException:  # noqa: BLE001 (it is logged there)
            _give_up()

    def _ended(self, job: Job, settlement: Settlement) -> None:
        self.board.end(job.slot)
        job.lane.done.append((job.slot, settlement))
        if self._is_idle:
            self.courier.nudge()

    # --- the end ---

    def _has_work(self) -> bool:
        return self.coroutines.load > 0 or (self.crew is not None and self.crew.load > 0)

    def _drain(self) -> None:
        """Give back what has not started, see the rest through, report it."""
        self._give_back()
        while self._has_work():
            time.sleep(DRAIN_SECONDS)
        for lane in self.lanes:
            self.exchanger.finish(lane)

    def _give_back(self) -> None:
        taken = self.board.take()
        for lane in self.lanes if taken else ():
            try:
                self.broker.release(self.name, taken, lane.shard)
            except (TaskSystemError, RedisError) as error:  # the supervisor does it in the end
                logger.warning("event=redis_away executor=%s error=%s", self.name, error)


def _give_up() -> None:
    """End the process on an error of our own: the supervisor takes its tasks back."""
    logger.exception("event=executor_failed")
    logging.shutdown()
    os._exit(70)
