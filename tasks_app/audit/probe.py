"""What a probe is: one kind of look, once at everything and again at what seems wrong."""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any

from .findings import Finding


class Probe:
    """One kind of look."""

    counts = ""  # what the auditor counts its subjects as, if at all

    def subjects(self) -> Iterable[Sequence[Hashable]]:
        """All that there is to look at, in slices, from a scan."""
        raise NotImplementedError

    def look(self, subjects: Sequence[Any]) -> Iterator[Finding]:
        """Judge some of them as they are at this moment."""
        raise NotImplementedError
