"""The processes that ``manage.py up`` looks after: forked, so that nothing is imported twice."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from django.db import connections
from setproctitle import setproctitle

from tasks_app.broker.connection import close_all
from workers_app.foreground import SIGNALS
from workers_app.tether import end_with_parent

QUICK_SECONDS = 10.0  # a process that dies sooner is started again more slowly each time
LONGEST_PAUSE = 10.0
TAIL_BYTES = 2000  # of a log, to show after a death


@dataclass(slots=True)
class Child:
    """One process: what it does, where its output goes, and how it is doing."""

    name: str
    work: Callable[[], None]
    log: Path
    is_wanted: bool = True  # False: it ended as it was told to
    pid: int = 0
    failures: int = 0  # quick deaths in a row
    started_at: float = field(default=0.0)
    again_at: float = field(default=0.0)

    @property
    def is_running(self) -> bool:
        return self.pid != 0

    def start(self) -> None:
        close_all()  # no connection may be shared
        connections.close_all()
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        self.started_at = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(self._be(parent))

    def _be(self, parent: int) -> int:
        """Be the new process; return its exit code."""
        try:
            self._settle(parent)
            self.work()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except BaseException:  # noqa: BLE001 (the process ends here)
            traceback.print_exc()
            code = 1
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        return code

    def _settle(self, parent: int) -> None:
        """A session of its own, since Ctrl-C in the terminal is the parent's affair."""
        os.setsid()
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        end_with_parent(parent)
        setproctitle(f"dtps {self.name}")
        nothing = os.open(os.devnull, os.O_RDONLY)
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for number, source in ((0, nothing), (1, log), (2, log)):
            os.dup2(source, number)

    def died(self) -> bool:
        """Whether it has ended since the last look, although nobody told it to."""
        if not self.is_running or not self._has_ended():
            return False
        self.pid = 0
        return self.is_wanted

    def _has_ended(self) -> bool:
        ended, status = os.waitpid(self.pid, os.WNOHANG)
        if ended and os.waitstatus_to_exitcode(status) == 0:
            self.is_wanted = False
        return ended != 0

    def plan_again(self) -> float:
        """Decide when to start it again; return the pause in seconds."""
        now = time.monotonic()
        self.failures = self.failures + 1 if now - self.started_at < QUICK_SECONDS else 1
        pause = min(0.5 * 2 ** (self.failures - 1), LONGEST_PAUSE)
        self.again_at = now + pause
        return pause

    def is_due(self) -> bool:
        return self.is_wanted and not self.is_running and time.monotonic() >= self.again_at

    def tell(self, number: int) -> None:
        if self.is_running:
            os.kill(self.pid, number)

    def last_words(self) -> str:
        """The end of its output."""
        if not self.log.exists():
            return "(it said nothing)"
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - TAIL_BYTES))
            return log.read().decode(errors="replace").strip()


def stop(children: list[Child], asked: list[int], within: float) -> None:
    """End processes and wait for it: SIGTERM, once more when somebody hurries us, then SIGKILL."""
    hurried, until = len(asked), time.monotonic() + within
    for child in children:
        child.is_wanted = False
        child.tell(signal.SIGTERM)
    while any(child.is_running for child in children):
        if len(asked) > hurried:
            hurried = len(asked)
            for child in children:
                child.tell(signal.SIGTERM)
        if time.monotonic() > until:
            for child in children:
                child.tell(signal.SIGKILL)
        for child in children:
            child.died()
        time.sleep(0.02)
