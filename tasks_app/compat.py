"""The one place that knows where Django's tasks live: in Django 6, or in a package before it."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from django import VERSION

from .options.table import OPTIONS

if VERSION >= (6,):
    from django.tasks import (
        DEFAULT_TASK_BACKEND_ALIAS,
        DEFAULT_TASK_QUEUE_NAME,
        TaskContext,
        TaskResult,
        TaskResultStatus,
        signals,
        task_backends,
    )
    from django.tasks.backends.base import BaseTaskBackend
    from django.tasks.base import Task, TaskError
    from django.tasks.exceptions import (
        InvalidTask,
        InvalidTaskBackend,
        TaskException,
        TaskResultDoesNotExist,
        TaskResultMismatch,
    )
else:
    from django_tasks import (
        DEFAULT_TASK_BACKEND_ALIAS,
        DEFAULT_TASK_QUEUE_NAME,
        TaskContext,
        TaskResult,
        TaskResultStatus,
        signals,
        task_backends,
    )
    from django_tasks.backends.base import BaseTaskBackend
    from django_tasks.base import Task, TaskError
    from django_tasks.exceptions import InvalidTaskBackendError as InvalidTaskBackend
    from django_tasks.exceptions import InvalidTaskError as InvalidTask
    from django_tasks.exceptions import (
        TaskException,
        TaskResultDoesNotExist,
        TaskResultMismatch,
    )

__all__ = [
    "BaseTaskBackend",
    "InvalidTask",
    "InvalidTaskBackend",
    "Task",
    "TaskContext",
    "TaskError",
    "TaskException",
    "TaskResult",
    "TaskResultDoesNotExist",
    "TaskResultMismatch",
    "TaskResultStatus",
    "signals",
    "task",
    "task_backends",
]


def task(
    function: Callable[..., Any] | None = None,
    *,
    priority: int = 0,
    queue_name: str = DEFAULT_TASK_QUEUE_NAME,
    backend: str = DEFAULT_TASK_BACKEND_ALIAS,
    takes_context: bool = False,
    **options: Any,
) -> Any:
    """Declare a task, as Django's ``@task`` does, with the options of options/table.py.

    Django 6.0 knows no other keywords than its own; this decorator takes ours on every version.
    A backend that has no use for one (Django's immediate and dummy ones, in tests) is spared it.
    Raise TypeError for an option that does not exist.
    """
    if unknown := options.keys() - OPTIONS.keys():
        raise TypeError(f"task() has no option {min(unknown)!r}; there are {', '.join(OPTIONS)}.")

    def declare(function: Callable[..., Any]) -> Task:
        task_class = task_backends[backend].task_class
        names = {field.name for field in fields(task_class)}
        return task_class(
            func=function,
            priority=priority,
            queue_name=queue_name,
            backend=backend,
            takes_context=takes_context,
            run_after=None,
            **{name: value for name, value in options.items() if name in names},
        )

    return declare(function) if function else declare
