"""How long a failed task waits for its next attempt, as a task type or a submit says it."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Self

import msgspec

MOST_SECONDS = 10 * 366 * 86_400
MOST_STEPS = 100
KINDS = ("exponential", "linear", "fixed", "list")

Declared = Callable[[int, BaseException], float]  # (failures so far, the last error) -> seconds


class Backoff(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The pause before each retry, in seconds.

    - exponential: anything from 0 to ``seconds``, doubled with each failure (full jitter, so that
      tasks that failed together do not come back together);
    - linear: ``seconds`` times the number of failures; fixed: always ``seconds``;
    - list: the ``steps`` one after the other, the last one again and again;
    - declared: what the task type's own function says, which stays where the code is.

    None is longer than ``most``, nor than the setting BACKOFF_MAX_SECONDS.
    """

    kind: Literal["exponential", "linear", "fixed", "list", "declared"] = "exponential"
    seconds: float = 1.0
    steps: tuple[float, ...] = ()
    most: float = 0.0  # 0: only the setting's bound

    @classmethod
    def exponential(cls, seconds: float, *, most: float = 0.0) -> Self:
        return cls(seconds=seconds, most=most)

    @classmethod
    def linear(cls, seconds: float, *, most: float = 0.0) -> Self:
        return cls(kind="linear", seconds=seconds, most=most)

    @classmethod
    def fixed(cls, seconds: float) -> Self:
        return cls(kind="fixed", seconds=seconds)

    @classmethod
    def list(cls, *steps: float) -> Self:
        return cls(kind="list", steps=steps)


DECLARED = Backoff(kind="declared")


def backoff_error(value: Any) -> str:
    """What is wrong with a backoff; "" if nothing is. A number is the first of doubled pauses."""
    if value is None or callable(value):
        return ""
    if isinstance(value, Backoff):
        return _error_in(value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return _steps_error(value)
    return "" if _is_pause(value) else _WRONG


def _error_in(backoff: Backoff) -> str:
    if backoff.kind not in (*KINDS, DECLARED.kind):
        return f"The kind of a backoff is one of {', '.join(KINDS)}."
    if not (_is_pause(backoff.seconds) and _is_pause(backoff.most)):
        return _WRONG
    return _steps_error(backoff.steps) if backoff.kind == "list" or backoff.steps else ""


def _steps_error(steps: Sequence[Any]) -> str:
    is_list = 1 <= len(steps) <= MOST_STEPS and all(map(_is_pause, steps))
    return "" if is_list else f"A list of pauses has 1 to {MOST_STEPS}. {_WRONG}"


def backoff_of(value: Any) -> float | Backoff:
    """A sound backoff as a message carries it."""
    if callable(value):
        return DECLARED
    if isinstance(value, Backoff):
        return value
    if isinstance(value, Sequence):
        return Backoff(kind="list", steps=tuple(map(float, value)))
    return float(value)


_WRONG = f"A pause must be a number of seconds from 0 to {MOST_SECONDS:,}."


def _is_pause(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 <= value <= MOST_SECONDS  # which NaN is not


def shown_backoff(value: Any) -> Any:
    """A backoff as the API shows it: a number of seconds, or an object."""
    found = backoff_of(value)
    if not isinstance(found, Backoff):
        return found
    return {"kind": found.kind, **msgspec.to_builtins(found)}  # which leaves defaults out
