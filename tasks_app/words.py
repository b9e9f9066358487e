"""Numbers, spans and moments as sentences have them."""

from django.utils import timezone

from .message import moment

_UNITS = ((129_600, 86_400, "d"), (5400, 3600, "h"), (90, 60, "min"), (10, 1, "s"))


def many(count: int, thing: str) -> str:
    """As in "1 task", "1,200 tasks"."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def times(count: int) -> str:
    """As in "once", "12 times"."""
    return "once" if count == 1 else f"{count:,} times"


def span(seconds: float) -> str:
    """A length of time: "3 ms", "1.2 s", "4 min", "2 h", "5 d"."""
    seconds = max(0.0, seconds)
    for least, unit, name in _UNITS:
        if seconds >= least:
            return f"{round(seconds / unit):,} {name}"
    return f"{seconds:.1f} s".replace(".0 ", " ") if seconds >= 1 else f"{round(seconds * 1000)} ms"


def clock(us: int) -> str:
    """A moment in the server's time zone: "15:04:05" if that is today, else with its date."""
    at, now = timezone.localtime(moment(us)), timezone.localtime()
    return f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M}"


def listed(names: list[str], most: int = 3) -> str:
    """As in "a, b and c", "a, b, c and 4 more"."""
    shown = list(names[:most])
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most} more"
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))
