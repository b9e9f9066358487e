"""An exception as text: whatever its class does, and whatever is in its message."""

import traceback
from collections.abc import Callable, Collection

Hide = Callable[[str], str]  # before a text is cut, takes out of it what nobody is to see

LONGEST_ERROR = 16 * 1024  # characters
LONGEST_TRACEBACK = 64 * 1024
MOST_FRAMES = 100  # the innermost ones


def type_path(error: BaseException) -> str:
    """The dotted path of the exception's class."""
    kind = type(error)
    try:
        return clean(f"{kind.__module__}.{kind.__qualname__}", 255)
    except BaseException:  # noqa: BLE001 (a metaclass may do anything)
        return "unknown"


def message_of(error: BaseException, hide: Hide = str) -> str:
    """What it says; a word on it if that cannot be had."""
    try:
        return clean(hide(str(error)), LONGEST_ERROR)
    except BaseException as second:  # noqa: BLE001 (user code)
        return f"<its text cannot be had: {type_path(second)}>"


def traceback_of(error: BaseException, own_files: Collection[str] = (), hide: Hide = str) -> str:
    """Its traceback as Python prints it, without the frames of ``own_files`` at the outer end."""
    try:
        outer = error.__traceback__
        while outer is not None and outer.tb_frame.f_code.co_filename in own_files:
            outer = outer.tb_next
        lines = traceback.format_exception(type(error), error, outer, limit=-MOST_FRAMES)
        return clean(hide("".join(lines)), LONGEST_TRACEBACK)
    except BaseException:  # noqa: BLE001 (it calls user code to print)
        return f"{type_path(error)}: <its traceback cannot be had>\n"


def clean(text: str, longest: int) -> str:
    """A text that UTF-8, every database and a log can take; too long, it loses its middle."""
    text = str.__str__(text)
    if len(text) > longest:
        half = longest // 2
        text = f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
