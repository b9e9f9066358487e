"""Task ids as places in time: they are UUIDv7, so a list is paged and bounded by them alone."""

import re

LOWEST = "00000000-0000-0000-0000-000000000000"
HIGHEST = "ffffffff-ffff-ffff-ffff-ffffffffffff"
LARGEST_MS = 2**48 - 1

_BEGINNING = re.compile(r"[0-9a-f-]{1,36}", re.ASCII)


def floor(ms: int) -> str:
    """The lowest id of a task that is submitted at a moment, or later."""
    digits = f"{min(max(ms, 0), LARGEST_MS):012x}"
    return f"{digits[:8]}-{digits[8:]}{LOWEST[13:]}"


def ms_of(task_id: str | None) -> int | None:
    """When a task was submitted, as its id says; None if it says nothing."""
    digits = (task_id or "").replace("-", "")[:12]
    try:
        return int(digits, 16)
    except ValueError:
        return None


def bounds(beginning: str) -> tuple[str, str]:
    """The lowest and the highest id that begins so; what cannot begin an id bounds itself."""
    beginning = beginning.lower()
    if not _BEGINNING.fullmatch(beginning):
        return beginning, beginning
    return beginning + LOWEST[len(beginning) :], beginning + HIGHEST[len(beginning) :]
