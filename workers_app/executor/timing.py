"""How much to claim at once, and how long to wait: numbers in, numbers out."""

from math import ceil
from random import Random

MOST_A_SLICE = (
    100  # tasks: a bigger slice gains nothing, and more would come back from a dead child
)
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 3.0  # seconds between two tries to reach Redis
LONGEST_RESPAWN = 30.0  # seconds before a child that keeps dying is replaced
LONGEST_LIMIT = 2**53  # ms; of an attempt, longer ones count as that


class Mean:
    """The recent mean duration of a task; what is new counts as much as all that is old."""

    def __init__(self, seconds: float):
        self.seconds = seconds

    def add(self, seconds: float, tasks: int) -> None:
        """Take in ``tasks`` tasks that took ``seconds`` together."""
        if tasks:
            self.seconds += (seconds / tasks - self.seconds) / 2


def tasks_worth(seconds: float, mean_seconds: float) -> int:
    """How many tasks of a mean duration make up some time: at least 1, at most a slice."""
    if mean_seconds * MOST_A_SLICE <= seconds:
        return MOST_A_SLICE
    return max(1, int(seconds / mean_seconds))


def limit_ms(seconds: float) -> int:
    """A time limit in whole milliseconds; at least one of them, since 0 would be none."""
    return max(1, ceil(min(seconds * 1000, LONGEST_LIMIT)))


def pause_before_try(failures: int, rng: Random) -> float:
    """Seconds to wait after so many failures in a row; random, so that not all come at once."""
    longest = min(FIRST_PAUSE * 2 ** min(failures, 10), LONGEST_PAUSE)
    return rng.uniform(longest / 2, longest)


def pause_before_respawn(quick_deaths: int) -> float:
    """Seconds before a child is replaced, after so many that died at once."""
    return min(0.1 * 2 ** min(quick_deaths - 1, 10), LONGEST_RESPAWN) if quick_deaths else 0.0
