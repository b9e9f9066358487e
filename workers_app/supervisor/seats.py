"""All executors of a worker: how many there are to be, who is there, who is leaving."""

import logging
import os
import time
from collections.abc import Iterator

from ..control import PoolConfig
from .child import Lifeline
from .crash import RETIRED
from .family import end_families
from .guard import Watch
from .pool import kind_of, layout, spread
from .seat import Child, Death, ExecutorSeat, bury

logger = logging.getLogger(__name__)

FILES_LEFT = 16  # that the supervisor keeps for itself, to reach Redis and to look at processes
LEAVE_SECONDS = 5.0  # for a retired child with nothing in hand to end, before it is killed


class Seats:
    """Fills the places, replaces who leaves, and grows or shrinks without ending what runs."""

    def __init__(self, worker: str, config: PoolConfig, watch: Watch):
        self.kind = kind_of(config)
        self.wanted = config.pool_size  # slots
        self.is_paused = False
        self._worker = worker
        self._config = config
        self._watch = watch
        self._leaving: list[Child] = []
        self._seats = [self._seat(n, threads) for n, threads in enumerate(layout(config))]

    def __iter__(self) -> Iterator[ExecutorSeat]:
        return iter(self._seats)

    def __len__(self) -> int:
        return len(self._seats)

    @property
    def seated(self) -> list[Child]:
        """Those that claim tasks."""
        return [seat.child for seat in self._seats if seat.child is not None]

    @property
    def leaving(self) -> list[Child]:
        """Those that only finish what they have."""
        return self._leaving

    @property
    def children(self) -> list[Child]:
        return [*self.seated, *self._leaving]

    @property
    def slots(self) -> int:
        return sum(seat.threads for seat in self._seats)

    @property
    def threads(self) -> int:
        """Of the place that has most of them."""
        return max((seat.threads for seat in self._seats), default=0)

    def next_free(self) -> float | None:
        """When an empty place may be taken; None if there is none to wait for."""
        if self.is_paused:
            return None
        return min((seat.free_at for seat in self._seats if seat.child is None), default=None)

    def fill(self, lifeline: Lifeline) -> Iterator[Child]:
        """Fork who is missing and may be forked again.

        Raise OSError if there is no room for another process now.
        """
        for seat in self._seats if not self.is_paused else ():
            if seat.child is None and seat.is_free:
                seat.take()
                check_room()
                child = seat.fill(lifeline, self.children)
                child.place = self._watch.add(child.pid)
                yield child

    def bury(self) -> list[Death]:
        """Who died since the last look."""
        found = [death for seat in self._seats if (death := seat.look())]
        for child in list(self._leaving):
            if death := bury(child):
                self._leaving.remove(child)
                found.append(death)
        return found

    # --- how many ---

    def resize(self, slots: int) -> None:
        """Have so many slots, as soon as that ends nothing that runs."""
        self.wanted = slots
        self.tick()

    def tick(self) -> None:
        """Come nearer to what is wanted: at once upwards, downwards as places fall idle."""
        plan = spread(self._config, self.kind, self.wanted)
        while len(self._seats) < len(plan):
            self._seats.append(self._seat(self._unused_number(), 1))
        surplus = len(self._seats) - len(plan)
        for seat in sorted(self._seats, key=lambda seat: -seat.number) if surplus else ():
            if surplus and (seat.child is None or not seat.child.is_busy):
                self._remove(seat)
                surplus -= 1
        for seat, threads in zip(self._seats, plan, strict=False):
            seat.resize(threads)
        self._press()

    def _seat(self, number: int, threads: int) -> ExecutorSeat:
        return ExecutorSeat(self._worker, self._config, self.kind, number, threads)

    def _unused_number(self) -> int:
        used = {seat.number for seat in self._seats}
        return next(number for number in range(len(used) + 1) if number not in used)

    def _remove(self, seat: ExecutorSeat) -> None:
        if seat.child is not None:
            self.replace(seat.child)
        self._seats.remove(seat)

    # --- who leaves ---

    def replace(self, child: Child) -> None:
        """Retire a child; its place can be taken at once."""
        for seat in self._seats:
            if seat.child is child:
                self._leaving.append(seat.vacate())
                logger.info("event=retired executor=%s", child.executor)

    def kill(self, why: str) -> None:
        """End everybody by force."""
        children = [child for child in self.children if not child.killed]
        for child in children:
            logger.warning("event=interrupting executor=%s", child.executor)
            child.killed = why
        end_families(child.pid for child in children)

    def pause(self) -> None:
        """Have nobody claim: all retire, and no place is taken again."""
        self.is_paused = True
        for child in self.seated:
            self.replace(child)

    def resume(self) -> None:
        self.is_paused = False

    def _press(self) -> None:
        """A task may have made its process deaf to SIGTERM: end who does not leave by itself."""
        now = time.monotonic()
        for child in self._leaving:
            if not child.killed and now - child.retired_at > LEAVE_SECONDS and not child.is_busy:
                logger.warning("event=does_not_leave executor=%s", child.executor)
                child.kill(RETIRED)


def check_room() -> None:
    """Raise OSError if the next files of a child would be the last ones that may be open."""
    spare: list[int] = []
    try:
        for _ in range(FILES_LEFT):
            spare.append(os.open(os.devnull, os.O_RDONLY))
    finally:
        for file in spare:
            os.close(file)
