"""What the benchmarks run: nothing, and a look at the clock."""

import os
import time
from pathlib import Path
from typing import Any

from tasks_app.compat import task

PAUSE_SECONDS = 0.01


@task
def noop(payload: Any = None) -> None:
    """Do nothing."""


@task
def clock() -> int:
    """When this ran: nanoseconds of the clock that all processes of a machine share."""
    return time.monotonic_ns()


@task
def pause(tenant: str) -> None:
    """Take a while for somebody."""
    time.sleep(PAUSE_SECONDS)


@task
def stamp(path: str) -> None:
    """Write down the process and the moment; the first time, wait there to be killed."""
    with Path(path).open("a+") as file:
        file.write(f"{os.getpid()} {time.monotonic_ns()}\n")
        file.flush()
        file.seek(0)
        is_first = len(file.readlines()) == 1
    if is_first:
        time.sleep(60)
