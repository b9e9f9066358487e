"""One attempt: a claimed task in, its outcome out. Whatever the task does, there is one."""

import logging
from collections.abc import Callable
from contextvars import Context
from inspect import getfile
from time import thread_time
from typing import Any

from asgiref.sync import sync_to_async
from django.db import DatabaseError
from msgspec.structs import replace
from redis.exceptions import RedisError

from tasks_app.broker.answers import Settlement
from tasks_app.compat import TaskResult, signals
from tasks_app.context import enter
from tasks_app.exceptions import (
    KeyMissing,
    QueueUnavailable,
    SealBroken,
    TaskSnoozed,
    UnknownTaskType,
)
from tasks_app.listening import is_heard
from tasks_app.message import now_us
from tasks_app.registry import TaskType, resolve, task_types
from tasks_app.results import running_result
from tasks_app.secrecy.sensitive import opened_call
from tasks_app.workflows.parents import results_for

from .database import tidy
from .ending import Begun, Ending, Later, tell_of
from .interrupts import Interrupts
from .job import Job
from .notebook import Notebook
from .page import Page
from .turned_away import back, given_up, put_off, unknown_type

logger = logging.getLogger(__name__)

RESULTS_AGAIN_SECONDS = 2.0  # until a task is tried again whose parents cannot be looked up

OWN_FILES = (__file__, getfile(Interrupts))  # whose frames are of no interest to users


class Runner:
    """Runs the tasks of one executor, from any of its threads."""

    ending: type[Ending] = Ending

    def __init__(self, worker: str, interrupts: Interrupts, notebook: Notebook):
        self.worker = worker
        self.interrupts = interrupts
        self.notebook = notebook
        self.ahead_us = 0  # the server's clock against ours
        self._ending = self.ending(worker, interrupts, OWN_FILES)
        self.begin_slice(now_us() // 1000)
        self._types = task_types()

    def begin_slice(self, server_ms: int) -> None:
        """Compare the clocks by a moment that the server has just said; see who listens."""
        self.ahead_us = server_ms * 1000 - now_us()
        self._hears_start = is_heard(signals.task_started)
        self._ending.begin_slice()

    def type_of(self, name: str) -> TaskType | None:
        """The type of a claimed task; None if it is not installed here."""
        known = self._types.get(name)
        if known is not None:
            return known
        try:
            return resolve(name)
        except UnknownTaskType:
            return None

    def run(self, job: Job) -> Settlement | None:
        """Run a sync task, in a context of its own, and put its database connections in order.

        Return None if it was cancelled meanwhile.
        """
        job, unfit = self._readied(job)
        if unfit is not None:
            return unfit
        try:
            return Context().run(self._attempt, job)
        finally:
            tidy()

    async def arun(self, job: Job) -> Settlement | None:
        """Run a coroutine task, with the same outcome."""
        job, unfit = self._readied(job)
        if unfit is not None:
            return unfit
        begun = Begun(now_us(), 0.0)
        page, later = Page(self, job, begun.at_us), Later()
        try:
            function, args = await self._acall(job, page)
            enter(page)
            try:
                coroutine = function(*args, **job.message.kwargs)
                value = await self.interrupts.acall(job, coroutine)
            finally:
                enter(None)
                page.is_over = True
            settlement = self._ending.returned(job, begun, value, later)
        except BaseException as error:  # noqa: BLE001 (SystemExit too is a failure of the task)
            settlement = self._ending.raised(job, begun, error, later)
        await later.send()
        return settlement

    def _attempt(self, job: Job) -> Settlement | None:
        begun = Begun(now_us(), thread_time())
        page = Page(self, job, begun.at_us)
        try:
            function, args = self._call(job, page)
            enter(page)
            try:
                value = self.interrupts.call(job, function, args, job.message.kwargs)
            finally:
                enter(None)
                page.is_over = True
            return self._ending.returned(job, begun, value, tell_of)
        except BaseException as error:  # noqa: BLE001 (SystemExit too is a failure of the task)
            return self._ending.raised(job, begun, error, tell_of)

    # --- before ---

    def _readied(self, job: Job) -> tuple[Job, Settlement | None]:
        """The job with all its arguments; or why it is not to be started here."""
        if job.message.has_parents:
            job = job._replace(secrets=[])
        unfit = self._unfit(job)
        if unfit is None and job.message.sealed:
            return self._opened(job)
        return job, unfit

    def _unfit(self, job: Job) -> Settlement | None:
        """Why a task is not to be started: it goes back, and nothing is counted."""
        if job.type is None:
            return put_off(job, self.worker, unknown_type(job.message.type))
        expires_us = job.message.expires_us
        if expires_us and now_us() + self.ahead_us >= expires_us:
            return back(job)  # the next claim expires it
        return None

    def _opened(self, job: Job) -> tuple[Job, Settlement | None]:
        """With its sensitive arguments; or why these cannot be had here."""
        try:
            args, kwargs = opened_call(job.message)
        except KeyMissing as error:
            return job, put_off(job, self.worker, error)
        except SealBroken as error:  # and no other worker could do better
            return job, given_up(job, self.worker, error)
        message = replace(job.message, args=args, kwargs=kwargs, sealed="")
        return job._replace(message=message), None

    def _call(self, job: Job, page: Page) -> tuple[Callable[..., Any], list[Any]]:
        """The function and its positional arguments; says that the task has started."""
        task, message = job.type.task, job.message
        if self._hears_start:
            tell_of(signals.task_started, lambda: page.result)
        args = message.args
        if message.takes_results and message.has_parents:
            args = [_results_for(job), *args]
        if not task.takes_context:
            return task.func, args
        return task.func, [page.context, *args]

    async def _acall(self, job: Job, page: Page) -> tuple[Callable[..., Any], list[Any]]:
        """The same for a coroutine; who is told, and what it waited for, are not on its loop."""
        if self._hears_start:  # a receiver may use the database
            return await sync_to_async(self._call)(job, page)
        if job.message.takes_results and job.message.has_parents:
            return await sync_to_async(self._call, thread_sensitive=False)(job, page)
        return self._call(job, page)

    def result_of(self, job: Job, started_us: int) -> TaskResult:
        """What an attempt that has begun is told of its task."""
        number = job.state.starts + 1
        return running_result(
            job.message, job.state, number, self.worker, started_us, job.type.task
        )


def _results_for(job: Job) -> Any:
    """What the tasks returned that this one waited for. While that cannot be had, it pauses."""
    try:
        return results_for(job.message, job.secrets)
    except (QueueUnavailable, RedisError, DatabaseError, KeyMissing) as error:
        logger.warning("event=results_away task=%s error=%s", job.message.id, error)
        raise TaskSnoozed(RESULTS_AGAIN_SECONDS) from error
