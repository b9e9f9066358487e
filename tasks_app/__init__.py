"""What a task is, where it waits, how it gets in and out.

The names below may be imported from here. They are looked up when somebody does, since Django
imports this package before the apps are ready.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "TaskContext": ".context",
    "current": ".context",
    "enqueue_many": ".bulk",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
