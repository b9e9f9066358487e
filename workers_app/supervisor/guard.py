"""The guard: a tiny process that ends a worker's executors before the worker's lease ends.

Others may run the same tasks from then on. The record does not depend on it, since the token guards
that; effects outside do. It also clears up after a supervisor that was killed. It talks to nobody:
all that it knows stands in memory that it shares with the supervisor.
"""

import mmap
import select

from ..control import MOST_SLOTS
from ..executor.clock import boottime_ns
from .family import end_families, end_orphan

SHARE = 0.95  # of the lease, after which the executors are ended
LOOK_SECONDS = 1.0  # between two looks at the longest: a machine that slept counts that time too
AGAIN_SECONDS = 0.25  # between two looks while the lease is over

_PLACES = 2 * MOST_SLOTS  # executors, those that are leaving among them


class Watch:
    """What the supervisor tells the guard, and the guard the supervisor."""

    def __init__(self) -> None:
        self._cells = memoryview(mmap.mmap(-1, 8 * (1 + 2 * _PLACES))).cast("q")

    # --- by the supervisor ---

    def renewed(self, at_ns: int) -> None:
        """Note when the lease was renewed last."""
        self._cells[0] = at_ns

    def add(self, pid: int) -> int:
        """Watch over an executor. Return its place; -1 if there is none left."""
        for place in range(_PLACES):
            if self._cells[1 + 2 * place] == 0:
                self._cells[2 + 2 * place] = 0
                self._cells[1 + 2 * place] = pid
                return place
        return -1

    def remove(self, place: int) -> None:
        """Forget an executor that is gone."""
        if place >= 0:
            self._cells[1 + 2 * place] = 0

    def was_ended(self, place: int) -> bool:
        """Whether the guard has ended an executor."""
        return place >= 0 and self._cells[2 + 2 * place] != 0

    # --- by both ---

    def seconds_left(self, seconds: float) -> float:
        """How much is left of so many seconds since the last renewal."""
        renewed = self._cells[0]
        return seconds - (boottime_ns() - renewed) / 1e9 if renewed else seconds

    # --- by the guard ---

    def end_executors(self) -> None:
        """End those that are not ended yet, with all that they have started."""
        places = [p for p in range(_PLACES) if self._cells[1 + 2 * p] and not self.was_ended(p)]
        for place in places:
            self._cells[2 + 2 * place] = 1  # first, so that the supervisor knows why they died
        end_families(self._cells[1 + 2 * place] for place in places)

    def end_orphans(self, title: str) -> None:
        """The supervisor is gone: end its executors, if they are still there, or what they left."""
        for place in range(_PLACES):
            if pid := self._cells[1 + 2 * place]:
                end_orphan(pid, title)


def keep_watch(
    watch: Watch, lifeline: int, title: str, lease_seconds: float, *, is_strict: bool
) -> None:
    """Be the guard, until the supervisor is gone. If ``is_strict``, a lost lease ends executors.

    ``title`` is what the titles of the executors begin with.
    """
    poll = select.poll()
    poll.register(lifeline, select.POLLIN)
    while True:
        left = watch.seconds_left(SHARE * lease_seconds)
        if left <= 0 and is_strict:
            watch.end_executors()
        pause = AGAIN_SECONDS if left <= 0 else min(left, LOOK_SECONDS)
        if poll.poll(max(1, int(pause * 1000))):
            watch.end_orphans(title)
            return
