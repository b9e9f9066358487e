"""The threads of an executor that runs its sync tasks beside its main thread."""

import threading
from collections.abc import Callable
from itertools import count
from queue import SimpleQueue

from .job import Job


class Crew:
    """Runs ``work(job)`` for each job that is handed over, on some threads."""

    def __init__(self, threads: int, work: Callable[[Job], None], freed: threading.Event):
        self.threads = 0
        self.load = 0  # jobs handed over and not done
        self.low = threads - 1  # the load at which `freed` is set: there is room for more
        self._freed = freed
        self._work = work
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()  # None: whoever gets it ends
        self._lock = threading.Lock()
        self._numbers = count()
        self.resize(threads)

    def resize(self, threads: int) -> None:
        """Have so many threads. One that is to end does so between two jobs."""
        for _ in range(threads - self.threads):
            name = f"slot-{next(self._numbers)}"
            threading.Thread(target=self._run, name=name, daemon=True).start()
        for _ in range(self.threads - threads):
            self._jobs.put(None)
        self.threads = threads
        self.low = threads - 1

    def give(self, jobs: list[Job]) -> None:
        with self._lock:
            self.load += len(jobs)
        for job in jobs:
            self._jobs.put(job)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                self._work(job)
            finally:
                with self._lock:
                    self.load -= 1
                if self.load <= self.low:
                    self._freed.set()
