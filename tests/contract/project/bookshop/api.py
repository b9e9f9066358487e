"""Django's tasks, wherever this Django has them. Nothing else of them is used here."""

from django import VERSION

if VERSION >= (6,):
    from django.tasks import (
        TaskResultStatus,
        default_task_backend,
        exceptions,
        signals,
        task,
        task_backends,
    )

    InvalidTask = exceptions.InvalidTask
    InvalidTaskBackend = exceptions.InvalidTaskBackend
else:
    from django_tasks import (
        TaskResultStatus,
        default_task_backend,
        exceptions,
        signals,
        task,
        task_backends,
    )

    InvalidTask = exceptions.InvalidTaskError
    InvalidTaskBackend = exceptions.InvalidTaskBackendError

TaskResultDoesNotExist = exceptions.TaskResultDoesNotExist
TaskResultMismatch = exceptions.TaskResultMismatch

__all__ = [
    "InvalidTask",
    "InvalidTaskBackend",
    "TaskResultDoesNotExist",
    "TaskResultMismatch",
    "TaskResultStatus",
    "default_task_backend",
    "signals",
    "task",
    "task_backends",
]
