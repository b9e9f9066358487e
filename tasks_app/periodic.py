"""``@periodic``: a task that is submitted by a schedule, said where the task is declared.

    @periodic("*/5 * * * *", timezone="Europe/Zurich")
    @task
    def tidy(): ...

Above or below ``@task``, and as often as there are schedules. The coordinator makes rows of them:
see schedules/declared.py.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from .compat import Task
from .options.table import OPTIONS

ATTRIBUTE = "dtps_periodic"  # of the function

Declared = TypeVar("Declared", bound=Callable[..., Any] | Task)


class Periodic(NamedTuple):
    """One schedule, as it was written; what of it is wrong ``manage.py check`` tells."""

    cron: str
    every: float | timedelta | None
    timezone: str | None
    name: str | None
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    queue: str | None
    priority: int | None
    starts: datetime | str | None
    ends: datetime | str | None
    catch_up: str
    catch_up_most: int
    overlap: str
    enabled: bool
    options: Mapping[str, Any]


def periodic(
    cron: str = "",
    *,
    every: float | timedelta | None = None,
    timezone: str | None = None,
    name: str | None = None,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    queue: str | None = None,
    priority: int | None = None,
    starts: datetime | str | None = None,
    ends: datetime | str | None = None,
    catch_up: str = "last",
    catch_up_most: int = 100,
    overlap: str = "allow",
    enabled: bool = True,
    **options: Any,
) -> Callable[[Declared], Declared]:
    """Submit a task whenever ``cron`` is due, or ``every`` so many seconds.

    ``timezone`` is that of the expression, the project's if None; ``name`` is unique, that of the
    task type if None. ``catch_up`` is "none", "last" or "all", ``overlap`` "allow", "skip" or
    "cancel". ``enabled`` counts until an operator says otherwise. The options are those of
    ``@task``. Raise TypeError for an option that does not exist.
    """
    if unknown := options.keys() - OPTIONS.keys():
        raise TypeError(f"periodic() has no option {min(unknown)!r}.")
    said = Periodic(
        cron, every, timezone, name, args, kwargs or {}, queue, priority, starts, ends,
        catch_up, catch_up_most, overlap, enabled, options,
    )  # fmt: skip

    def declare(declared: Declared) -> Declared:
        function = declared.func if isinstance(declared, Task) else declared
        # The lowest decorator comes first; one reads them from above.
        setattr(function, ATTRIBUTE, (said, *periodics_of(function)))
        return declared

    return declare


def periodics_of(function: Callable[..., Any]) -> tuple[Periodic, ...]:
    """What was declared for a function."""
    return getattr(function, ATTRIBUTE, ())
