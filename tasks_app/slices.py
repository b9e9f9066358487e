"""Long lists in parts, so that no statement and no call has too much to carry."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def slices(items: Iterable[T], most: int) -> Iterator[list[T]]:
    """The items in order, in lists of so many; the last one may be shorter, and none is empty."""
    rest = iter(items)
    while some := list(islice(rest, most)):
        yield some


def page_of(rows: Sequence[T], limit: int) -> tuple[list[T], T | None]:
    """The first rows, and the last of these if there are more: the next page begins after it."""
    found = list(rows[: limit + 1])
    return found[:limit], found[limit - 1] if len(found) > limit else None
