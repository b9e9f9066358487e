"""What an operation would find: a count that is bounded, and a sample."""

import time
from dataclasses import dataclass

from ..models import TaskRecord
from .filter import Filter

PAGE = 200
SAMPLE = 10
MOST_COUNTED = 10_000
MOST_SECONDS = 2.0  # that somebody waits for it


@dataclass(frozen=True, slots=True)
class Preview:
    """How many tasks match at this moment."""

    matched: int
    is_more: bool  # there may be more than that
    sample: list[TaskRecord]  # the newest


def preview(filter: Filter) -> Preview:
    """Look, and change nothing. Raise as ``listing.page`` does."""
    until = time.monotonic() + MOST_SECONDS
    matched, sample, below = 0, [], ""
    while below is not None and matched < MOST_COUNTED and time.monotonic() < until:
        records, below = filter.below(below).page(PAGE)
        matched += len(records)
        sample += records[: SAMPLE - len(sample)]
    return Preview(matched, below is not None, sample)
