"""Where coroutine tasks run: one event loop in a thread of its own, many tasks at once."""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context

from asgiref.sync import sync_to_async

from .database import is_used, tidy
from .job import Job

MOST_COROUTINES = 100  # at once, in one executor


class Coroutines:
    """Runs ``work(job)`` for each job that is handed over; what is too much waits."""

    def __init__(self, work: Callable[[Job], Awaitable[None]], freed: threading.Event):
        self._work = work
        self._freed = freed  # set when there is room again
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task] = set()  # the loop itself holds them weakly only
        self._waiting: deque[Job] = deque()
        self._lock = threading.Lock()
        self.load = 0  # jobs handed over and not done

    @property
    def room(self) -> int:
        return max(0, MOST_COROUTINES - self.load)

    @property
    def waiting(self) -> int:
        """How many jobs have to wait until others have ended."""
        return max(0, self.load - MOST_COROUTINES)

    def give(self, jobs: list[Job]) -> None:
        """Start some jobs."""
        if self._loop is None:
            self._start()
        with self._lock:
            self.load += len(jobs)
        self._loop.call_soon_threadsafe(self._begin, jobs)

    def _start(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="coroutines", daemon=True).start()

    def _begin(self, jobs: list[Job]) -> None:
        self._waiting.extend(jobs)
        while self._waiting and len(self._tasks) < MOST_COROUTINES:
            job = self._waiting.popleft()
            task = self._loop.create_task(self._run(job), context=Context())
            self._tasks.add(task)
            task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task) -> None:
        self._tasks.discard(task)
        self._begin([])

    async def tidy(self) -> None:
        """Put the database connections in order, if any of the tasks ever opened one."""
        if is_used():  # the ORM's calls all run in the thread that this one runs in
            await sync_to_async(tidy)()

    async def _run(self, job: Job) -> None:
        try:
            await self._work(job)
        finally:
            with self._lock:
                self.load -= 1
            self._freed.set()
