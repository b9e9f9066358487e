"""``manage.py audit``: whether what is promised holds, on a system that goes on working.

A probe looks at one kind of thing, in small steps. One look is one moment, by a Lua script that
only reads; so a task that moves is never seen in two places. Whatever seems wrong is looked at
again a little later, and told only if it is still the same.
"""

from .auditor import SETTLE_SECONDS, Auditor
from .findings import KINDS, Report

__all__ = ["KINDS", "SETTLE_SECONDS", "Auditor", "Report"]
