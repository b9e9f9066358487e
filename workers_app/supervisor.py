"""A worker's supervisor: forks executors, renews the lease, takes back what dead ones held.

It runs no user code and never touches the database, so nothing can block it.
"""

import gc
import logging
import os
import select
import signal
import socket
import time
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from secrets import token_hex

from redis.exceptions import RedisError
from setproctitle import setproctitle

from tasks_app.broker import Broker
from tasks_app.broker.connection import Link, link
from tasks_app.conf import conf
from tasks_app.exceptions import TaskSystemError
from tasks_app.message import now_us
from tasks_app.registry import task_types

from . import coordinator, safety
from .board import Board
from .child import Lifeline, fork_child
from .control import PoolConfig
from .crash import how_it_ended, lost
from .executor import Executor
from .lanes import lanes_of
from .pool import layout
from .recovery import Loss, Recovery
from .timing import pause_before_respawn

logger = logging.getLogger(__name__)

CALL_SECONDS = 0.4  # an answer of Redis that takes longer is lost: the lease must not wait for it
SAY_SECONDS = 5.0  # between two lines that say the same
QUICK_SECONDS = 1.0  # a child that dies younger than that died at once
RESIGN_SECONDS = 5.0  # for the last calls; after that the lease runs out
COORDINATOR_SECONDS = 25.0  # for the coordinator to record what is left


class Unusable(Exception):
    """The server is none that tasks may be trusted to; the text says why."""


@dataclass
class Child:
    """An executor's process."""

    pid: int
    executor: str
    number: int
    threads: int
    board: Board
    born_at: float = field(default_factory=time.monotonic)
    is_killed: bool = False  # by us, at the end of the grace period
    glance: bytes = b""  # of its board, at the last beat


@dataclass
class Seat:
    """The place of one executor; empty between a death and the replacement."""

    number: int
    threads: int
    quick_deaths: int = 0
    free_at: float = 0.0
    child: Child | None = None


class Supervisor:
    """One worker, from its first fork to its resignation."""

    def __init__(
        self, worker: str, config: PoolConfig, *, grace_seconds: float, with_coordinator: bool
    ):
        self.worker = worker
        self.config = config
        self.grace_seconds = grace_seconds
        self.broker = Broker(Link(conf().redis_url, timeout=CALL_SECONDS))
        shards = [lane.shard for lane in lanes_of(config.queues)]
        self.recovery = Recovery(self.broker, worker, config.queues, shards)
        self._shards = shards
        self.seats = [Seat(number, threads) for number, threads in enumerate(layout(config))]
        self._coordinator = CoordinatorSeat(self) if with_coordinator else None
        self._started_us = now_us()
        self._stops = 0  # how often it was told to stop
        self._deadline: float | None = None  # of the grace period, once it has begun
        self._next_beat = 0.0
        self._gone = [0, 0]  # completed and failed, by executors that are gone
        self._renewed_at = time.monotonic()
        self._silent_since: float | None = None
        self._said_at = 0.0
        self._published: dict[str, set[str]] = {}

    # --- the life of it ---

    def run(self) -> None:
        """Work until told to stop, and drain. Raise Unusable before anything has begun."""
        self._prepare()
        if self._wait_for_server():
            while not self._is_over():
                self._sleep()
                self._tick()
            self._end()
        logger.info("event=worker_stopped worker=%s", self.worker)

    def stop(self) -> None:
        """Begin the drain; the second time, end it."""
        self._stops += 1

    def _prepare(self) -> None:
        setproctitle(f"dtps worker {self.worker}")
        types = task_types()
        self._wakeup, writer = os.pipe()
        for end in (self._wakeup, writer):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: self.stop())
        signal.signal(signal.SIGINT, lambda *_: self.stop())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.lifeline = Lifeline()
        gc.collect()
        gc.freeze()  # what is imported stays shared with the children
        logger.info(
            "event=worker_starting worker=%s pid=%d queues=%s slots=%d processes=%d types=%d",
            self.worker, os.getpid(), ",".join(self.config.queues), self.slots,
            len(self.seats), len(types),
        )  # fmt: skip

    def _wait_for_server(self) -> bool:
        """Wait until there is a server to trust. Return False if told to stop before."""
        while not self._stops:
            try:
                verdict = safety.look_at(self.broker)
            except (TaskSystemError, RedisError) as error:
                self._say_silent(error)
                self._wait(0.5)
                continue
            if verdict.refusals:
                raise Unusable(" ".join(verdict.refusals))
            for warning in verdict.warnings:
                logger.warning("event=unsafe worker=%s %s", self.worker, warning)
            return True
        return False

    def _tick(self) -> None:
        self._bury()
        if self._stops:
            self._drain()
        else:
            self._fill()
        if time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + conf().renew_seconds
            self._beat()

    def _is_over(self) -> bool:
        return self._stops > 0 and not self._children

    def _sleep(self) -> None:
        now = time.monotonic()
        moments = [self._next_beat]
        if self._deadline is not None and not all(child.is_killed for child in self._children):
            moments.append(self._deadline)
        if not self._stops:
            moments += [seat.free_at for seat in self.seats if seat.child is None]
        self._wait(max(0.0, min(moments) - now))

    def _wait(self, seconds: float) -> None:
        """Wait for a signal, for so long at most."""
        select.select([self._wakeup], [], [], seconds)
        try:
            os.read(self._wakeup, 4096)
        except BlockingIOError:
            return

    # --- children ---

    @property
    def _children(self) -> list[Child]:
        return [seat.child for seat in self.seats if seat.child is not None]

    @property
    def slots(self) -> int:
        return sum(seat.threads for seat in self.seats)

    def _fill(self) -> None:
        """Fork what is missing and may be forked again."""
        try:
            for seat in self.seats:
                if seat.child is None and time.monotonic() >= seat.free_at:
                    seat.free_at = time.monotonic() + SAY_SECONDS  # if it fails
                    seat.child = self._fork(seat)
            if self._coordinator is not None:
                self._coordinator.fill()
        except OSError as error:  # no memory, or too many processes: later, perhaps
            logger.error("event=fork_failed worker=%s error=%s", self.worker, error)

    def _fork(self, seat: Seat) -> Child:
        name = f"{self.worker}:{seat.number}:{token_hex(4)}"
        board = Board()
        body = ExecutorBody(self, name, seat.threads, board)
        title = f"dtps worker {self.worker} executor {seat.number}"
        pid = fork_child(title, self.lifeline, body.run, body.stop)
        logger.info("event=executor_started executor=%s pid=%d", name, pid)
        self._next_beat = 0.0  # it may claim once it is announced
        return Child(pid, name, seat.number, seat.threads, board)

    def _bury(self) -> None:
        """Notice who died, and take back what they held."""
        for seat in self.seats:
            if seat.child is not None:
                pid, status = os.waitpid(seat.child.pid, os.WNOHANG)
                if pid:
                    self._lose(seat, seat.child, status)
        if self._coordinator is not None:
            self._coordinator.bury()
        self.recovery.tick()

    def _lose(self, seat: Seat, child: Child, status: int) -> None:
        seat.child = None
        self._gone = [a + b for a, b in zip(self._gone, child.board.counts(), strict=True)]
        self._published.pop(child.executor, None)
        reason = how_it_ended(status)
        if status != 0 and not child.is_killed:
            logger.error(
                "event=executor_died executor=%s pid=%d %s", child.executor, child.pid, reason
            )
        is_quick = status != 0 and time.monotonic() - child.born_at < QUICK_SECONDS
        seat.quick_deaths = seat.quick_deaths + 1 if is_quick else 0
        seat.free_at = time.monotonic() + pause_before_respawn(seat.quick_deaths)
        began = child.board.began()
        self.recovery.of_dead(
            Loss(child.executor, lost(self.worker, reason), began, child.is_killed)
        )
        child.board.close()

    # --- each beat ---

    def _beat(self) -> None:
        self._announce()
        for child in self._children:
            self._look_at(child)

    def _announce(self) -> None:
        try:
            orders = self.broker.fleet.announce(
                self.worker, self._said(), executors=[child.executor for child in self._children]
            )
        except (TaskSystemError, RedisError) as error:
            self._say_silent(error)
            return
        self._take_if_lease_was_over()
        if self._silent_since is not None:
            logger.info(
                "event=redis_back worker=%s after_seconds=%.1f",
                self.worker, time.monotonic() - self._silent_since,
            )  # fmt: skip
            self._silent_since = None
        for order in orders:
            self._obey(order)

    def _take_if_lease_was_over(self) -> None:
        """After so long a silence others may have our tasks: at least do not start any more."""
        now = time.monotonic()
        if now - self._renewed_at > conf().lease_seconds:
            for child in self._children:
                self._take_unstarted(child)
        self._renewed_at = now

    def _obey(self, order: dict) -> None:
        if order.get("order") == "stop":
            logger.info("event=told_to_stop worker=%s", self.worker)
            self._stops = max(self._stops, 1)
            self._drain()
        else:
            logger.warning("event=unknown_order worker=%s order=%s", self.worker, order)

    def _say_silent(self, error: Exception) -> None:
        now = time.monotonic()
        if self._silent_since is None:
            self._silent_since, self._said_at = now, 0.0
        if now - self._said_at >= SAY_SECONDS:
            self._said_at = now
            logger.warning("event=waiting_for_redis worker=%s error=%s", self.worker, error)

    def _said(self) -> dict:
        loads = [child.board.load() for child in self._children]
        counts = [child.board.counts() for child in self._children]
        completed = self._gone[0] + sum(some for some, _ in counts)
        failed = self._gone[1] + sum(some for _, some in counts)
        return {
            "hostname": socket.gethostname(),
            "pid": os.getpid(),
            "started_us": self._started_us,
            "queues": list(self.config.queues),
            "slots": self.slots,
            "processes": len(self.seats),
            "threads": max(seat.threads for seat in self.seats),
            "status": "stopping" if self._stops else "active",
            "processed": completed + failed,
            "failed": failed,
            "active": sum(started for started, _ in loads),
            "reserved": sum(waiting for _, waiting in loads),
            "config": self.config.to_json(),
            "version": _version(),
        }

    def _look_at(self, child: Child) -> None:
        """Publish what runs; give back what waits behind a task that did not move for a beat."""
        glance = child.board.glance()
        if glance != child.glance:
            child.glance = glance
            return
        running = child.board.running()
        if running and child.board.load()[1]:
            self._take_unstarted(child)
        self._publish(child, set(running))

    def _publish(self, child: Child, running: set[str]) -> None:
        """A task that holds the interpreter's lock keeps the executor from saying so itself."""
        news = running - self._published.get(child.executor, set())
        try:
            for shard in self._shards if news else ():
                self.broker.start(child.executor, list(news), shard)
            self._published[child.executor] = running
        except (TaskSystemError, RedisError) as error:
            self._say_silent(error)

    def _take_unstarted(self, child: Child) -> None:
        taken = child.board.take()
        if taken:
            self.recovery.of_unstarted(child.executor, taken)

    # --- the end ---

    def _drain(self) -> None:
        """Let running tasks finish; at the end of the grace period, end them."""
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + self.grace_seconds
            logger.info("event=draining worker=%s grace=%g", self.worker, self.grace_seconds)
            self._signal_all(signal.SIGTERM)
            for child in self._children:
                self._take_unstarted(child)
            self._next_beat = 0.0
        if self._stops > 1:
            self._deadline = min(self._deadline, now)
        if now >= self._deadline:
            for child in self._children:
                if not child.is_killed:
                    logger.warning("event=interrupting executor=%s", child.executor)
                    child.is_killed = True
                    os.kill(child.pid, signal.SIGKILL)

    def _signal_all(self, number: int) -> None:
        for child in self._children:
            os.kill(child.pid, number)

    def _end(self) -> None:
        """All executors are gone: take everything back, resign, and let that be recorded."""
        until = time.monotonic() + RESIGN_SECONDS
        while not self._resign():
            if time.monotonic() > until:
                logger.warning("event=not_resigned worker=%s", self.worker)
                break
            time.sleep(0.1)
        if self._coordinator is not None:
            self._coordinator.end(COORDINATOR_SECONDS)

    def _resign(self) -> bool:
        try:
            self.recovery.tick()
            self.recovery.finish()
            return self.recovery.is_done and self.broker.fleet.resign(self.worker)
        except (TaskSystemError, RedisError) as error:
            self._say_silent(error)
            return False


class ExecutorBody:
    """What runs in an executor's process."""

    def __init__(self, supervisor: Supervisor, name: str, threads: int, board: Board):
        self._supervisor = supervisor
        self._name = name
        self._threads = threads
        self._board = board
        self._executor: Executor | None = None
        self._is_stopped = False

    def run(self) -> None:
        supervisor = self._supervisor
        self._executor = Executor(
            Broker(link()), self._name, supervisor.worker, supervisor.config.queues,
            self._threads, self._board,
        )  # fmt: skip
        if self._is_stopped:
            self._executor.stopping = True
        self._executor.run()

    def stop(self) -> None:
        self._is_stopped = True
        if self._executor is not None:
            self._executor.stop()


class CoordinatorSeat:
    """The place of the coordinator child, which idles while another one leads."""

    def __init__(self, supervisor: Supervisor):
        self._supervisor = supervisor
        self._pid = 0
        self._born_at = 0.0
        self._quick_deaths = 0
        self._free_at = 0.0

    def fill(self) -> None:
        if self._pid == 0 and time.monotonic() >= self._free_at:
            worker = self._supervisor.worker
            self._born_at = time.monotonic()
            self._pid = fork_child(
                f"dtps worker {worker} coordinator",
                self._supervisor.lifeline,
                lambda: coordinator.main_in_child(worker),
                lambda: os._exit(0),  # until it has a handler of its own, there is nothing to end
            )

    def bury(self) -> None:
        if self._pid == 0:
            return
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if pid == 0:
            return
        self._pid = 0
        is_quick = time.monotonic() - self._born_at < QUICK_SECONDS
        self._quick_deaths = self._quick_deaths + 1 if is_quick else 0
        self._free_at = time.monotonic() + pause_before_respawn(self._quick_deaths)
        logger.error(
            "event=coordinator_died worker=%s %s", self._supervisor.worker, how_it_ended(status)
        )

    def end(self, seconds: float) -> None:
        """Let it abdicate; end it if that takes too long."""
        if self._pid == 0:
            return
        os.kill(self._pid, signal.SIGTERM)
        until = time.monotonic() + seconds
        while os.waitpid(self._pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > until:
                os.kill(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)
                break
            time.sleep(0.02)
        self._pid = 0


def _version() -> str:
    try:
        return version("distributed-task-processing-system")
    except PackageNotFoundError:
        return ""
