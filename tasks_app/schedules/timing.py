"""When a schedule is due: pure functions of a cron expression or an interval, and a moment.

A *slot* is a moment at which a schedule is due, in microseconds since the epoch. Slots follow from
the schedule alone, and not from when somebody looked: so after a restart, or for another leader,
they are the same.
"""

import re
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from itertools import islice
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim

from ..message import moment

SECOND_US = 1_000_000
LONGEST_CRON = 200  # characters
LONGEST_ZONE = 64
LONGEST_INTERVAL = 366 * 86_400  # seconds
FIRST_WINDOW_US = 3600 * SECOND_US  # in which the newest of many slots are looked for first
LAST_YEAR = 9900  # after it the calendar is about to end
LATEST_US = 250_000_000_000_000_000  # in the year 9892

_STEP = re.compile(r"^Every (\S+) (minute of every hour|second of every minute)$")
_HOURS = re.compile(r"^0 \*/(\d+) \* \* \*$")


class Timing(NamedTuple):
    """A cron expression with its time zone, or an interval; one of ``cron`` and ``every`` is set.

    Slots of an interval are whole multiples of it since the epoch, so a restart shifts none.
    """

    cron: str = ""
    every: int = 0  # seconds
    timezone: str = "UTC"  # IANA
    starts_us: int = 0  # no slot before; 0: none
    ends_us: int = 0  # no slot after; 0: none


def errors_of(timing: Timing) -> dict[str, list[str]]:
    """What is wrong with a timing: field -> sentences."""
    zone = zone_error(timing.timezone)
    said = {
        "cron": cron_error(timing.cron, "UTC" if zone else timing.timezone) if timing.cron else "",
        "every": every_error(timing.every) if timing.every else "",
        "timezone": zone,
    }
    if bool(timing.cron) == bool(timing.every):
        said["cron"] = "Give either a cron expression or an interval."
    if timing.ends_us and timing.ends_us <= timing.starts_us:
        said["ends"] = "The end is not after the start."
    for name, us in (("starts", timing.starts_us), ("ends", timing.ends_us)):
        if not 0 <= us <= LATEST_US:
            said[name] = "This moment is too far away."
    return {name: [sentence] for name, sentence in said.items() if sentence}


def cron_error(cron: object, timezone: str = "UTC") -> str:
    """What is wrong with an expression, "" if nothing is."""
    if not isinstance(cron, str) or len(cron) > LONGEST_CRON:
        return f"A cron expression is a text of at most {LONGEST_CRON} characters."
    try:
        next(CronSim(cron, datetime.now(ZoneInfo(timezone))))
    except StopIteration:
        return "This cron expression never comes true."
    except Exception as error:  # noqa: BLE001  of whatever the parser did not think of
        said = str(error) or "it cannot be read"
        return f"This is no cron expression: {said[0].lower()}{said[1:]}."
    return ""


def every_error(seconds: object) -> str:
    is_whole = isinstance(seconds, int) and not isinstance(seconds, bool)
    if is_whole and 1 <= seconds <= LONGEST_INTERVAL:
        return ""
    return f"An interval is a whole number of seconds from 1 to {LONGEST_INTERVAL:,}."


def zone_error(name: object) -> str:
    if isinstance(name, str) and len(name) <= LONGEST_ZONE and _zone(name):
        return ""
    return 'This time zone is unknown; a name is like "Europe/Zurich".'


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return None


def zones() -> list[str]:
    """The names of all time zones that this machine knows."""
    return sorted(available_timezones())


def slots(timing: Timing, after_us: int) -> Iterator[int]:
    """The slots after a moment, in order; without end, if the timing has none."""
    after_us = max(after_us, timing.starts_us - 1)
    found = _interval(timing.every, after_us) if timing.every else _cron(timing, after_us)
    for slot_us in found:
        if timing.ends_us and slot_us > timing.ends_us:
            return
        yield slot_us


def next_slot(timing: Timing, after_us: int) -> int:
    """The first slot after a moment; 0 if there is none any more."""
    return next(slots(timing, after_us), 0)


def next_slots(timing: Timing, after_us: int, most: int = 5) -> list[int]:
    return list(islice(slots(timing, after_us), most))


def newest_slots(timing: Timing, since_us: int, until_us: int, most: int) -> tuple[list[int], bool]:
    """The newest slots from ``since_us`` to ``until_us``, in order; and whether there are more.

    Looked for from behind in windows that double: a day of a slot each second is not counted out.
    """
    window_us = FIRST_WINDOW_US
    while True:
        from_us = max(since_us, until_us - window_us)
        found: deque[int] = deque(maxlen=most + 1)
        for slot_us in slots(timing, from_us - 1):
            if slot_us > until_us:
                break
            found.append(slot_us)
        if len(found) > most or from_us == since_us:
            return list(found)[-most:] if most else [], len(found) > most
        window_us *= 2


def _interval(every: int, after_us: int) -> Iterator[int]:
    every_us = every * SECOND_US
    slot_us = (after_us // every_us + 1) * every_us
    while (at := moment(slot_us)) is None or at.year < LAST_YEAR:
        yield slot_us
        slot_us += every_us


def _cron(timing: Timing, after_us: int) -> Iterator[int]:
    """As cronsim has them: see its text on daylight saving time, which follows Debian's cron.

    An expression of fixed hours that falls into the hour that is skipped comes true right after it,
    and in the hour that comes twice it comes true once.
    """
    zone: tzinfo = UTC if timing.timezone == "UTC" else ZoneInfo(timing.timezone)
    at = (moment(after_us) or moment(1)).astimezone(zone)
    for found in CronSim(timing.cron, at):
        slot_us = int(found.timestamp()) * SECOND_US
        # In the hour that comes twice, cronsim goes by the clock on the wall, which was set back.
        if slot_us > after_us:
            yield slot_us
        if found.year >= LAST_YEAR:
            return


def in_words(timing: Timing) -> str:
    """As people say it: "Every 5 minutes", "At 09:00 on Monday through Friday"."""
    try:
        said = _every_in_words(timing.every) if timing.every else _cron_in_words(timing.cron)
    except Exception:  # noqa: BLE001  another version could read it
        said = timing.cron
    return said if timing.every or timing.timezone == "UTC" else f"{said} ({timing.timezone})"


def _every_in_words(seconds: int) -> str:
    for unit, name in ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds % unit == 0:
            count = seconds // unit
            return f"Every {name}" if count == 1 else f"Every {count:,} {name}s"
    raise AssertionError("Every whole number is a multiple of one.")


@lru_cache(maxsize=1024)
def _cron_in_words(cron: str) -> str:
    said = CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC)).explain()
    parts = cron.split()
    if match := _STEP.match(said):  # "every fifth minute of every hour" is less easily said
        unit, field = match[2].split()[0], parts[0]
        step = field.removeprefix("*/")
        if step.isdigit() and 60 % int(step) == 0:
            return f"Every {int(step)} {unit}s"
    match = _HOURS.match(" ".join(parts))
    if match and int(match[1]) > 1 and 24 % int(match[1]) == 0:
        return f"Every {int(match[1])} hours"
    return said
