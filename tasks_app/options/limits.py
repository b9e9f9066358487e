"""How many tasks of a key may run at once, and how many may begin in some time.

The key is a name, the task type's if no other is given, and, with ``per``, the value of some
arguments: then each tenant, say, has limits of its own, and the tenants take turns. What the
limits do is in ``broker/lua/parts/limits.lua``.
"""

import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..arguments import at_path, bound_of, names_of
from ..conf import conf
from ..secrecy.sensitive import arguments_in, is_touched, names_in
from .unique import digest_of

MOST_AT_ONCE = 1_000_000
MOST_NAMES = 20  # of arguments
LONGEST_NAME = 255
LONGEST_LABEL = 100
LONGEST_SECRET = 6  # letters of a digest that stand for what is not to be seen
UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
MOST_MS = 366 * UNITS_MS["d"]
RATE = re.compile(r"([1-9]\d{0,6})/([1-9]\d{0,5})?([smhd])", re.ASCII)
FIELD = re.compile(r"\{([^\W\d]\w*(?:\.\w+)*)\}")  # of a template: "{tenant}", "{order.shop}"

Per = str | Sequence[str] | Callable[[Sequence[Any], Mapping[str, Any]], str]


def rate_error(value: Any) -> str:
    """What is wrong with ``rate``; "" if nothing is."""
    if value is None or value == "" or (isinstance(value, str) and rate_of(value)):
        return ""
    return "A rate is a number of starts per time: 10/s, 100/m, 1000/h, 5000/d or 5/30s."


def concurrency_error(value: Any) -> str:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if value is None or (is_whole and 0 <= value <= MOST_AT_ONCE):
        return ""
    return f"Concurrency must be a whole number from 0 (no limit) to {MOST_AT_ONCE:,}."


def per_error(value: Any) -> str:
    if value is None or callable(value):
        return ""
    if isinstance(value, str):
        is_sound = _is_name(value) and (value.isidentifier() or FIELD.search(value))
    else:
        is_list = isinstance(value, list | tuple) and len(value) <= MOST_NAMES
        is_sound = is_list and all(map(_is_name, value))
    return "" if is_sound else "Must be names of arguments, a text like '{tenant}', or a callable."


def limit_key_error(value: Any) -> str:
    if value is None or _is_name(value):
        return ""
    return f"The name of a limit must be a printable text of 1 to {LONGEST_NAME} characters."


def rate_of(rate: str) -> tuple[int, int] | None:
    """How many starts in how many milliseconds; None if the text is no rate."""
    found = RATE.fullmatch(rate)
    if not found:
        return None
    ms = int(found[2] or 1) * UNITS_MS[found[3]]
    return (int(found[1]), ms) if ms <= MOST_MS else None


def limit_contradiction(
    options: Mapping[str, Any], function: Callable[..., Any]
) -> tuple[str, str]:
    """An option that does not fit the others or the function, and a sentence; mostly ("", "")."""
    per = options.get("per")
    if "limit_key" in options and not any(map(options.get, ("rate", "concurrency", "per"))):
        return "limit_key", "Names a limit, and there is none: no rate, concurrency or per."
    if not per or callable(per):
        return "", ""
    known, takes_all = names_of(function)
    wrong = [path for path in _paths(per) if path.partition(".")[0] not in known]
    if wrong and not takes_all:
        return "per", f"The task has no argument {wrong[0]!r}. It has: {', '.join(known)}."
    return "", ""


def limit_of(
    name: str, task: Any, options: Mapping[str, Any], args: list[Any], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """The fields of a message that say how it is limited; of most tasks there are none."""
    rate, per = options.get("rate") or "", options.get("per")
    at_once = options.get("concurrency")
    if at_once is None:
        at_once = conf().per_concurrency if per and not rate else 0
    if not rate and not at_once:
        return {}
    shared = options.get("limit_key")
    label, key = shared or name, [shared or "", "" if shared else name]
    is_secret, said = bool(per) and _is_secret(per, options), ""
    if per:
        value, said = _value_of(per, task, args, kwargs)
        key.append(value)
    limit = _short(digest_of(*key, is_secret=is_secret))
    if per:
        label += f" #{limit[:LONGEST_SECRET]}" if is_secret else f" {said}"
    return {
        "rate": rate,
        "concurrency": at_once,
        "limit": limit,
        "limit_label": _printable(label),
        "limit_takes_turns": bool(per),
    }


def limit_mark(
    key: str, label: str, rate: str, concurrency: int, takes_turns: bool
) -> dict[str, Any]:
    """What Lua is told of a limit; milliseconds."""
    found: dict[str, Any] = {"k": key, "t": label}  # not at its end: see marks.lua
    if concurrency:
        found["c"] = concurrency
    if rate and (numbers := rate_of(rate)):
        found["n"], found["ms"] = numbers
    if takes_turns:
        found["p"] = 1
    return found


def _value_of(per: Per, task: Any, args: list[Any], kwargs: dict[str, Any]) -> tuple[Any, str]:
    """Whose limit it is; and the same for people."""
    if callable(per):
        text = str(per(args, kwargs))
        return text, text
    # One that cannot be called so will fail, under nobody's name.
    bound = bound_of(task.func, bool(task.takes_context), args, kwargs) or {}
    if _is_template(per):
        text = FIELD.sub(lambda found: _shown(at_path(bound, found[1])), per)
        return text, text
    values = {path: at_path(bound, path) for path in _paths(per)}
    return list(values.values()), ", ".join(f"{n}={_shown(v)}" for n, v in values.items())


def _is_secret(per: Per, options: Mapping[str, Any]) -> bool:
    """Whether sensitive arguments say whose limit it is; of a callable nobody knows."""
    names = arguments_in(names_in(options.get("sensitive")))
    return bool(names) and (callable(per) or is_touched(names, _paths(per)))


def _short(digest: str) -> str:
    """96 bits of it in 16 letters: each task with a limit carries them."""
    return urlsafe_b64encode(bytes.fromhex(digest)[:12]).decode()


def _paths(per: str | Sequence[str]) -> list[str]:
    if _is_template(per):
        return FIELD.findall(per)
    return [per] if isinstance(per, str) else list(per)


def _is_template(per: Any) -> bool:
    return isinstance(per, str) and "{" in per


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def _printable(text: str) -> str:
    """Without quotes: Lua looks for the end of it."""
    text = "".join(c if c.isprintable() and c not in '"\\' else "?" for c in text)
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= LONGEST_NAME and value.isprintable()
