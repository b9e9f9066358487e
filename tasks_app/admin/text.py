"""Text that users wrote, made fit to be shown: escaped, cut, its writing direction kept inside."""

import json
from datetime import datetime
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

LONGEST = 20_000  # characters of one value on a page
NONE = "-"  # where there is nothing to show


def cut(text: str, longest: int = LONGEST) -> str:
    """The beginning of a long text, with a word on how much is missing."""
    if len(text) <= longest:
        return text
    return f"{text[:longest]}… ({len(text) - longest:,} more characters)"


def pretty(value: Any) -> str:
    """JSON for people."""
    return cut(json.dumps(value, indent=2, ensure_ascii=False))


def isolated(text: str) -> SafeString:
    """One line of foreign text that cannot turn its surroundings around."""
    return format_html("<bdi>{}</bdi>", text)


def block(text: str) -> SafeString:
    """Several lines of foreign text."""
    return format_html(
        '<pre class="overflow-auto whitespace-pre-wrap break-words max-h-96 text-xs"><bdi>{}</bdi>'
        "</pre>",
        text,
    )


def seconds(us: int) -> str:
    """A duration in a unit that suits it."""
    if us < 1000:
        return f"{us} µs"
    if us < 1_000_000:
        return f"{us / 1000:.1f} ms"
    return f"{us / 1_000_000:,.2f} s"


def clock(at: datetime | None) -> str:
    """A moment, exact enough to order tasks by eye."""
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}" if at else NONE
