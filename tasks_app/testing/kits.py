"""The kit: what a test has in its hands."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from asgiref.sync import sync_to_async

from ..compat import Task, TaskResult, TaskResultStatus
from ..lookup import find_many
from ..results import result_of
from . import namespace
from .clock import Clock, span_us, stopped
from .crashing import START, Crashes
from .drain import Drain, Schedules
from .enqueued import Wanted, complaint, listed, open_tasks


@contextmanager
def kit() -> Iterator["Kit"]:
    """A kit in a namespace of its own, which is emptied at the end."""
    with namespace.own():
        yield Kit()


class Kit:
    """Runs tasks in this process and tells what is enqueued. Made by ``kit()``."""

    def __init__(self) -> None:
        self._crashes = Crashes()
        self._clock: Clock | None = None
        self._schedules: Schedules | None = None

    # --- running ---

    def drain(
        self,
        queues: Collection[str] | None = None,
        *,
        most: int | None = None,
        check: bool = False,
    ) -> list[TaskResult]:
        """Run what is due until nothing is, as workers would, or up to ``most`` attempts.

        Return the tasks that were run, in their order, as they stand now. Raise AssertionError if
        one of them has failed for good and ``check`` is asked for; StillBusy if there is no end.
        """
        __tracebackhide__ = True
        return _checked(_results(self._drain(queues, most).ran), check)

    async def adrain(
        self,
        queues: Collection[str] | None = None,
        *,
        most: int | None = None,
        check: bool = False,
    ) -> list[TaskResult]:
        """The same, from an asynchronous test."""
        drain = sync_to_async(self.drain, thread_sensitive=True)
        return await drain(queues, most=most, check=check)

    def drain_for(
        self,
        delta: timedelta | float | None = None,
        *,
        queues: Collection[str] | None = None,
        check: bool = False,
        **parts: float,
    ) -> list[TaskResult]:
        """Let time pass, and run everything at its moment: delays, retries, slots of schedules.

        Needs ``frozen``; how long is said as to ``Clock.tick``.
        """
        __tracebackhide__ = True
        clock = self._must_stand()
        until_us = clock.us + span_us(delta, parts)
        ran: dict[str, None] = {}
        while True:
            drain = self._drain(queues, None)
            ran |= drain.ran
            if clock.us >= until_us:
                return _checked(_results(ran), check)
            clock.go_on(drain.next_us, until_us)

    def _drain(self, queues: Collection[str] | None, most: int | None) -> Drain:
        drain = Drain(self._crashes, self._schedules, queues, most)
        drain.run()
        return drain

    # --- looking ---

    def enqueued(
        self,
        task: Task | str | None = None,
        *,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        queue: str | None = None,
        priority: int | None = None,
    ) -> list[TaskResult]:
        """The tasks that are enqueued and not over, oldest first; also by an open transaction.

        ``task`` may be a task or its path. Arguments are compared as they were given.
        """
        wanted = Wanted(task, args, kwargs, queue, priority)
        return [result_of(stored) for stored in open_tasks() if wanted.matches(stored)]

    def assert_enqueued(
        self,
        task: Task | str,
        *,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        queue: str | None = None,
        priority: int | None = None,
        times: int | None = None,
    ) -> list[TaskResult]:
        """Fail if such a task is not enqueued, or not exactly so many ``times``. Return them."""
        __tracebackhide__ = True
        wanted, tasks = Wanted(task, args, kwargs, queue, priority), open_tasks()
        found = [stored for stored in tasks if wanted.matches(stored)]
        if len(found) != times if times is not None else not found:
            raise AssertionError(complaint(wanted, len(found), times, tasks))
        return [result_of(stored) for stored in found]

    def assert_nothing_enqueued(self) -> None:
        """Fail if any task is enqueued and not over."""
        __tracebackhide__ = True
        if tasks := open_tasks():
            raise AssertionError(f"Nothing should be enqueued.\n{listed(tasks)}")

    # --- time ---

    @contextmanager
    def frozen(
        self,
        when: datetime | str | None = None,
        *,
        schedules: bool | Collection[str] = True,
    ) -> Iterator[Clock]:
        """Stop the clock, by default now: of the server's scripts, our code, ``timezone.now()``.

        Each slot of a schedule after ``when`` is fired then, also of those that the code declares.
        ``schedules`` may name some; False is none, but for those that the test makes.
        """
        names = None if schedules is True else schedules or ()
        with stopped(when) as clock:
            self._clock, self._schedules = clock, Schedules(clock, names)
            try:
                yield clock
            finally:
                self._clock = self._schedules = None

    def _must_stand(self) -> Clock:
        if self._clock is None:
            raise RuntimeError("Only time that stands can be let pass: with dtps.frozen(): …")
        return self._clock

    # --- crashes ---

    def crash_next(self, task: Task | None = None, *, at: str = START, times: int = 1) -> None:
        """Lose the next attempts, of a task or of any, as by a killed worker.

        ``at`` the "start", after the next "checkpoint", or at the "finish", when all of it is done
        and nobody knows. The first crash of a task is re-run at once, by the same drain.
        """
        self._crashes.order(task, at, times)

    @contextmanager
    def crashing(self, task: Task | None = None, *, at: str = START) -> Iterator[None]:
        """Lose all attempts meanwhile; the third crash of a task is its last (``MAX_CRASHES``)."""
        crash = self._crashes.order(task, at, None)
        try:
            yield
        finally:
            self._crashes.withdraw(crash)


def _results(ids: Collection[str]) -> list[TaskResult]:
    found = find_many(ids)
    return [result_of(found[task_id]) for task_id in ids if task_id in found]


def _checked(results: list[TaskResult], check: bool) -> list[TaskResult]:
    __tracebackhide__ = True
    failed = [each for each in results if each.status == TaskResultStatus.FAILED] if check else []
    if failed:
        said = [_failure(each) for each in failed]
        raise AssertionError(f"{len(failed)} of {len(results)} tasks failed.\n" + "\n".join(said))
    return results


def _failure(result: TaskResult) -> str:
    why = result.errors[-1].traceback if result.errors else "without an error"
    return f"{result.task.module_path} {result.id}:\n{why}"
