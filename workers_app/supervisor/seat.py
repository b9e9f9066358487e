"""The places of a worker's executors: one is empty between a death and the replacement."""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from secrets import token_hex

from tasks_app.broker import Broker
from tasks_app.broker.connection import GuardedLink
from tasks_app.conf import conf

from ..control import PoolConfig
from ..executor.blackbox import BlackBox
from ..executor.board import Board
from ..executor.executor import Executor
from ..executor.tasklog import keep_logs
from ..executor.timing import pause_before_respawn
from .child import Lifeline, fork_child
from .family import end_families, end_group

logger = logging.getLogger(__name__)

QUICK_SECONDS = 1.0  # a child that dies younger than that died at once
FAILED_SECONDS = 5.0  # before another try, if there is no memory for a fork
PEAK_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes


@dataclass(eq=False)
class Child:
    """An executor's process, as its supervisor sees it."""

    pid: int
    executor: str
    board: Board
    box: BlackBox
    number: int = 0  # of its seat
    threads: int = 1
    place: int = -1  # under the guard's watch
    killed: str = ""  # why we killed it, as a sentence
    retired_at: float | None = None  # when it was told to end, while the worker goes on
    published: set[str] = field(default_factory=set)  # ids that were reported as processing
    # What the looks at its board have found, and since when it is so:
    slices: int = 0
    same_slice_since: float = 0.0
    glance: bytes = b""
    still_since: float = 0.0
    beats: int = -1
    mute_since: float = 0.0
    turns: int = -1
    stuck_since: float = 0.0
    rss_bytes: int = 0

    def look(self, now: float) -> None:
        """Note what has changed on its board."""
        if (slices := self.board.slices()) != self.slices:
            self.slices, self.same_slice_since = slices, now
        if (glance := self.board.glance()) != self.glance:
            self.glance, self.still_since = glance, now
        if (beats := self.board.beats()) != self.beats or not self.board.load()[0]:
            self.beats, self.mute_since = beats, now
        if (turns := self.board.turns()) != self.turns or not self.board.load()[0]:
            self.turns, self.stuck_since = turns, now

    @property
    def is_busy(self) -> bool:
        """Whether it has anything in hand that is not reported."""
        return any(self.board.load()) or bool(self.board.began())

    def tell(self, number: signal.Signals) -> None:
        """Send a signal. It is there at least as a zombie: only its seat buries it."""
        os.kill(self.pid, number)

    def retire(self) -> None:
        """Have it claim nothing more, finish what runs, give the rest back, and end."""
        if self.retired_at is None:
            self.retired_at = time.monotonic()
            self.tell(signal.SIGTERM)

    def kill(self, why: str) -> None:
        """End it with all that it has started."""
        self.killed = self.killed or why
        end_families([self.pid])

    def resize(self, threads: int) -> None:
        """Have it run so many tasks at once."""
        if threads != self.threads:
            self.threads = threads
            self.board.threads = threads
            self.tell(signal.SIGUSR1)


@dataclass(frozen=True)
class Death:
    """A child that is gone, and what is known of its end."""

    child: Child
    status: int  # as ``os.wait4`` gives it
    peak_bytes: int


def bury(child: Child) -> Death | None:
    """Whether a child has died. What it left of its group is ended then."""
    pid, status, usage = os.wait4(child.pid, os.WNOHANG)
    if pid == 0:
        return None
    end_group(child.pid)
    return Death(child, status, usage.ru_maxrss * PEAK_UNIT)


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

    def __init__(self, worker: str, config: PoolConfig, kind: str, number: int, threads: int):
        super().__init__()
        self.number = number
        self.threads = threads
        self.child: Child | None = None
        self._worker = worker
        self._config = config
        self._kind = kind

    def fill(self, lifeline: Lifeline, others: Iterable[Child] = ()) -> Child:
        """Fork an executor. Raise OSError if that is not possible now."""
        self.take()
        name = f"{self._worker}:{self.number}:{token_hex(4)}"
        board, box = Board(), BlackBox()
        body = _Body(lambda: self._executor(name, board), box, others)
        title = f"{title_of(self._worker)} executor {self.number}"
        try:
            pid = fork_child(title, lifeline, body.run, body.stop, leads=True)
        except OSError:
            board.close()
            box.close()
            raise
        self.child = Child(pid, name, board, box, self.number, self.threads)
        logger.info("event=executor_started executor=%s pid=%d", name, pid)
        return self.child

    def _executor(self, name: str, board: Board) -> Executor:
        # It claims only from a server that a leader has found sound.
        link = GuardedLink(conf().redis_url, timeout=conf().socket_timeout_seconds)
        return Executor(
            Broker(link), name, self._worker, self._config.queues, self.threads, board,
            kind=self._kind, steals=self._config.enable_steal,
        )  # fmt: skip

    def resize(self, threads: int) -> None:
        """Have so many threads in this place."""
        self.threads = threads
        if self.child is not None:
            self.child.resize(threads)

    def vacate(self) -> Child:
        """Let the child retire. The place is empty and can be taken at once."""
        child, self.child = self.child, None
        self.free_at = 0.0
        child.retire()
        return child

    def look(self) -> Death | None:
        """How the child died, if it has; the place is empty then."""
        death = self.child and bury(self.child)
        if death:
            self.child = None
            self.leave(0 if death.child.killed else death.status)  # that we killed is no failing
        return death


class _Body:
    """What runs in an executor's process; told to stop, perhaps before it has begun."""

    def __init__(self, make: Callable[[], Executor], box: BlackBox, others: Iterable[Child]):
        self._make = make
        self._box = box
        self._others = others
        self._executor: Executor | None = None
        self._is_stopped = False

    def run(self) -> None:
        for other in self._others:
            other.box.close()  # or each child would hold the files of all before it
        self._box.open()
        keep_logs()
        self._executor = self._make()
        if self._is_stopped:
            self._executor.stopping = True
        self._executor.run()

    def stop(self) -> None:
        self._is_stopped = True
        if self._executor is not None:
            self._executor.stop()


def title_of(worker: str) -> str:
    """What the title of each process of a worker begins with."""
    return f"dtps worker {worker}"
