"""The one question, and its answer."""

from dataclasses import dataclass
from typing import Any

from ..actions import must_find
from ..message import StoredTask
from ..states import FINAL, Status
from .ended import ended_reasons
from .held import assigned_reasons, processing_reasons
from .reason import Reason
from .scene import Scene
from .waiting import waiting_reasons

HELD = {Status.ASSIGNED: assigned_reasons, Status.PROCESSING: processing_reasons}


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a task is where it is."""

    task_id: str
    status: Status
    reasons: list[Reason]  # the most telling first; never empty

    def to_json(self) -> dict[str, Any]:
        return {
            "task_id": self.task_id,
            "status": self.status.value,
            "reasons": [reason.to_json() for reason in self.reasons],
        }


def explain(task_id: str) -> Explanation:
    """Look, and say why a task does not run, or what became of it.

    Raise TaskNotFound, or QueueUnavailable.
    """
    return explanation_of(must_find(task_id))


def explanation_of(task: StoredTask) -> Explanation:
    """The same of a task that was just looked up. Raise QueueUnavailable."""
    scene = Scene.of(task)
    status = task.state.status
    tell = ended_reasons if status in FINAL else HELD.get(status, waiting_reasons)
    return Explanation(task.message.id, status, list(tell(scene)))
