"""An executor: claims a slice of tasks, runs it, reports it with the next claim."""

import asyncio
import logging
import os
import signal
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

from .blackbox import show
from .board import MOST_STOLEN, Board
from .coroutines import Coroutines
from .courier import Courier
from .crew import Crew
from .database import tidy
from .exchange import Exchanger
from .interrupts import Interrupts, Lookout
from .job import Job
from .lanes import Lane, lanes_of
from .notebook import Notebook
from .runner import Runner
from .spool import Spool, spool_directory
from .spooler import Spooler
from .timing import Mean, tasks_worth

logger = logging.getLogger(__name__)

IDLE_SECONDS = 2.0  # an idle executor claims anyway after so long without being woken
NO_LEASE_SECONDS = 0.1  # before asking again whether the worker is known now
FULL_SECONDS = 1.0  # between two looks for a free slot, if nobody says that there is one
DRAIN_SECONDS = 0.02  # between two looks whether the last task is done
AWAY_SECONDS = 0.5  # between two looks whether Redis is back, for what must not start before


class Interrupted(BaseException):
    """Ends the wait of an idle executor that is told something."""


class Executor:
    """Runs sync tasks in its main thread or in ``threads`` of them, coroutine tasks beside.

    A pool of ``kind`` "threads" may have more or fewer of them later: see ``Board.threads``.
    """

    def __init__(
        self, broker: Broker, executor: str, worker: str, queues: Sequence[str], threads: int,
        board: Board, *, kind: str = "processes", steals: bool = True,
    ):  # fmt: skip
        self.name = executor
        self.broker = broker
        self.board = board
        self.steals = steals
        self.lanes = lanes_of(queues)
        self.interrupts = Interrupts(board)
        self.notebook = Notebook(broker, executor)
        self.runner = Runner(worker, self.interrupts, self.notebook)
        spool = Spool(spool_directory(), executor, conf().spool_max_bytes)
        self.spooler = Spooler(spool, self.lanes)
        self.exchanger = Exchanger(
            broker, executor, worker, board, self.spooler, lambda: self.stopping,
            before=self.notebook.flush,
        )  # fmt: skip
        self.courier = Courier(self.exchanger, self.lanes, self.notebook)
        self.lookout = Lookout(self.interrupts, board, self.courier.awake)
        self.freed = threading.Event()  # set by who makes room while there is none
        self.coroutines = Coroutines(self._run_coroutine, self.freed)
        has_crew = threads > 1 or kind == "threads"
        self.crew = Crew(threads, self._run_job, self.freed) if has_crew else None
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

    def look_around(self) -> None:
        """End the task in the main thread if that is asked for; see how many threads are wanted.

        Called by the signal handler, in the main thread.
        """
        self.interrupts.interrupt_main()
        if self._is_waiting and self._misses_threads():
            self._is_waiting = False
            raise Interrupted

    def run(self) -> None:
        """Work until ``stop``; then give back what has not started and finish the rest."""
        signal.signal(signal.SIGUSR1, lambda *_: self.look_around())
        show(self.interrupts.coroutines)
        self.courier.awake.set()
        self.courier.start()
        self.lookout.start()
        lanes = cycle(self.lanes)
        empty = 0
        while not self.stopping:
            self.freed.clear()  # before the look, so that no change after it is missed
            if self._misses_threads():
                self.crew.resize(self.board.threads)
            room = self._room()
            if room == 0:
                self._wait(lambda: self.freed.wait(FULL_SECONDS))
                continue
            if empty < len(self.lanes):
                empty = 0 if self._work(next(lanes), room) else empty + 1
            if empty >= len(self.lanes) and not self.stopping and self._idle(next(lanes)):
                empty = 0
        self._drain()

    # --- claiming ---

    def _room(self) -> int:
        """How many tasks to claim now; 0 while every slot is taken."""
        sync, coroutines = self._sync_room(), self.coroutines.room
        if self.coroutines.waiting or (sync == 0 and self.crew.load > self.crew.threads):
            return 0  # some wait in hand already
        wanted = max(sync, coroutines) if self._gets_coroutines else sync
        # With no room for coroutines there is still some for others. What comes may be coroutines
        # nevertheless: those wait, and nothing more is claimed until they have begun.
        return max(0, min(wanted, coroutines or wanted, self.board.room))

    def _sync_room(self) -> int:
        goal = tasks_worth(conf().slice_seconds, self.mean.seconds)
        if self.crew is None:
            return goal  # the main thread is here, so it is free
        goal, load = max(goal, self.crew.threads), self.crew.load
        # Short tasks are claimed when half of the last ones are done, not one by one.
        self.crew.low = max(self.crew.threads - 1, goal // 2)
        return goal - load if load <= self.crew.low else 0

    def _misses_threads(self) -> bool:
        return self.crew is not None and self.board.threads not in (0, self.crew.threads)

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

    def _idle(self, lane: Lane) -> bool:
        """Say that a slot is free, look once more, and wait to be woken; perhaps with a task.

        Return False if nothing came. An offer still stands then: the next exchange ends it.
        """
        offer = self._offer()
        for each in self.lanes:
            # For one task: who gets what it asks for is not idle.
            steals = self.steals and bool(offer)
            answer = self.exchanger.exchange(each, 1, IDLE_MS, offer, steals=steals)
            if self._run_answer(each, *answer):
                return True
        tidy()
        if not self._has_work() and not any(each.done for each in self.lanes):
            self.courier.awake.clear()
        woken = self._until_woken(lane)
        self.courier.awake.set()
        if offer and (woken or self.stopping):
            self._run_answer(lane, *self.exchanger.accept(lane, woken))
        return woken is not None

    def _offer(self) -> str:
        """A token under which we may be handed a task, if we have one queue only: in another one a
        more urgent task might wait. Or tasks that we steal; in one shard only, since what is handed
        over in one could not end the offer in another at the same moment.
        """
        if len(self.lanes) > 1 or self.board.room < MOST_STOLEN:
            return ""
        return uuid4().hex if self.steals or len(self.lanes[0].queues) == 1 else ""

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
        claimed, token, type_of = answer.claimed, answer.token, self.runner.type_of
        self.runner.begin_slice(claimed[-1].state.changed_ms)
        return [
            Job(slot, task.message, task.state, token, lane, type_of(task.message.type))
            for slot, task in zip(slots, claimed, strict=True)
        ]

    # --- running ---

    def _run_slice(self, jobs: list[Job]) -> None:
        # Most tasks have no history. To ask the state of each would cost more.
        suspects = [job for job in jobs if job.state.lines and job.state.is_suspect]
        if suspects:
            slots = {job.slot for job in suspects}
            jobs = [job for job in jobs if job.slot not in slots]
        self._run_together(jobs)
        for job in suspects:
            self._run_alone(job)

    def _run_alone(self, job: Job) -> None:
        """A task that was there when a process died: if it dies again, nobody else is charged.

        It is published as processing first, so that it is charged even if nobody is left to say
        that it had started.
        """
        self._wait_until_done()
        while not self.stopping and not self._publish(job):
            self._wait(lambda: time.sleep(AWAY_SECONDS))
        self._run_together([job])
        self._wait_until_done()

    def _publish(self, job: Job) -> bool:
        try:
            if job.type is not None:
                self.exchanger.start(job.lane, [job.message.id])
            return True
        except (TaskSystemError, RedisError) as error:
            logger.info("event=suspect_waits task=%s error=%s", job.message.id, error)
            return False

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
            if self.spooler.is_full:
                self._wait_for_redis(lambda: self._wait(lambda: time.sleep(AWAY_SECONDS)))
            if self.stopping:
                break
            self._run_one(job)
        self._count(time.perf_counter() - began, len(jobs))

    def _wait_for_redis(self, pause: Callable[[], Any]) -> None:
        """What would be done now could be kept in memory only."""
        while self.spooler.is_full and not self.stopping:
            pause()

    def _run_job(self, job: Job) -> None:
        """A thread's part of a slice."""
        self._wait_for_redis(lambda: time.sleep(AWAY_SECONDS))
        if self.stopping:
            return
        began = time.perf_counter()
        try:
            self._run_one(job)
        except BaseException:  # noqa: BLE001 (it is logged there)
            _give_up()
        self._count(time.perf_counter() - began, 1)

    def _count(self, seconds: float, tasks: int) -> None:
        self.mean.add(seconds, tasks)
        self.board.count_busy(seconds)

    def _run_one(self, job: Job) -> None:
        if self.board.start(job.slot):
            self._ended(job, self.runner.run(job))
        else:
            self.board.clear([job.slot])

    async def _run_coroutine(self, job: Job) -> None:
        while self.spooler.is_full and not self.stopping:
            await asyncio.sleep(AWAY_SECONDS)
        if self.stopping:
            return
        try:
            if self.board.start(job.slot):
                began = time.perf_counter()
                settlement = await self.runner.arun(job)
                await self.coroutines.tidy()
                self.board.count_busy(time.perf_counter() - began)
                self._ended(job, settlement)
            else:
                self.board.clear([job.slot])
        except BaseException:  # noqa: BLE001 (it is logged there)
            _give_up()

    def _ended(self, job: Job, settlement: Settlement | None) -> None:
        if not self.board.end(job.slot) or settlement is None:
            self.board.clear([job.slot])  # its token is gone, or is somebody else's to use
            return
        job.lane.done.append((job.slot, settlement))
        if self.spooler.is_away:
            self.spooler.write_down()
        if self._is_idle:
            self.courier.nudge()

    # --- the end ---

    def _has_work(self) -> bool:
        """Whether anything runs beside the main thread that anybody waits for."""
        load = self.coroutines.load + (self.crew.load if self.crew else 0)
        return load > self.board.abandoned

    def _drain(self) -> None:
        """Give back what has not started, see the rest through, report it."""
        self._give_back()
        while self._has_work():
            time.sleep(DRAIN_SECONDS)
        for lane in self.lanes:
            self.exchanger.finish(lane)
        with self.exchanger.lock:  # the courier may still be telling the last of it
            self.spooler.close()

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
