"""What an alias of ``TASKS`` may say in its OPTIONS: how its tasks get into the queue."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, Self

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from .broker.durability import FAST, MODES

OUTBOX, ON_COMMIT, DIRECT = "outbox", "on_commit", "direct"
WAYS = (OUTBOX, ON_COMMIT, DIRECT)


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasOptions:
    """The OPTIONS of one alias."""

    # What an enqueue in a transaction does. "outbox": writes a row in it, which is pushed when it
    # has committed, and swept if nobody did. "on_commit": pushes then, and is lost if the process
    # dies just before. "direct": stores the task at once, whatever becomes of the transaction.
    enqueue: str = OUTBOX
    database: str = "default"  # alias in DATABASES whose transactions count, and whose table it is
    durability: str = FAST  # of every submit: see broker/durability.py

    @classmethod
    def load(cls, given: Mapping[str, Any]) -> Self:
        """Read OPTIONS. Raise ImproperlyConfigured."""
        if wrong := errors_in(given):
            raise ImproperlyConfigured(f"OPTIONS of TASKS: {' '.join(wrong)}")
        return cls(**{name.lower(): value for name, value in given.items()})


def errors_in(given: Mapping[str, Any]) -> list[str]:
    """What is wrong with some OPTIONS, in sentences."""
    known = {field.name.upper() for field in fields(AliasOptions)}
    found = []
    for name in sorted(given.keys() - known, key=str):
        guess = get_close_matches(str(name).upper(), known, n=1)
        hint = f"Did you mean {guess[0]}?" if guess else f"There are {', '.join(sorted(known))}."
        found.append(f"{name!r} is no option. {hint}")
    for name, words in (
        ("ENQUEUE", WAYS),
        ("DURABILITY", MODES),
        ("DATABASE", tuple({"default": None, **settings.DATABASES})),
    ):
        if name in given and given[name] not in words:
            found.append(f"{name} must be one of {', '.join(words)}, not {given[name]!r}.")
    return found
