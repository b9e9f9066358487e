"""The task types: what the installed apps' ``tasks`` modules declare, by name."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from django.apps import apps
from django.core.signals import setting_changed
from django.utils.module_loading import import_string, module_has_submodule

from .compat import Task
from .exceptions import UnknownTaskType

OURS = f"{__package__}.tasks"  # its types go by their short names
LONGEST_NAME = 255  # what the history has room for


@dataclass(frozen=True, slots=True)
class TaskType:
    """A registered function; None where its declaration leaves an option to the settings."""

    name: str  # what the API shows and a message carries
    task: Task
    doc: str = ""  # first line of its docstring
    queue: str = "default"
    priority: int = 0
    max_attempts: int | None = None
    backoff: float | None = None
    timeout: float | None = None
    is_async: bool = False

    @classmethod
    def of(cls, task: Task) -> "TaskType":
        doc = inspect.getdoc(task.func) or ""
        return cls(
            name=name_of(task),
            task=task,
            doc=doc.partition("\n")[0],
            queue=task.queue_name,
            priority=task.priority,
            # A task that was declared for another backend has no such options.
            max_attempts=getattr(task, "max_attempts", None),
            backoff=getattr(task, "backoff", None),
            timeout=getattr(task, "timeout", None),
            is_async=inspect.iscoroutinefunction(task.func),
        )


def name_of(task: Task) -> str:
    """A task's name: short for those that we bring, the dotted path for all others."""
    path = task.module_path
    module, _, function = path.rpartition(".")
    return function if module == OURS else path


@cache
def task_types() -> dict[str, TaskType]:
    """Every task type by name. Imports the installed apps' ``tasks`` modules once."""
    found = {name_of(task): TaskType.of(task) for task in _tasks() if not why_unknown(task)}
    return dict(sorted(found.items()))


def get(name: str) -> TaskType:
    """The type of exactly this name. Raise UnknownTaskType, with the nearest names first."""
    known = task_types()
    if isinstance(name, str) and name in known:
        return known[name]
    shown = str(name)[:100]
    near = get_close_matches(shown, known, n=3)
    names = ", ".join([*near, *(each for each in known if each not in near)])
    raise UnknownTaskType(f"There is no task type {shown!r}. Known are: {names}.")


def type_of(task: Task) -> TaskType | None:
    """The registered type that a task is of, whatever its options; None if there is none."""
    known = task_types().get(name_of(task))
    return known if known is not None and known.task.func is task.func else None


def unknown_tasks() -> dict[str, str]:
    """Tasks that a ``tasks`` module has, but no worker could find: path -> the reason."""
    return {task.module_path: reason for task in _tasks() if (reason := why_unknown(task))}


def why_unknown(task: Task) -> str:
    """Why a task that some module has cannot be found by its path; "" if it can."""
    if len(task.module_path) > LONGEST_NAME:
        return f"its path is longer than {LONGEST_NAME} characters"
    try:
        found = import_string(task.module_path)
    except ImportError as error:
        return str(error)
    is_same = isinstance(found, Task) and found.func is task.func
    return "" if is_same else f"{task.module_path} is something else than this task"


def _tasks() -> Iterator[Task]:
    for module in _modules():
        yield from (value for value in vars(module).values() if isinstance(value, Task))


def _modules() -> Iterator[ModuleType]:
    for app in apps.get_app_configs():
        if module_has_submodule(app.module, "tasks"):
            yield import_module(f"{app.name}.tasks")


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "INSTALLED_APPS":
        task_types.cache_clear()


setting_changed.connect(_forget)
