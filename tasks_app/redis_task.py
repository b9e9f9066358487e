"""A task as ``@task`` declares it for our backend: Django's, with retries and a time limit."""

from dataclasses import dataclass, fields, replace
from typing import Any, Self

from django.utils.module_loading import import_string

from .compat import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisTask(Task):
    """Django's Task and three options; None leaves each to the project's ``DTPS`` setting."""

    max_attempts: int | None = None  # executions, the first one included
    backoff: float | None = None  # seconds before the first retry, doubled each time
    timeout: float | None = None  # seconds that an attempt may take; 0: no bound

    def using(
        self,
        *,
        max_attempts: int | None = None,
        backoff: float | None = None,
        timeout: float | None = None,
        **changes: Any,
    ) -> Self:
        """A task with other options. None means unchanged, here as in Django."""
        ours = {"max_attempts": max_attempts, "backoff": backoff, "timeout": timeout}
        ours = {name: value for name, value in ours.items() if value is not None}
        # Not super(): a dataclass with slots is not the class that this method was compiled in.
        changed = Task.using(self, **changes)
        return replace(changed, **ours) if ours else changed

    def __reduce__(self) -> tuple[Any, ...]:
        # By its path: a function pickles by name, and that name is the task's.
        options = {
            field.name: getattr(self, field.name) for field in fields(self) if field.name != "func"
        }
        return _restored, (self.module_path, options)


def _restored(path: str, options: dict[str, Any]) -> RedisTask:
    declared = import_string(path)
    if not isinstance(declared, Task):
        raise ValueError(f"{path} is not a task.")
    return RedisTask(func=declared.func, **options)
