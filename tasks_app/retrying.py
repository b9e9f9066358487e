"""How long a failed task waits for its next attempt."""

from random import Random

from .conf import conf
from .message import TaskMessage

MOST_DOUBLINGS = 60  # 2 to this power of any pause is beyond every bound


def longest_pause_ms(message: TaskMessage, failures: int) -> int:
    """Milliseconds that the next attempt may have to wait at most."""
    doublings = max(0, min(failures - 1, MOST_DOUBLINGS))
    return int(min(message.backoff * 2**doublings, conf().backoff_max_seconds) * 1000)


def next_pause_ms(message: TaskMessage, failures: int, rng: Random) -> int:
    """Milliseconds until the next attempt, after ``failures`` failures (at least one).

    Exponential with full jitter: anything from nothing to the doubled pause, so that tasks which
    failed together do not come back together.
    """
    return int(rng.uniform(0, longest_pause_ms(message, failures)))
