"""An executor without a process of its own: one task at a time, in the thread of the test."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from uuid import uuid4

from asgiref.sync import async_to_sync

from workers_app.executor.board import TIMED_OUT, Board
from workers_app.executor.ending import Begun, Ending, Send
from workers_app.executor.interrupts import LOOK_SECONDS, Interrupts
from workers_app.executor.job import Job
from workers_app.executor.lanes import Lane
from workers_app.executor.runner import Runner
from workers_app.executor.tasklog import keeping
from workers_app.executor.timing import limit_ms
from workers_app.supervisor.crash import lost

from ..broker import broker, keys
from ..broker.answers import Settlement
from ..conf import conf
from .crashing import CHECKPOINT, FINISH, START, Crash, Crashes, Killed, PerilousNotebook
from .transaction import Ground

WORKER = "tests"


class EndingHere(Ending):
    """What ends the process, or stands for that, is no outcome of a task."""

    def raised(self, job: Job, begun: Begun, error: BaseException, send: Send) -> Settlement | None:
        if isinstance(error, Killed | KeyboardInterrupt):
            raise error  # the second is for the tests, and not for the task
        return super().raised(job, begun, error, send)


class Here(Runner):
    """Runs a task as a worker does, but leaves the test's database connections alone."""

    ending = EndingHere

    def __init__(self, board: Board, notebook: PerilousNotebook):
        super().__init__(WORKER, Interrupts(board), notebook)
        self._board = board

    def run(self, job: Job) -> Settlement | None:
        job, unfit = self._readied(job)
        if unfit is not None:
            return unfit
        if job.type.is_async:
            # Its calls of Django's asynchronous ORM come back to this thread and its connection.
            return Context().run(async_to_sync(self._arun), job)
        self._board.start(job.slot)
        return Context().run(self._attempt, job)

    async def _arun(self, job: Job) -> Settlement | None:
        self._board.start(job.slot)  # from the thread that its code runs in
        return await self.arun(job)


class Executor:
    """Claims, runs and reports by the operations that a worker uses. A crash makes it another."""

    def __init__(self, crashes: Crashes):
        self._broker = broker()
        self._crashes = crashes
        self._board = Board()
        self._begin()

    def _begin(self) -> None:
        self._name = f"{WORKER}:0:{uuid4().hex[:8]}"
        self._notebook = PerilousNotebook(self._broker, self._name)
        self._runner = Here(self._board, self._notebook)
        self._broker.fleet.announce(WORKER, {}, executors=[self._name])

    def run_next(self, lane: Lane) -> str:
        """Run the most urgent task of some queues; return its id, "" if none is due."""
        answer = self._broker.exchange(
            self._name, WORKER, lane.queues, limit=1, idle_ms=0, shard=lane.shard
        )
        if not answer.claimed:
            return ""
        message, state = answer.claimed[0].message, answer.claimed[0].state
        limit = limit_ms(message.timeout) if message.timeout else 0
        (slot,) = self._board.put([message.id], answer.token, [limit])
        self._runner.begin_slice(state.changed_ms)
        job = Job(slot, message, state, answer.token, lane, self._runner.type_of(message.type))
        callbacks = self._run(job)
        for callback in callbacks:
            callback()
        return message.id

    def close(self) -> None:
        """Give back what an interrupted run left in hand, and take the worker off."""
        for shard in keys.shards():
            self._broker.release(self._name, self._broker.held_ids(self._name, shard), shard)
        self._broker.fleet.resign(WORKER)
        self._board.close()

    def _run(self, job: Job) -> list[Callable[[], None]]:
        """One attempt and its report. Return what is to be called on commit."""
        crash = self._crashes.of(job.message.type) if job.type is not None else None
        ground = Ground()
        try:
            settlement, is_lost = self._attempt(job, crash)
        finally:
            callbacks = ground.leave()
        if is_lost:
            self._crashes.happened(crash)
            self._lose(job)
        elif settlement is not None:
            self._notebook.flush([settlement])
            self._broker.finish(self._name, [settlement], job.lane.shard)
        self._board.clear([job.slot])
        return callbacks

    def _attempt(self, job: Job, crash: Crash | None) -> tuple[Settlement | None, bool]:
        """Run it. Return its outcome, and whether it is lost."""
        at = crash.at if crash else ""
        if at == START:
            return None, True
        self._notebook.is_armed, self._notebook.has_killed = at == CHECKPOINT, False
        try:
            with kept_logs(), interrupted_in_time(self._runner.interrupts, self._board, job):
                settlement = self._runner.run(job)
        except Killed:
            return None, True
        self._board.end(job.slot)
        return settlement, at == FINISH or self._notebook.has_killed

    def _lose(self, job: Job) -> None:
        """What a supervisor does when the process of an executor is gone."""
        reason = lost(WORKER, "The process was killed by the test.")
        self._broker.reap(
            WORKER, self._name, reason=reason, started=[job.message.id], shard=job.lane.shard
        )
        self._begin()


@contextmanager
def interrupted_in_time(interrupts: Interrupts, board: Board, job: Job) -> Iterator[None]:
    """Raise TaskTimeout in the task when its timeout is over, which is measured in real seconds.

    There is no process to be ended by force: a task that swallows it, or hangs in C, runs on.
    """
    if not job.message.timeout:
        yield
        return
    is_over = threading.Event()
    watch = threading.Thread(target=_watch, args=(interrupts, board, job, is_over), daemon=True)
    with _interruptible(interrupts):
        watch.start()
        try:
            yield
        finally:
            is_over.set()
            watch.join()


def _watch(interrupts: Interrupts, board: Board, job: Job, is_over: threading.Event) -> None:
    if is_over.wait(job.message.timeout):
        return
    board.ask(job.slot, job.message.id, job.token, TIMED_OUT)
    while not is_over.wait(LOOK_SECONDS):
        interrupts.look()


@contextmanager
def _interruptible(interrupts: Interrupts) -> Iterator[None]:
    """Let a signal interrupt what runs in the main thread; other threads need none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGUSR1, lambda *_: interrupts.interrupt_main())
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before or signal.SIG_DFL)


@contextmanager
def kept_logs() -> Iterator[None]:
    """What a task logs by ``logging`` goes into its log meanwhile: see TASK_LOG_LEVEL."""
    if not conf().task_log_level or not conf().task_log_lines:
        yield
        return
    before = logging.getLogRecordFactory()
    level = logging.getLevelNamesMapping()[conf().task_log_level]
    logging.setLogRecordFactory(keeping(before, level))
    try:
        yield
    finally:
        logging.setLogRecordFactory(before)
