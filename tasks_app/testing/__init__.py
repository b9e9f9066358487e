"""For the tests of a project: its tasks run in the test's own process, as workers would run them.

``with kit() as dtps:``, the fixture ``dtps`` of pytest, or ``TasksMixin`` for Django's TestCase:
see docs/testing.md. The names are looked up when somebody asks for one, since pytest imports this
package in every run, also of a project that has no use for it.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "Clock": ".clock",
    "Kit": ".kits",
    "StillBusy": ".drain",
    "TasksMixin": ".mixin",
    "kit": ".kits",
}

__all__ = ["Clock", "Kit", "StillBusy", "TasksMixin", "kit"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
