"""A worker's supervisor: forks executors, renews the lease, takes back what dead ones held.

It runs no user code and never touches the database, so nothing can block it.
"""

import gc
import logging
import os
import signal
import socket
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from redis.exceptions import RedisError
from setproctitle import setproctitle

from tasks_app.broker import Broker
from tasks_app.broker.connection import Link
from tasks_app.conf import conf
from tasks_app.exceptions import TaskSystemError
from tasks_app.message import now_us
from tasks_app.registry import task_types

from . import safety
from .child import Lifeline
from .control import PoolConfig
from .crash import how_it_ended, lost
from .lanes import lanes_of
from .lease import Lease
from .pool import layout
from .recovery import Loss, Recovery
from .seat import Child, CoordinatorSeat, ExecutorSeat
from .wakeup import Wakeup

logger = logging.getLogger(__name__)

CALL_SECONDS = 0.4  # an answer of Redis that takes longer is lost: the lease must not wait for it
LOOK_SECONDS = 0.5  # between two looks whether there is a server at last
RESIGN_SECONDS = 5.0  # for the last calls; after that the lease runs out
COORDINATOR_SECONDS = 25.0  # for the coordinator to record what is left


class Unusable(Exception):
    """The server is none that tasks may be trusted to; the text says why."""


class Supervisor:
    """One worker, from its first fork to its resignation."""

    def __init__(
        self, worker: str, config: PoolConfig, *, grace_seconds: float, with_coordinator: bool
    ):
        self.worker = worker
        self.config = config
        self.broker = Broker(Link(conf().redis_url, timeout=CALL_SECONDS))
        self._shards = [lane.shard for lane in lanes_of(config.queues)]
        self.recovery = Recovery(self.broker, worker, config.queues, self._shards)
        self.lease = Lease(self.broker, worker)
        self.seats = [
            ExecutorSeat(worker, config.queues, number, threads)
            for number, threads in enumerate(layout(config))
        ]
        self._coordinator = CoordinatorSeat(worker) if with_coordinator else None
        self._grace_seconds = grace_seconds
        self._started_us = now_us()
        self._stops = 0  # how often it was told to stop
        self._deadline: float | None = None  # of the grace period, once that has begun
        self._next_beat = 0.0
        self._gone = (0, 0)  # completed and failed, by executors that are gone

    def run(self) -> None:
        """Work until told to stop, and drain. Raise Unusable before anything has begun."""
        self._prepare()
        if self._wait_for_server():
            while not self._is_over():
                self._wakeup.wait(self._next_moment() - time.monotonic())
                self._tick()
            self._end()
        logger.info("event=worker_stopped worker=%s", self.worker)

    def stop(self) -> None:
        """Begin the drain; the second time, end it."""
        self._stops += 1

    # --- the loop ---

    def _prepare(self) -> None:
        setproctitle(f"dtps worker {self.worker}")
        types = task_types()
        self._wakeup = Wakeup(self.stop)
        self._lifeline = Lifeline()
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
                self.lease.note_silence(error)
                self._wakeup.wait(LOOK_SECONDS)
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
        return self._stops > 0 and not self.children

    def _next_moment(self) -> float:
        """When there is something to do, if no signal comes before."""
        moments = [self._next_beat]
        if self._deadline is not None and not all(child.is_killed for child in self.children):
            moments.append(self._deadline)
        if not self._stops:
            moments += [seat.free_at for seat in self.seats if seat.child is None]
        return min(moments)

    # --- children ---

    @property
    def children(self) -> list[Child]:
        return [seat.child for seat in self.seats if seat.child is not None]

    @property
    def slots(self) -> int:
        return sum(seat.threads for seat in self.seats)

    def _fill(self) -> None:
        """Fork what is missing and may be forked again."""
        try:
            for seat in self.seats:
                if seat.child is None and seat.is_free:
                    seat.fill(self._lifeline)
                    self._next_beat = 0.0  # it may claim once it is announced
            if self._coordinator is not None:
                self._coordinator.fill(self._lifeline)
        except OSError as error:  # no memory, or too many processes: later, perhaps
            logger.error("event=fork_failed worker=%s error=%s", self.worker, error)

    def _bury(self) -> None:
        """Notice who died, and take back what they held."""
        for seat in self.seats:
            died = seat.look()
            if died is not None:
                self._lose(*died)
        if self._coordinator is not None:
            self._coordinator.look()
        self.recovery.tick()

    def _lose(self, child: Child, status: int) -> None:
        completed, failed = child.board.counts()
        self._gone = (self._gone[0] + completed, self._gone[1] + failed)
        reason = how_it_ended(status)
        if status != 0 and not child.is_killed:
            logger.error("event=executor_died executor=%s %s", child.executor, reason)
        began = child.board.began()
        self.recovery.of_dead(
            Loss(child.executor, lost(self.worker, reason), began, child.is_killed)
        )
        child.board.close()

    # --- each beat ---

    def _beat(self) -> None:
        orders = self.lease.renew(self._said(), [child.executor for child in self.children])
        if orders is None:
            return
        for child in self.children:
            if self.lease.was_over:  # others may have its tasks: at least do not start any more
                self._take_unstarted(child)
            self._look_at(child)
        for order in orders:
            self._obey(order)

    def _obey(self, order: dict[str, Any]) -> None:
        if order.get("order") == "stop":
            logger.info("event=told_to_stop worker=%s", self.worker)
            self._stops = max(self._stops, 1)
            self._drain()
        else:
            logger.warning("event=unknown_order worker=%s order=%s", self.worker, order)

    def _said(self) -> dict[str, Any]:
        loads = [child.board.load() for child in self.children]
        counts = [self._gone, *(child.board.counts() for child in self.children)]
        failed = sum(some for _, some in counts)
        return {
            "hostname": socket.gethostname(),
            "pid": os.getpid(),
            "started_us": self._started_us,
            "queues": list(self.config.queues),
            "slots": self.slots,
            "processes": len(self.seats),
            "threads": max(seat.threads for seat in self.seats),
            "status": "stopping" if self._stops else "active",
            "processed": failed + sum(some for some, _ in counts),
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
        news = running - child.published
        try:
            for shard in self._shards if news else ():
                self.broker.start(child.executor, list(news), shard)
            child.published = running
        except (TaskSystemError, RedisError) as error:
            self.lease.note_silence(error)

    def _take_unstarted(self, child: Child) -> None:
        taken = child.board.take()
        if taken:
            self.recovery.of_unstarted(child.executor, taken)

    # --- the end ---

    def _drain(self) -> None:
        """Let running tasks finish; at the end of the grace period, end them."""
        now = time.monotonic()
        if self._deadline is None:
            self._begin_drain(now)
        if self._stops > 1:
            self._deadline = min(self._deadline, now)
        if now >= self._deadline:
            for child in self.children:
                if not child.is_killed:
                    logger.warning("event=interrupting executor=%s", child.executor)
                    child.kill()

    def _begin_drain(self, now: float) -> None:
        self._deadline = now + self._grace_seconds
        logger.info("event=draining worker=%s grace=%g", self.worker, self._grace_seconds)
        for child in self.children:
            os.kill(child.pid, signal.SIGTERM)
            self._take_unstarted(child)
        self._next_beat = 0.0  # so that everybody sees it stopping

    def _end(self) -> None:
        """All executors are gone: take everything back, resign, and let that be recorded."""
        until = time.monotonic() + RESIGN_SECONDS
        while not self._resign():
            if time.monotonic() > until:
                logger.warning("event=not_resigned worker=%s", self.worker)
                break
            time.sleep(0.1)
        if self._coordinator is not None:
            stops = self._stops
            self._coordinator.end(COORDINATOR_SECONDS, lambda: self._stops > stops)

    def _resign(self) -> bool:
        try:
            self.recovery.tick()
            self.recovery.finish()
            return self.recovery.is_done and self.broker.fleet.resign(self.worker)
        except (TaskSystemError, RedisError) as error:
            self.lease.note_silence(error)
            return False


def _version() -> str:
    try:
        return version("distributed-task-processing-system")
    except PackageNotFoundError:
        return ""
