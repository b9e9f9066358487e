"""What all executors of a worker have done since its start, those that are gone among them."""

from collections.abc import Iterable

from ..executor.board import Counts
from .seat import Child


class Tally:
    """Keeps the counts of the dead; those of the living stand on their boards."""

    def __init__(self) -> None:
        self.crashed = 0  # executors that died by themselves
        self._gone = Counts(0, 0, 0, 0)

    def keep(self, child: Child) -> None:
        """Called once for each that is gone."""
        self._gone = _sum([self._gone, child.board.counts()])

    def total(self, children: Iterable[Child]) -> Counts:
        return _sum([self._gone, *(child.board.counts() for child in children)])


def _sum(counts: Iterable[Counts]) -> Counts:
    return Counts(*map(sum, zip(*counts, strict=True)))
