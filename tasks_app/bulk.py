"""Many tasks in one call, of any types and aliases."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .compat import Task, TaskResult

Call = tuple[Task, Sequence[Any], Mapping[str, Any]]


def enqueue_many(calls: Iterable[Call]) -> list[TaskResult]:
    """Enqueue ``(task, args, kwargs)`` each; return the results in the order given.

    The tasks of one alias are stored all or none: see ``RedisBackend.enqueue_many``. Another's
    backend, such as Django's own ones for tests, gets them one by one.
    """
    calls = list(calls)
    of_alias: dict[str, list[int]] = {}
    for number, (task, _, _) in enumerate(calls):
        of_alias.setdefault(task.backend, []).append(number)
    results: dict[int, TaskResult] = {}
    for numbers in of_alias.values():
        found = _of_one_alias([calls[number] for number in numbers])
        results |= zip(numbers, found, strict=True)
    return [results[number] for number in range(len(calls))]


def _of_one_alias(calls: list[Call]) -> list[TaskResult]:
    backend = calls[0][0].get_backend()
    if hasattr(backend, "enqueue_many"):
        return backend.enqueue_many(calls)
    return [task.enqueue(*args, **kwargs) for task, args, kwargs in calls]
