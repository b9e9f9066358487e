"""Whether a failed task gets another attempt, and how long it waits for it."""

import logging
import sys
from collections.abc import Sequence
from math import isfinite
from random import Random
from typing import Any

from ..conf import conf
from ..message import TaskMessage
from .backoff import DECLARED, Backoff, Declared

logger = logging.getLogger(__name__)

MOST_DOUBLINGS = 60  # 2 to this power of any pause is beyond every bound


def is_last(message: TaskMessage, failures: int, error: type[BaseException]) -> bool:
    """Whether there is no other attempt after so many failures, the last one of this class."""
    if failures >= message.max_attempts:
        return True
    if not message.retry_on and not message.give_up_on:
        return False
    return _is_one_of(error, message.give_up_on) or (
        bool(message.retry_on) and not _is_one_of(error, message.retry_on)
    )


def longest_pause_ms(message: TaskMessage, failures: int) -> int:
    """Milliseconds that the next attempt may have to wait at most."""
    backoff = _backoff(message)
    seconds = min(_seconds(backoff, failures), conf().backoff_max_seconds)
    return int(min(seconds, backoff.most or seconds) * 1000)


def next_pause_ms(
    message: TaskMessage,
    failures: int,
    rng: Random,
    declared: Declared | None = None,
    error: BaseException | None = None,
) -> int:
    """Milliseconds until the next attempt, after ``failures`` failures (at least one).

    ``declared`` is the type's own function, if it has one; without it, or if that fails, such a
    task waits as one that says nothing.
    """
    if message.backoff == DECLARED and declared and error is not None:
        seconds = _asked(declared, failures, error)
        if seconds is not None:
            return int(min(seconds, conf().backoff_max_seconds) * 1000)
    longest = longest_pause_ms(message, failures)
    return int(rng.uniform(0, longest)) if _is_jittered(_backoff(message)) else longest


def _backoff(message: TaskMessage) -> Backoff:
    given = message.backoff
    if isinstance(given, Backoff) and given != DECLARED:
        return given
    return Backoff(seconds=conf().backoff_seconds if given == DECLARED else given)


def _seconds(backoff: Backoff, failures: int) -> float:
    if backoff.kind == "list":
        return _step(backoff.steps, failures)
    if backoff.kind == "linear":
        return backoff.seconds * failures
    if backoff.kind == "fixed":
        return backoff.seconds
    return backoff.seconds * 2 ** max(0, min(failures - 1, MOST_DOUBLINGS))


def _step(steps: Sequence[float], failures: int) -> float:
    return steps[min(failures, len(steps)) - 1]


def _is_jittered(backoff: Backoff) -> bool:
    return backoff.kind == "exponential"


def _asked(declared: Declared, failures: int, error: BaseException) -> float | None:
    try:
        seconds = float(declared(failures, error))
    except BaseException:  # SystemExit of user code too
        logger.exception("event=backoff_failed failures=%d", failures)
        return None
    return max(0.0, seconds) if isfinite(seconds) else None


def _is_one_of(error: type[BaseException], paths: Sequence[str]) -> bool:
    """Whether one of some dotted paths leads to a class, or to one that it inherits from."""
    kinds = {f"{kind.__module__}.{kind.__qualname__}" for kind in error.__mro__} | {
        kind.__qualname__ for kind in error.__mro__ if kind.__module__ == "builtins"
    }
    return not kinds.isdisjoint(paths) or any(_found_at(path) in error.__mro__ for path in paths)


def _found_at(path: str) -> Any:
    """What a path leads to, as `django.db.OperationalError` does to a class of another module.

    Imports nothing: a submit over REST may name any path, and what was raised is imported already.
    """
    module, _, name = path.rpartition(".")
    return getattr(sys.modules.get(module), name, None)
