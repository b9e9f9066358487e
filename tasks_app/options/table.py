"""What a task type may declare beyond Django's own words, and a submit may say otherwise.

One table for all doors: ``@task(...)``, ``.using(...)``, REST and ``TaskRequest`` have these names.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from ..secrecy.sensitive import sensitive_error
from .backoff import MOST_SECONDS, backoff_error
from .dependence import depends_error, if_parent_fails_error, takes_results_error
from .limits import concurrency_error, limit_key_error, per_error, rate_error
from .unique import idempotency_error, unique_error

MOST_ATTEMPTS = 1_000_000
MOST_CLASSES = 50  # of exceptions
MOST_TAGS = 20
LONGEST_TAG = 64
DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")

Check = Callable[[Any], str]  # what is wrong with a value, "" if nothing is; None is always sound


def attempts_error(value: Any) -> str:
    if value is None or (_is_whole(value) and 1 <= value <= MOST_ATTEMPTS):
        return ""
    return f"The number of attempts must be a whole number from 1 to {MOST_ATTEMPTS:,}."


def seconds_error(value: Any) -> str:
    if value is None:
        return ""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and 0 <= value <= MOST_SECONDS:  # which NaN is not
        return ""
    return f"A pause or a time limit must be a number of seconds from 0 to {MOST_SECONDS:,}."


def span_error(value: Any) -> str:
    """Of a moment that a type declares: how long after the submit, or after ``run_after``."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    return seconds_error(seconds)


def classes_error(value: Any) -> str:
    """Of exception classes, or their dotted paths: a worker that lacks one of them just differs."""
    if value is None or (_is_list(value, MOST_CLASSES) and all(map(path_of, value))):
        return ""
    return f"Must be at most {MOST_CLASSES} exception classes, or dotted paths of some."


def tags_error(value: Any) -> str:
    if value is None or (_is_list(value, MOST_TAGS) and all(map(_is_tag, value))):
        return ""
    return f"Must be at most {MOST_TAGS} printable texts of 1 to {LONGEST_TAG} characters."


def path_of(exception: Any) -> str:
    """The dotted path of an exception class, or one that is given as such; "" if it is neither."""
    if isinstance(exception, type) and issubclass(exception, BaseException):
        return f"{exception.__module__}.{exception.__qualname__}"
    is_path = isinstance(exception, str) and len(exception) <= 255
    return exception if is_path and DOTTED.fullmatch(exception) else ""


OPTIONS: dict[str, Check] = {
    "max_attempts": attempts_error,  # executions, the first one included
    "backoff": backoff_error,  # before a retry: see backoff.py
    "retry_on": classes_error,  # exceptions after which there is another attempt; (): all
    "give_up_on": classes_error,  # exceptions after which there is none
    "timeout": seconds_error,  # that an attempt may take; 0: no bound
    "deadline": span_error,  # due so long after the submit; a submit names the moment
    "expires": span_error,  # begun so long after the submit, or never run
    "tags": tags_error,  # to find it by
    "unique": unique_error,  # at most one task of a key: see unique.py
    "debounce": span_error,  # how long a newer one may replace it; 0: it does not wait
    "debounce_most": span_error,  # how long it can be put off by that
    "idempotency_key": idempotency_error,  # of a submit: repeated, it stores nothing
    "rate": rate_error,  # most starts in some time, "10/s": see limits.py; "": no bound
    "concurrency": concurrency_error,  # most at once, on all workers; 0: no bound
    "per": per_error,  # whose limits they are: arguments, a text with some, or a callable
    "limit_key": limit_key_error,  # a name for limits that several types share
    "sensitive": sensitive_error,  # arguments to hide, by name; "return"; True: all of that
    "depends_on": depends_error,  # of a submit: the tasks that it waits for, by their ids
    "if_parent_fails": if_parent_fails_error,  # "cancel", or "run" all the same
    "takes_results": takes_results_error,  # of the tasks that it waits for, as first argument
}


def errors_of(options: Mapping[str, Any]) -> dict[str, list[str]]:
    """What is wrong with some options: name -> sentences."""
    said = {name: check(options.get(name)) for name, check in OPTIONS.items()}
    return {name: [sentence] for name, sentence in said.items() if sentence}


def declared_by(task: Any) -> dict[str, Any]:
    """The options that a task has; one that was declared for another backend may have none."""
    found = {name: getattr(task, name, None) for name in OPTIONS}
    return {name: value for name, value in found.items() if value is not None}


def seconds_of(span: float | timedelta) -> float:
    return span.total_seconds() if isinstance(span, timedelta) else float(span)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_list(value: Any, most: int) -> bool:
    is_text = isinstance(value, str | bytes)
    return isinstance(value, Sequence) and not is_text and len(value) <= most


def _is_tag(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= LONGEST_TAG and value.isprintable()
