"""Django's admin on what the database holds: tasks, workers, tokens, quarantine."""

from .quarantine import QuarantineAdmin
from .tasks import TaskAdmin
from .tokens import TokenAdmin
from .workers import WorkerAdmin

__all__ = ["QuarantineAdmin", "TaskAdmin", "TokenAdmin", "WorkerAdmin"]
