"""What a task can ask for: one table of options (``table.py``), and a module for each big one."""

from .backoff import Backoff
from .unique import Unique

__all__ = ["Backoff", "Unique"]
