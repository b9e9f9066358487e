"""A clock that goes on while the machine sleeps, and that all processes of a host share."""

import time
from functools import partial

boottime_ns = partial(
    time.clock_gettime_ns, getattr(time, "CLOCK_BOOTTIME", None) or time.CLOCK_MONOTONIC
)
