"""Time limits, and cancelled tasks that run: asked to end first, ended by force after a grace.

The supervisor keeps the time, since a task may hold the interpreter's lock of its own process.
"""

import logging
import signal
import time
from dataclasses import dataclass

from tasks_app.conf import conf

from ..executor.board import CANCELLED, TIMED_OUT, Running
from .crash import BYSTANDER
from .overrun import Overrun, seconds_of
from .recovery import Recovery
from .seat import Child
from .seats import Seats

logger = logging.getLogger(__name__)

# Without a beat of the executor something holds the interpreter's lock; without a turn, the loop.
MUTE_SECONDS = 2.0
LOG_LINES = 20


@dataclass(frozen=True)
class Asked:
    """A running task that was asked to end."""

    running: Running
    reason: int
    at: float  # monotonic


class Deadlines:
    """Looks after what runs in all executors of a worker."""

    def __init__(self, worker: str, seats: Seats, recovery: Recovery):
        self._worker = worker
        self._seats = seats
        self._recovery = recovery
        self._asked: dict[str, dict[tuple[int, str, str], Asked]] = {}  # by executor
        self._overruns: dict[str, list[Overrun]] = {}  # of executors that were killed for them
        # executors with abandoned tasks -> the threads in which those run
        self._maimed: dict[str, set[int]] = {}

    def cancel(self, child: Child, ids: list[str]) -> None:
        """Ask cancelled tasks to end; what has not started never will."""
        for running in child.board.cancel(ids):
            self._ask(child, running, CANCELLED)

    def tick(self, children: list[Child], now: float) -> None:
        """Ask what is over its limit; end what was asked and did not."""
        for child in children:
            if not child.killed:
                self._look_at(child, now)
        alive = {child.executor for child in children}
        for executor in self._asked.keys() - alive:
            del self._asked[executor]
        for executor in self._maimed.keys() - alive:
            del self._maimed[executor]

    def overruns_of(self, child: Child, peak_bytes: int) -> list[Overrun]:
        """The attempts for which a dead executor was killed."""
        found = self._overruns.pop(child.executor, [])
        for overrun in found:
            overrun.peak_bytes = peak_bytes
        return found

    # --- asking ---

    def _look_at(self, child: Child, now: float) -> None:
        running = {_key(each): each for each in child.board.attempts()}
        for each in running.values():
            if each.timeout_ms and not each.asked and seconds_of(each) * 1000 >= each.timeout_ms:
                self._ask(child, each, TIMED_OUT)
        if asked := self._asked.get(child.executor):
            for key in asked.keys() - running.keys():
                del asked[key]  # it has ended
            grace = conf().timeout_grace_seconds
            over = [each for each in asked.values() if now - each.at >= grace]
            if over:
                self._end(child, over, set(running), now)
        if child.executor in self._maimed:
            self._press(child, now)

    def _ask(self, child: Child, running: Running, reason: int) -> None:
        if child.board.ask(running.slot, running.id, running.token, reason):
            asked = self._asked.setdefault(child.executor, {})
            asked[_key(running)] = Asked(running, reason, time.monotonic())
            logger.info(
                "event=%s task=%s executor=%s seconds=%.1f",
                "timed_out" if reason == TIMED_OUT else "interrupting_cancelled",
                running.id, child.executor, seconds_of(running),
            )  # fmt: skip
            child.tell(signal.SIGUSR1)

    # --- ending ---

    def _end(self, child: Child, over: list[Asked], running: set, now: float) -> None:
        """The grace is over. Nobody else in the process: kill it. Else: it is left alone there."""
        others = running - {_key(each.running) for each in over}
        if not others or self._is_mute(child, now):
            self._kill(child, over)
        else:
            self._abandon(child, over)

    def _kill(self, child: Child, over: list[Asked]) -> None:
        trace = child.box.last_lines(LOG_LINES)
        self._overruns[child.executor] = [
            Overrun(self._worker, each.running, trace) for each in over if each.reason == TIMED_OUT
        ]
        for each in over:
            logger.warning("event=ending task=%s executor=%s", each.running.id, child.executor)
        child.kill(BYSTANDER)

    def _abandon(self, child: Child, over: list[Asked]) -> None:
        for each in over:
            slot, task_id, token = _key(each.running)
            if not child.board.abandon(slot, task_id, token):
                continue  # it has just ended
            logger.warning("event=abandoned task=%s executor=%s", task_id, child.executor)
            self._maimed.setdefault(child.executor, set()).add(each.running.thread)
            if each.reason == TIMED_OUT:
                trace = child.box.last_lines(LOG_LINES)
                overrun = Overrun(self._worker, each.running, trace)
                self._recovery.of_overrun(child.executor, overrun)
        if child.executor in self._maimed:
            self._seats.replace(child)

    def _press(self, child: Child, now: float) -> None:
        """End a process with abandoned tasks once nothing else is in it, or can get done."""
        is_vain = not child.is_busy or self._is_mute(child, now) or self._is_stuck(child, now)
        if is_vain and not child.killed:
            child.kill(BYSTANDER)

    def _is_mute(self, child: Child, now: float) -> bool:
        return now - child.mute_since >= MUTE_SECONDS

    def _is_stuck(self, child: Child, now: float) -> bool:
        """Whether only coroutines are left, and an abandoned one keeps their loop for good."""
        if now - child.stuck_since < MUTE_SECONDS:
            return False
        running = child.board.attempts()
        threads = {each.thread for each in running}
        is_reported = len(running) == len(child.board.began())
        return is_reported and threads <= self._maimed[child.executor]


def _key(running: Running) -> tuple[int, str, str]:
    return running.slot, running.id, running.token
