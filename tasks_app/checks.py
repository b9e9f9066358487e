"""Mistakes in the settings, told by ``manage.py check``; none of this asks Redis."""

from pathlib import Path
from typing import Any

from django.core.checks import CheckMessage, Error, Warning, register
from django.core.checks.registry import registry
from django.core.exceptions import ImproperlyConfigured

from .backends import RedisBackend
from .compat import task_backends
from .conf import Conf, conf
from .registry import unknown_tasks
from .schedules.declared import declared

ASKS_EACH_BACKEND = ("django.tasks.checks", "django_tasks.checks")  # Django 6, and the package
SCHEMES = ("redis://", "rediss://", "unix://")


@register()
def check_conf(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """The ``DTPS`` setting."""
    try:
        options = conf()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="tasks.E001")]
    return [*_wrong_address(options), *_useless_options(options)]


def _wrong_address(options: Conf) -> list[CheckMessage]:
    if options.redis_url.startswith(SCHEMES):
        return []
    return [
        Error(
            "DTPS['REDIS_URL'] is no address of a Redis server.",
            hint=f"It must begin with {', '.join(SCHEMES)}.",
            id="tasks.E002",
        )
    ]


def _useless_options(options: Conf) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if options.files_root and not Path(options.files_root).is_dir():
        found.append(
            Warning(
                "DTPS['FILES_ROOT'] is not a directory.",
                hint="Create it, or leave the option empty: then no task type reads files.",
                id="tasks.W001",
            )
        )
    if options.backoff_seconds > options.backoff_max_seconds:
        found.append(
            Warning(
                "DTPS['BACKOFF_SECONDS'] is more than BACKOFF_MAX_SECONDS.",
                hint="No pause is ever longer than the latter: raise it, or lower the former.",
                id="tasks.W002",
            )
        )
    return found


@register()
def check_backends(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """The ``TASKS`` setting."""
    ours = [b for b in task_backends.all() if isinstance(b, RedisBackend)]
    if not ours:
        return [
            Warning(
                "No backend in TASKS is ours: what Python code enqueues reaches no worker.",
                hint='TASKS = {"default": {"BACKEND": "tasks_app.backends.RedisBackend"}}',
                id="tasks.W003",
            )
        ]
    if any(check.__module__ in ASKS_EACH_BACKEND for check in registry.get_checks()):
        return []  # each is asked already
    return [message for backend in ours for message in backend.check()]


@register()
def check_tasks(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Tasks that were declared, but cannot be enqueued."""
    return [
        Warning(
            f"No worker could find the task {path}: {reason}.",
            hint="Declare it with @task, under the name of its function.",
            id="tasks.W005",
        )
        for path, reason in unknown_tasks().items()
    ]


@register()
def check_schedules(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Schedules that code or settings declare, but that cannot be fired."""
    try:
        _, wrong = declared()
    except ImproperlyConfigured:  # which is said above
        return []
    return [
        Error(
            f"{sentence[0].upper()}{sentence[1:]}",
            hint="Until it is put right there is no such schedule.",
            id="tasks.E006",
        )
        for sentence in wrong
    ]
