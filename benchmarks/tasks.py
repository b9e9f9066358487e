"""What the benchmarks run: nothing, and a look at the clock."""

import time
from typing import Any

from tasks_app.compat import task


@task
def noop(payload: Any = None) -> None:
    """Do nothing."""


@task
def clock() -> int:
    """When this ran: nanoseconds of the clock that all processes of a machine share."""
    return time.monotonic_ns()
