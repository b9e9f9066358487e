"""Which submits ask for the same work, and what becomes of the second one of them."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, get_args

import msgspec

from ..arguments import at_path, bound_of, names_of
from ..secrecy.sealing import keyed_digest
from ..secrecy.sensitive import arguments_in, is_touched, names_in

OnDuplicate = Literal["existing", "replace", "refuse"]
ON_DUPLICATE = get_args(OnDuplicate)
MOST_NAMES = 50  # of arguments
LONGEST_KEY = 255
MOST_SECONDS = 10 * 366 * 86_400
WAITS = 10  # for how many waits a debounced task can be put off, if nothing is said


class Unique(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """At most one task of a type and a key, which is made of its arguments.

    It has the key while it is open; with a ``period`` (seconds or a timedelta) for so long after
    its submit instead, whether it is over by then or not. What a second submit does meanwhile:

    - existing: it stores nothing, and answers with the task that is there;
    - replace: it cancels that one if nobody has it in hand yet, and is stored;
    - refuse: it raises DuplicateTask.
    """

    on: tuple[str, ...] = ()  # names of arguments; "order.id" is a key of a dict; (): all of them
    key: str = ""  # a text that stands for the arguments
    period: float = 0.0  # seconds
    on_duplicate: OnDuplicate = "existing"

    def __post_init__(self) -> None:
        if isinstance(self.on, list):
            msgspec.structs.force_setattr(self, "on", tuple(self.on))
        if self.period is None or isinstance(self.period, timedelta):
            seconds = self.period.total_seconds() if self.period else 0.0
            msgspec.structs.force_setattr(self, "period", seconds)


def unique_error(value: Any) -> str:
    """What is wrong with ``unique``; "" if nothing is."""
    if value is None or isinstance(value, bool):
        return ""
    if not isinstance(value, Unique):
        return "" if _is_names(value) and value else _WRONG
    is_key = value.key == "" or _is_name(value.key)
    if not is_key or not _is_names(value.on) or (value.key and value.on):
        return f"Has names of arguments in `on`, or a `key` of at most {LONGEST_KEY} characters."
    if not _is_span(value.period):
        return f"A period must be a number of seconds from 0 to {MOST_SECONDS:,}."
    if value.on_duplicate not in ON_DUPLICATE:
        return f"On a duplicate is one of {', '.join(ON_DUPLICATE)}."
    return ""


def idempotency_error(value: Any) -> str:
    if value is None or _is_name(value):
        return ""
    return f"An idempotency key must be a printable text of 1 to {LONGEST_KEY} characters."


def contradiction(options: Mapping[str, Any], function: Callable[..., Any]) -> tuple[str, str]:
    """An option that does not fit the others or the function, and a sentence; mostly ("", "")."""
    unique, waits = unique_of(options.get("unique")), bool(options.get("debounce"))
    if options.get("debounce_most") and not waits:
        return "debounce_most", "Bounds what is put off by debounce, and there is none."
    if unique is None:
        return "", ""
    if waits and (unique.period or unique.on_duplicate != "existing"):
        said = "Beside debounce it names the key and no more: no period, nothing on a duplicate."
        return "unique", said
    known, takes_all = names_of(function)
    wrong = [name for name in unique.on if name.partition(".")[0] not in known]
    if wrong and not takes_all:
        return "unique", f"The task has no argument {wrong[0]!r}. It has: {', '.join(known)}."
    return "", ""


def unique_of(value: Any) -> Unique | None:
    """A sound ``unique`` as a message carries it."""
    if not value:
        return None
    if isinstance(value, Unique):
        return value
    return Unique() if value is True else Unique(on=tuple(value))


def shown_unique(unique: Unique | None) -> dict[str, Any] | None:
    """As the API shows and takes it."""
    if unique is None:
        return None
    named = {"key": unique.key} if unique.key else {"on": list(unique.on)}
    return named | {"seconds": unique.period, "duplicate": unique.on_duplicate}


def once_of(
    name: str, task: Any, options: Mapping[str, Any], args: list[Any], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """The fields of a message that say of what it is a duplicate; of most tasks there are none."""
    unique, wait = unique_of(options.get("unique")), _seconds(options.get("debounce"))
    found: dict[str, Any] = {}
    if options.get("idempotency_key"):
        found["idempotency_key"] = options["idempotency_key"]
    if wait:
        found["debounce"] = wait
        found["debounce_most"] = _seconds(options.get("debounce_most")) or wait * WAITS
    if unique is not None:
        found["unique"] = unique
    if unique is not None or wait:
        names = names_in(options.get("sensitive"))
        found["unique_key"] = key_of(name, task, unique or Unique(), args, kwargs, names)
    return found


def key_of(
    name: str,
    task: Any,
    unique: Unique,
    args: list[Any],
    kwargs: dict[str, Any],
    sensitive: Sequence[str] = (),
) -> str:
    """A digest of the type's name and of the key, or of the arguments that were chosen.

    They are bound as the call will bind them, so that ``f(1)`` and ``f(user=1)`` are the same.
    """
    if unique.key:
        return digest_of(name, "key", unique.key)
    bound = bound_of(task.func, bool(task.takes_context), args, kwargs)
    hidden = arguments_in(sensitive)
    if bound is None:  # the task will fail: what it was called with still tells it from others
        return digest_of(name, "called", args, kwargs, is_secret=bool(hidden))
    is_secret = is_touched(hidden, unique.on or bound)
    if unique.on:
        bound = {path: at_path(bound, path) for path in unique.on}
    return digest_of(name, "arguments", bound, is_secret=is_secret)


def digest_of(*parts: Any, is_secret: bool = False) -> str:
    """128 bits of texts and JSON values, as a word of 32 letters that may stand in Redis' keys.

    One of a secret takes the project's SECRET_KEY to make.
    """
    text = msgspec.json.encode(parts, enc_hook=repr, order="deterministic")
    return (keyed_digest(text) if is_secret else hashlib.sha256(text).hexdigest())[:32]


def unique_mark(key: str, unique: Unique | None, wait: float, most: float) -> dict[str, Any]:
    """What Lua is told of a unique task; milliseconds."""
    if wait:
        return {"k": key, "ms": 0, "d": "replace", "w": _ms(wait), "most": _ms(most)}
    unique = unique or Unique()
    return {"k": key, "ms": _ms(unique.period), "d": unique.on_duplicate}


def _seconds(span: Any) -> float:
    return span.total_seconds() if isinstance(span, timedelta) else float(span or 0)


def _ms(seconds: float) -> int:
    return -(-int(seconds * 1_000_000) // 1000)


def _is_span(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 <= value <= MOST_SECONDS


def _is_names(value: Any) -> bool:
    is_list = isinstance(value, list | tuple) and len(value) <= MOST_NAMES
    return is_list and all(map(_is_name, value))


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= LONGEST_KEY and value.isprintable()


_WRONG = "Must be True, False, a list of names of arguments, or a Unique."
