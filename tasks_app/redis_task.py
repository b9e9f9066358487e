"""A task as ``@task`` declares it for our backend: Django's, with our options (options/)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any, Self

from django.utils.module_loading import import_string

from .call import Call
from .compat import Task, TaskResult
from .options.backoff import Backoff, Declared
from .options.dependence import ids_of
from .options.limits import Per
from .options.table import OPTIONS
from .options.unique import Unique


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisTask(Task):
    """Django's Task and our options; None leaves each to the project's ``DTPS`` setting."""

    max_attempts: int | None = None  # executions, the first one included
    backoff: float | Sequence[float] | Backoff | Declared | None = None  # before a retry
    retry_on: Sequence[type[BaseException] | str] | None = None  # after others there is none
    give_up_on: Sequence[type[BaseException] | str] | None = None  # no retry after these
    timeout: float | None = None  # seconds that an attempt may take; 0: no bound
    deadline: datetime | timedelta | float | None = None  # due then, or so long after the submit
    expires: datetime | timedelta | float | None = None  # begun by then, or never run
    tags: Sequence[str] | None = None
    unique: bool | Sequence[str] | Unique | None = None  # at most one task of a key
    debounce: timedelta | float | None = None  # how long a newer one may replace it
    debounce_most: timedelta | float | None = None  # how long it can be put off by that
    idempotency_key: str | None = None  # of one submit: see ``using``
    rate: str | None = None  # most starts in some time, "10/s"; "": no bound
    concurrency: int | None = None  # most at once, on all workers; 0: no bound
    per: Per | None = None  # whose limits they are: names of arguments, "{tenant}", a callable
    limit_key: str | None = None  # a name for limits that several types share
    sensitive: bool | Sequence[str] | None = None  # arguments to hide; "return"; True: all
    depends_on: Any = None  # of one submit: tasks that it waits for, ids or results; see ``using``
    if_parent_fails: str | None = None  # "cancel", or "run" all the same
    takes_results: bool | None = None  # of the tasks that it waits for, as first argument

    def __post_init__(self) -> None:
        for name in OPTIONS:
            if isinstance(value := getattr(self, name), list):  # a task has to be hashable
                object.__setattr__(self, name, tuple(value))
        Task.__post_init__(self)

    def using(self, **changes: Any) -> Self:
        """A task with other options. None means unchanged, here as in Django."""
        ours = {n: changes.pop(n) for n in OPTIONS if n in changes}
        ours = {name: value for name, value in ours.items() if value is not None}
        if "depends_on" in ours:
            ours["depends_on"] = ids_of(ours["depends_on"])
        # Not super(): a dataclass with slots is not the class that this method was compiled in.
        changed = Task.using(self, **changes)
        return replace(changed, **ours) if ours else changed

    def enqueue_many(self, calls: Iterable[Sequence[Any] | Mapping[str, Any]]) -> list[TaskResult]:
        """Enqueue it many times, all or none: see ``RedisBackend.enqueue_many``.

        A call is a list of positional arguments, or a dict of keyword arguments.
        """
        return self.get_backend().enqueue_many((self, *_arguments(call)) for call in calls)

    async def aenqueue_many(
        self, calls: Iterable[Sequence[Any] | Mapping[str, Any]]
    ) -> list[TaskResult]:
        return await self.get_backend().aenqueue_many([(self, *_arguments(call)) for call in calls])

    def part(self, *args: Any, **kwargs: Any) -> Call:
        """This task with these arguments, as a part of a workflow: see workflows/parts.py."""
        return Call(self, args, kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        # By its path: a function pickles by name, and that name is the task's.
        options = {
            field.name: getattr(self, field.name) for field in fields(self) if field.name != "func"
        }
        return _restored, (self.module_path, options)


def _arguments(call: Sequence[Any] | Mapping[str, Any]) -> tuple[Sequence, Mapping]:
    if isinstance(call, Mapping):
        return (), call
    if isinstance(call, list | tuple):
        return call, {}
    raise TypeError(f"A call is a list of arguments, or a dict of named ones, not {call!r:.50}.")


def _restored(path: str, options: dict[str, Any]) -> RedisTask:
    declared = import_string(path)
    if not isinstance(declared, Task):
        raise ValueError(f"{path} is not a task.")
    return RedisTask(func=declared.func, **options)
