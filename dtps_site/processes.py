"""The processes that ``manage.py up`` looks after."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workers_app.agent.forked import Forked

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
    process: Forked | None = None  # while it runs
    code: int | None = None  # of the last one that has ended
    failures: int = 0  # quick deaths in a row
    started_at: float = 0.0
    again_at: float = 0.0

    @property
    def pid(self) -> int:
        return self.process.pid if self.process else 0

    def start(self) -> None:
        self.started_at = time.monotonic()
        self.process = Forked(f"dtps {self.name}", self.work, self.log)

    def died(self) -> bool:
        """Whether it has ended since the last look, although nobody told it to."""
        if self.process is None or self.process.poll() is None:
            return False
        self.code, self.process = self.process.code, None
        if self.code == 0:
            self.is_wanted = False
        return self.is_wanted

    def plan_again(self) -> float:
        """Decide when to start it again; return the pause in seconds."""
        now = time.monotonic()
        self.failures = self.failures + 1 if now - self.started_at < QUICK_SECONDS else 1
        pause = min(0.5 * 2 ** (self.failures - 1), LONGEST_PAUSE)
        self.again_at = now + pause
        return pause

    def is_due(self) -> bool:
        return self.is_wanted and self.process is None and time.monotonic() >= self.again_at

    def tell(self, number: int) -> None:
        if self.process is not None:
            self.process.tell(number)

    def how_it_died(self) -> str:
        """How the last one that has ended did, in words."""
        if self.code is not None and self.code < 0:
            return f"killed by signal {-self.code}"
        return f"exit code {self.code}"

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
    tell_all(children, signal.SIGTERM)
    while True:
        for child in children:
            child.is_wanted = False
            child.died()
        if not any(child.process for child in children):
            return
        if len(asked) > hurried:
            hurried = len(asked)
            tell_all(children, signal.SIGTERM)
        if time.monotonic() > until:
            tell_all(children, signal.SIGKILL)
        time.sleep(0.02)


def tell_all(children: list[Child], number: int) -> None:
    for child in children:
        child.tell(number)
