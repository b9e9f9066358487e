"""What users hand in, made plain JSON: refused here, or carried unchanged to the very end."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

MOST_DEEP = 100  # levels of lists and objects; parsers further on have bounds of their own
MOST_BITS = 14_000  # of an integer: Python reads 4,300 decimal digits and no more
LONGEST_QUEUE = 255  # what the history has room for


def normalized(value: Any, levels: int = MOST_DEEP) -> Any:
    """A copy made of exactly dict, list, str, int, float, bool and None.

    As Django's ``normalize_json``: bytes become text, any sequence a list, any mapping a dict;
    keys become text as JSON writes them. Raise TypeError for what JSON has no word for, ValueError
    for what would not come back as it went: NaN, infinities, endless numbers and nesting.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        if value.bit_length() > MOST_BITS:
            raise ValueError("a number has too many digits")
        return value
    if kind is float:
        if not math.isfinite(value):
            raise ValueError(f"{value} is not a JSON number")
        return value
    if levels == 0 and not isinstance(value, str | bytes | int | float):
        raise ValueError(f"nested deeper than {MOST_DEEP} levels")
    if kind is dict:
        return {_key(key): normalized(each, levels - 1) for key, each in value.items()}
    if kind is list or kind is tuple:
        return [normalized(each, levels - 1) for each in value]
    return _unusual(value, levels)


def _unusual(value: Any, levels: int) -> Any:
    match value:
        case Mapping():
            return {_key(key): normalized(each, levels - 1) for key, each in value.items()}
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError as error:
                raise ValueError("bytes that are not UTF-8") from error
        case str():  # of a subclass, as the plain type; so the next two
            return str.__str__(value)
        case int():
            return normalized(int(value))
        case float():
            return normalized(float(value))
        case Sequence():
            return [normalized(each, levels - 1) for each in value]
    raise TypeError(f"Unsupported type: {type(value)}")


def _key(key: Any) -> str:
    if type(key) is str:
        return key
    if isinstance(key, str | bytes):
        return normalized(key)
    if isinstance(key, bool | int | float) or key is None:
        return msgspec.json.encode(normalized(key)).decode()
    raise TypeError(f"Unsupported type of key: {type(key)}")


def size_of(value: Any) -> int:
    """Bytes of a normalized value as JSON. Raise ValueError if UTF-8 has no bytes for a text."""
    try:
        return len(msgspec.json.encode(value))
    except UnicodeEncodeError as error:
        raise ValueError("a text has half of a surrogate pair, which is no character") from error


def queue_error(name: Any) -> str:
    """What is wrong with a queue's name; "" if nothing is. Django allows any text."""
    if not isinstance(name, str) or not name:
        return "A queue's name must be a text that is not empty."
    if len(name) > LONGEST_QUEUE:
        return f"A queue's name must have at most {LONGEST_QUEUE} characters."
    if not name.isprintable():  # which control characters and half surrogates are not
        return "A queue's name must be printable."
    return ""
