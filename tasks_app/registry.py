"""The task types: what the installed apps' ``tasks`` modules declare, by name.

Django allows a task in any module. One that stands elsewhere, in an app or in none, is run too
when Python code enqueues it; but only what a ``tasks`` module has is listed, and can be submitted
by name.
"""

import inspect
import logging
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache, lru_cache
from importlib import import_module
from types import MappingProxyType, ModuleType
from typing import Any

from django.apps import apps
from django.core.signals import setting_changed
from django.utils.module_loading import import_string, module_has_submodule

from .compat import Task
from .exceptions import UnknownTaskType
from .options.table import declared_by

OURS = f"{__package__}.tasks"  # its types go by their short names
LONGEST_NAME = 255  # what the history has room for

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TaskType:
    """A registered function; None where its declaration leaves an option to the settings."""

    name: str  # what the API shows and a message carries
    task: Task
    doc: str = ""  # first line of its docstring
    queue: str = "default"
    priority: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)  # of options/, as far as declared
    is_async: bool = False

    @property
    def max_attempts(self) -> int | None:
        return self.options.get("max_attempts")

    @property
    def timeout(self) -> float | None:
        return self.options.get("timeout")

    @classmethod
    def of(cls, task: Task) -> "TaskType":
        doc = inspect.getdoc(task.func) or ""
        return cls(
            name=name_of(task),
            task=task,
            doc=doc.partition("\n")[0],
            queue=task.queue_name,
            priority=task.priority,
            options=MappingProxyType(declared_by(task)),
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


def resolve(name: str) -> TaskType:
    """The type of a task in the queue, whose name some code has vouched for when it enqueued it.

    Imports its module if it must: so never ask it for a name that came over the network.
    Raise UnknownTaskType.
    """
    return task_types().get(name) or _elsewhere(name) or get(name)


def type_of(task: Task) -> TaskType | None:
    """The type that a task is of, whatever its options; None if no worker could find it."""
    name = name_of(task)
    known = task_types().get(name) or _elsewhere(name)
    return known if known is not None and known.task.func is task.func else None


def stands_elsewhere(name: str) -> bool:
    """Whether a task in the queue is of a type that no list has, and workers find all the same."""
    return name not in task_types() and _elsewhere(name) is not None


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


@lru_cache(maxsize=1000)
def _elsewhere(name: str) -> TaskType | None:
    """A type that stands outside of the apps' ``tasks`` modules."""
    module, _, _ = name.rpartition(".")
    if not _may_have_tasks(module):
        return None
    try:
        found = import_string(name)
    except ImportError as error:  # most often older code that lacks it
        logger.warning("event=import_failed task_type=%s error=%s", name, error)
        return None
    except Exception:
        logger.warning("event=import_failed task_type=%s", name, exc_info=True)
        return None
    return TaskType.of(found) if isinstance(found, Task) and name_of(found) == name else None


def _may_have_tasks(module: str) -> bool:
    """Not Python's own modules, nor programs: some do what they do as soon as they are imported."""
    parts = module.split(".")
    return bool(module) and parts[0] not in sys.stdlib_module_names and "__main__" not in parts


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
        _elsewhere.cache_clear()


setting_changed.connect(_forget)
