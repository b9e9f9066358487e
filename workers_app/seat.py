"""The places of a worker's children: one is empty between a death and the replacement."""

import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from secrets import token_hex

from tasks_app.broker import Broker
from tasks_app.broker.connection import link

from . import coordinator
from .board import Board
from .child import Lifeline, fork_child
from .crash import how_it_ended
from .executor import Executor
from .timing import pause_before_respawn

logger = logging.getLogger(__name__)

QUICK_SECONDS = 1.0  # a child that dies younger than that died at once
FAILED_SECONDS = 5.0  # before another try, if there is no memory for a fork


@dataclass
class Child:
    """An executor's process."""

    pid: int
    executor: str
    board: Board
    is_killed: bool = False  # by us, at the end of the grace period
    glance: bytes = b""  # of its board, at the last beat
    published: set[str] = field(default_factory=set)  # ids that were reported as processing

    def kill(self) -> None:
        self.is_killed = True
        os.kill(self.pid, signal.SIGKILL)


class Seat:
    """When a place may be taken again."""

    def __init__(self) -> None:
        self.free_at = 0.0
        self._taken_at = 0.0
        self._quick_deaths = 0

    @property
    def is_free(self) -> bool:
        return time.monotonic() >= self.free_at

    def take(self) -> None:
        """Called before a fork, which may fail."""
        self._taken_at = time.monotonic()
        self.free_at = self._taken_at + FAILED_SECONDS

    def leave(self, status: int) -> None:
        """Note a death: one that keeps dying at once is replaced ever later."""
        is_quick = status != 0 and time.monotonic() - self._taken_at < QUICK_SECONDS
        self._quick_deaths = self._quick_deaths + 1 if is_quick else 0
        self.free_at = time.monotonic() + pause_before_respawn(self._quick_deaths)


class ExecutorSeat(Seat):
    """The place of one executor."""

    def __init__(self, worker: str, queues: Sequence[str], number: int, threads: int):
        super().__init__()
        self.threads = threads
        self.child: Child | None = None
        self._worker = worker
        self._queues = queues
        self._number = number

    def fill(self, lifeline: Lifeline) -> None:
        """Fork an executor. Raise OSError if that is not possible now."""
        self.take()
        name = f"{self._worker}:{self._number}:{token_hex(4)}"
        board = Board()
        body = _Body(lambda: self._executor(name, board))
        title = f"dtps worker {self._worker} executor {self._number}"
        self.child = Child(fork_child(title, lifeline, body.run, body.stop), name, board)
        logger.info("event=executor_started executor=%s pid=%d", name, self.child.pid)

    def _executor(self, name: str, board: Board) -> Executor:
        return Executor(Broker(link()), name, self._worker, self._queues, self.threads, board)

    def look(self) -> tuple[Child, int] | None:
        """The child, with its wait status, if it has died; the place is empty then."""
        if self.child is None:
            return None
        pid, status = os.waitpid(self.child.pid, os.WNOHANG)
        if pid == 0:
            return None
        child, self.child = self.child, None
        self.leave(status)
        return child, status


class _Body:
    """What runs in an executor's process; told to stop, perhaps before it has begun."""

    def __init__(self, make: Callable[[], Executor]):
        self._make = make
        self._executor: Executor | None = None
        self._is_stopped = False

    def run(self) -> None:
        self._executor = self._make()
        if self._is_stopped:
            self._executor.stopping = True
        self._executor.run()

    def stop(self) -> None:
        self._is_stopped = True
        if self._executor is not None:
            self._executor.stop()


class CoordinatorSeat(Seat):
    """The place of the coordinator, which idles while another one leads."""

    def __init__(self, worker: str):
        super().__init__()
        self._worker = worker
        self._pid = 0

    def fill(self, lifeline: Lifeline) -> None:
        """Fork it, if it is not there. Raise OSError if that is not possible now."""
        if self._pid == 0 and self.is_free:
            self.take()
            self._pid = fork_child(
                f"dtps worker {self._worker} coordinator",
                lifeline,
                lambda: coordinator.main_in_child(self._worker),
                lambda: os._exit(0),  # until it has a handler of its own, there is nothing to end
            )

    def look(self) -> None:
        """Notice its death."""
        if self._pid:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._pid = 0
                self.leave(status)
                reason = how_it_ended(status)
                logger.error("event=coordinator_died worker=%s %s", self._worker, reason)

    def end(self, seconds: float, is_hurried: Callable[[], bool]) -> None:
        """Let it record what is left and abdicate; end it if that takes too long."""
        if self._pid == 0:
            return
        os.kill(self._pid, signal.SIGTERM)
        until = time.monotonic() + seconds
        while os.waitpid(self._pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > until or is_hurried():
                os.kill(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)
                break
            time.sleep(0.02)
        self._pid = 0
