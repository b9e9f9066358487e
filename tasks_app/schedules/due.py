"""Which slots of a schedule are fired now, and which are left out: pure, of its policies."""

from typing import NamedTuple

from .models import Schedule
from .policies import CatchUp, Overlap
from .timing import SECOND_US, newest_slots, next_slot

# As late a slot is still on time, whatever the catch-up policy: another leader has taken over
# within seconds, and what that costs is not to be seen in what was fired.
ON_TIME_US = 60 * SECOND_US
MOST_ON_TIME = 61  # of a slot each second
OVERTAKEN = "The next slot was due already, and its task would have ended this one."


class Due(NamedTuple):
    """What becomes of the slots that are due at a moment."""

    fired: list[int]  # in order
    missed: str  # why older ones are left out; "" if there are none
    missed_us: int  # the newest of these
    overtaken: list[int]  # left out since a newer one would cancel them
    next_us: int  # the first slot after the moment, 0 if there is none


def due_of(schedule: Schedule, now_us: int) -> Due:
    """What becomes of the slots from ``schedule.next_us`` until now."""
    timing, since_us = schedule.timing, schedule.next_us
    most = schedule.catch_up_most if schedule.catch_up == CatchUp.ALL else 1
    found, is_more = newest_slots(timing, since_us, now_us, MOST_ON_TIME + most)
    on_time = [slot_us for slot_us in found if slot_us >= now_us - ON_TIME_US]
    late = found[: len(found) - len(on_time)]
    fired = _caught_up(schedule, late, bool(on_time)) + on_time
    left = late[: len(late) - (len(fired) - len(on_time))]
    overtaken: list[int] = []
    if schedule.overlap == Overlap.CANCEL:
        fired, overtaken = fired[-1:], fired[:-1]
    return Due(
        fired=fired,
        missed=_missed(schedule, len(left), is_more),
        missed_us=left[-1] if left else 0,
        overtaken=overtaken,
        next_us=next_slot(timing, now_us),
    )


def _caught_up(schedule: Schedule, late: list[int], is_one_on_time: bool) -> list[int]:
    """Those of the late slots that are fired all the same."""
    match schedule.catch_up:
        case CatchUp.ALL:
            return late[-schedule.catch_up_most :]
        case CatchUp.LAST if not is_one_on_time:
            return late[-1:]
    return []


def _missed(schedule: Schedule, count: int, is_more: bool) -> str:
    if not count and not is_more:
        return ""
    slots = "1 slot" if count == 1 and not is_more else f"{count:,} slots"
    return (
        f"{'At least ' if is_more else ''}{slots} up to this one went by while nothing could be "
        f"fired; the catch-up policy is {schedule.catch_up}."
    )
