"""A worker's supervisor: forks executors, renews the lease, takes back what dead ones held.

It runs no user code and never touches the database, so nothing can block it. What it does for its
executors is in parts of their own; here they are put together, and told when it is time.
"""

import gc
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import RedisError
from setproctitle import setproctitle

from tasks_app.broker import Broker
from tasks_app.broker.connection import Link
from tasks_app.conf import conf
from tasks_app.exceptions import TaskSystemError
from tasks_app.registry import task_types

from ..control import PoolConfig
from ..executor.lanes import lanes_of
from . import safety
from .announcement import Announcement
from .bell import Bell
from .child import Lifeline
from .crash import INTERRUPTED, UNGUARDED, how_it_ended, lost
from .deadlines import Deadlines
from .guard import Watch
from .helpers import CoordinatorSeat, GuardSeat
from .lease import Lease
from .orders import Handler, Orders
from .recovery import Loss, Recovery
from .recycling import Recycling
from .scaling import Scaling
from .seat import Child, Death, title_of
from .seats import Seats
from .stacks import Stacks
from .stealing import Stealing
from .tally import Tally
from .wakeup import Wakeup

logger = logging.getLogger(__name__)

CALL_SECONDS = 0.4  # an answer of Redis that takes longer is lost: the lease must not wait for it
START_SECONDS = 0.5  # between two looks whether there is a server at last
BUSY_SECONDS = 0.1  # between two looks at the boards, while anybody has anything in hand
CALM_SECONDS = 0.25  # the same, while nobody has
STILL_SECONDS = 1.0  # without any movement, after which what waits in hand goes back
RESIGN_SECONDS = 1.5  # for the last calls; after that the lease runs out
COORDINATOR_SECONDS = 25.0  # for the coordinator to record what is left


class Unusable(Exception):
    """The server is none that tasks may be trusted to; the text says why."""


class Supervisor:
    """One worker, from its first fork to its resignation."""

    def __init__(
        self,
        worker: str,
        config: PoolConfig,
        *,
        grace_seconds: float,
        with_coordinator: bool,
        most_tasks: int | None = None,  # of one executor; None: as the settings say
        most_memory_mb: int | None = None,
    ):
        self.worker = worker
        self.config = config
        self.is_to_restart = False  # once it has ended
        self.broker = Broker(Link(conf().redis_url, timeout=CALL_SECONDS))
        lanes = lanes_of(config.queues)
        self._shards = [lane.shard for lane in lanes]
        self._watch = Watch()
        self.lease = Lease(self.broker, worker, config.queues, self._watch)
        self.recovery = Recovery(self.broker, worker, config.queues, self._shards, self.lease)
        self.seats = Seats(worker, config, self._watch)
        self.tally = Tally()
        self.deadlines = Deadlines(worker, self.seats, self.recovery)
        self.stealing = Stealing(self.broker, worker, config, lanes, self.lease, self.recovery)
        self.stacks = Stacks(self.broker, worker, self.lease)
        self.scaling = Scaling(self.broker, worker, config, self.seats, self.tally, self.lease)
        self.recycling = Recycling(self.seats, most_tasks, most_memory_mb)
        self.announcement = Announcement(
            config, self.seats, self.tally, self.stealing, self.recycling, self.scaling
        )
        self.orders = Orders(self.broker, worker, self.lease, self._handlers())
        self._guard = GuardSeat(worker, self._watch)
        self._coordinator = CoordinatorSeat(worker) if with_coordinator else None
        self._grace_seconds = grace_seconds
        self._stops = 0  # how often it was told to stop
        self._deadline: float | None = None  # of the grace period, once that has begun
        self._next_beat = 0.0
        self._next_look = 0.0

    def run(self) -> None:
        """Work until told to stop, and drain. Raise Unusable before anything has begun."""
        self._prepare()
        try:
            if self._wait_for_server():
                self.recovery.of_others()
                while not self._is_over():
                    self._wakeup.wait(self._next_moment() - time.monotonic(), *self._bell.files)
                    self._try_tick()
                self._end()
        finally:
            self._guard.end()
            self._bell.close()
            if not self.is_to_restart:
                self._wakeup.close()
        logger.info("event=worker_stopped worker=%s", self.worker)

    def stop(self) -> None:
        """Begin the drain; the second time, end it."""
        self._stops += 1
        self.is_to_restart = False

    # --- the loop ---

    def _prepare(self) -> None:
        self._wakeup = Wakeup(self.stop)
        setproctitle(title_of(self.worker))
        types = task_types()
        self._lifeline = Lifeline()
        self._bell = Bell(self.broker.link, self.worker)
        gc.collect()
        gc.freeze()  # what is imported stays shared with the children
        logger.info(
            "event=worker_starting worker=%s pid=%d queues=%s slots=%d processes=%d types=%d",
            self.worker, os.getpid(), ",".join(self.config.queues), self.seats.slots,
            len(self.seats), len(types),
        )  # fmt: skip
        with self._noting_no_room():
            self._guard.fill(self._lifeline)

    def _wait_for_server(self) -> bool:
        """Wait until there is a server to trust. Return False if told to stop before."""
        while not self._stops:
            try:
                verdict = safety.look_at(self.broker)
            except (TaskSystemError, RedisError) as error:
                self.lease.note_silence(error)
                self._wakeup.wait(START_SECONDS)
                continue
            if verdict.refusals:
                raise Unusable(" ".join(verdict.refusals))
            for warning in verdict.warnings:
                logger.warning("event=unsafe worker=%s %s", self.worker, warning)
            self.lease.note_answer()
            return True
        return False

    def _try_tick(self) -> None:
        try:
            self._tick()
        except Exception:  # whatever it was: without a supervisor nothing at all would go on
            logger.exception("event=supervisor_failed worker=%s", self.worker)
            self._next_look = time.monotonic() + CALM_SECONDS
            self._wakeup.wait(BUSY_SECONDS)

    def _tick(self) -> None:
        now = time.monotonic()
        self._bury()
        if now >= self._next_beat:  # first of all that calls Redis: nothing else has a time limit
            self._next_beat = now + conf().renew_seconds
            self._beat()
        if self._bell.has_rung():
            self.orders.fetch()
        self.recovery.tick()
        self._look(time.monotonic())
        self._fill_helpers()
        if self._stops:
            self._drain()
        else:
            self._fill()

    def _is_over(self) -> bool:
        return self._stops > 0 and not self.seats.children

    def _next_moment(self) -> float:
        """When there is something to do, if no signal comes before."""
        moments = [self._next_beat, self._next_look]
        if self._deadline is not None and not all(c.killed for c in self.seats.children):
            moments.append(self._deadline)
        if not self._stops and self.lease.is_kept:
            moments.append(self.seats.next_free())
        moments.append(self.stacks.next_moment)
        return min(moment for moment in moments if moment is not None)

    # --- children ---

    def _fill(self) -> None:
        """Fork who is missing and may be forked again."""
        if not self.lease.is_kept:
            return  # others have our tasks; until that is clear, nobody is to run any
        with self._noting_no_room():
            for _ in self.seats.fill(self._lifeline):
                self._next_beat = 0.0  # it may claim once it is announced

    def _fill_helpers(self) -> None:
        with self._noting_no_room():
            self._guard.fill(self._lifeline)
            if self._coordinator is not None and not self._stops:
                self._coordinator.fill(self._lifeline)

    @contextmanager
    def _noting_no_room(self) -> Iterator[None]:
        """No memory, no files, or too many processes: later, perhaps."""
        try:
            yield
        except OSError as error:
            logger.error("event=fork_failed worker=%s error=%s", self.worker, error)

    def _bury(self) -> None:
        """Notice who died, and take back what they held."""
        for death in self.seats.bury():
            self._lose(death)
        self._guard.look()
        if self._coordinator is not None:
            self._coordinator.look()

    def _lose(self, death: Death) -> None:
        child, reason = death.child, how_it_ended(death.status, death.peak_bytes)
        uncharged, began, trace = child.killed, child.board.began(), ""
        if self._watch.was_ended(child.place):
            uncharged = UNGUARDED
            logger.error("event=lease_lost executor=%s", child.executor)
        elif (death.status != 0 or began) and not child.killed:
            self.tally.crashed += 1
            logger.error("event=executor_died executor=%s %s", child.executor, reason)
        if began and not uncharged:
            trace = child.box.last_lines()
        charge = lost(self.worker, reason, trace=trace, peak_bytes=death.peak_bytes)
        overruns = self.deadlines.overruns_of(child, death.peak_bytes)
        spared = child.board.spared()
        self.recovery.of_dead(Loss(child.executor, charge, began, spared, uncharged, overruns))
        self.tally.keep(child)
        self._watch.remove(child.place)
        child.board.close()
        child.box.close()

    # --- each beat, and each look ---

    def _beat(self) -> None:
        children = self.seats.children
        self.recycling.measure(children)
        said = self.announcement.said(is_stopping=self._stops > 0)
        announced = self.lease.renew(said, [child.executor for child in children])
        if announced is None:
            return
        self._bell.listen()
        self.orders.obey(announced.orders)
        for child in children:
            if self.lease.was_over:  # others may have its tasks: at least do not start any more
                self._take_unstarted(child)
        if not self._stops:
            self.scaling.tick(announced)
            self.recycling.tick()

    def _look(self, now: float) -> None:
        """Look at the boards, and help executors that cannot help themselves."""
        children = self.seats.children
        for child in children:
            child.look(now)
        self.deadlines.tick(children, now)
        self.stacks.tick(children, now)
        for child in self.seats.leaving:
            self._take_unstarted(child)
        if not self._stops:
            self.stealing.tick(self.seats.seated, now)
            self.seats.tick()
        for child in children:
            self._look_at(child, now)
        is_busy = any(child.is_busy for child in children)
        self._next_look = now + (BUSY_SECONDS if is_busy else CALM_SECONDS)

    def _look_at(self, child: Child, now: float) -> None:
        """Publish what runs; give back what waits behind a task that did not move for long."""
        still = now - child.still_since
        if still < conf().renew_seconds:
            return
        running = child.board.running()
        if running and still > max(STILL_SECONDS, 2 * conf().renew_seconds):
            self._take_unstarted(child)
        self._publish(child, set(running))

    def _publish(self, child: Child, running: set[str]) -> None:
        """A task that holds the interpreter's lock keeps the executor from saying so itself."""
        news = running - child.published
        if not self.lease.is_answering:
            return
        try:
            for shard in self._shards if news else ():
                self.broker.start(child.executor, list(news), shard)
            child.published = running
        except (TaskSystemError, RedisError) as error:
            self.lease.note_silence(error)

    def _take_unstarted(self, child: Child) -> None:
        if child.board.load()[1]:
            taken = child.board.take()
            if taken:
                self.recovery.of_unstarted(child.executor, taken)

    # --- orders ---

    def _handlers(self) -> dict[str, Handler]:
        return {
            "stop": lambda order: self._stop_in_order(),
            "restart": lambda order: self._restart(),
            "pause": lambda order: self._pause(),
            "resume": lambda order: self._resume(),
            "scale": lambda order: self.scaling.order(int(order["slots"])),
            "stacks": lambda order: self.stacks.ask(str(order["request"]), self.seats.children),
            "cancel": lambda order: self._cancel(str(order["executor"]), list(order["tasks"])),
        }

    def _stop_in_order(self) -> None:
        self._stops = max(self._stops, 1)
        self.is_to_restart = False

    def _restart(self) -> None:
        if not self._stops:
            self._stop_in_order()
            self.is_to_restart = True

    def _pause(self) -> None:
        self.seats.pause()
        self._next_beat = 0.0  # so that everybody sees it

    def _resume(self) -> None:
        if not self._stops:
            self.seats.resume()
            self._next_beat = 0.0

    def _cancel(self, executor: str, ids: list[str]) -> None:
        for child in self.seats.children:
            if child.executor == executor:
                self.deadlines.cancel(child, self._still_cancelled(executor, ids))

    def _still_cancelled(self, executor: str, ids: list[str]) -> list[str]:
        """Without those that were retried meanwhile, and that the same executor has got again."""
        try:
            held = [self.broker.held_ids(executor, shard) for shard in self._shards]
            return [task_id for task_id in ids if not any(task_id in some for some in held)]
        except (TaskSystemError, RedisError) as error:
            self.lease.note_silence(error)
            return ids

    # --- the end ---

    def _drain(self) -> None:
        """Let running tasks finish; at the end of the grace period, end them."""
        now = time.monotonic()
        if self._deadline is None:
            self._begin_drain(now)
        if self._stops > 1:
            self._deadline = min(self._deadline, now)
        if now >= self._deadline:
            self.seats.kill(INTERRUPTED)

    def _begin_drain(self, now: float) -> None:
        self._deadline = now + self._grace_seconds
        logger.info("event=draining worker=%s grace=%g", self.worker, self._grace_seconds)
        self.seats.pause()
        for child in self.seats.children:
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
            self.lease.note_answer()  # it is the last chance: try, whatever was before
            self.recovery.tick()
            self.recovery.finish()
            return self.recovery.is_done and self.broker.fleet.resign(self.worker)
        except (TaskSystemError, RedisError) as error:
            self.lease.note_silence(error)
            return False
