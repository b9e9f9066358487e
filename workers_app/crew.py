"""The threads of an executor that has more than one slot for sync tasks."""

import threading
from collections.abc import Callable
from queue import SimpleQueue

from .job import Job


class Crew:
    """Runs ``work(job)`` for each job that is handed over, on a fixed number of threads."""

    def __init__(self, threads: int, work: Callable[[Job], None], freed: threading.Event):
        self.threads = threads
        self.load = 0  # jobs handed over and not done
        self.low = threads - 1  # the load at which `freed` is set: there is room for more
        self._freed = freed
        self._work = work
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._lock = threading.Lock()
        for number in range(threads):
            threading.Thread(target=self._run, name=f"slot-{number}", daemon=True).start()

    def give(self, jobs: list[Job]) -> None:
        with self._lock:
            self.load += len(jobs)
        for job in jobs:
            self._jobs.put(job)

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                self._work(job)
            finally:
                with self._lock:
                    self.load -= 1
                if self.load <= self.low:
                    self._freed.set()
