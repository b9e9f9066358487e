"""How operations are shown."""

from typing import Any

from ..api.task_view import rfc3339, row_of
from ..slices import page_of
from .models import Operation
from .preview import Preview
from .words import Action


def shown(operation: Operation) -> dict[str, Any]:
    """An operation for the API and the command line."""
    same = (
        "id", "action", "filter", "parameters", "who", "state", "expected", "matched", "done",
        "skipped", "failed", "message",
    )  # fmt: skip
    return {name: getattr(operation, name) for name in same} | {
        "created_at": rfc3339(operation.created_us),
        "started_at": rfc3339(operation.started_us),
        "ended_at": rfc3339(operation.ended_us),
    }


def preview_shown(action: Action, found: Preview) -> dict[str, Any]:
    """What a dry run answers."""
    return {
        "dry_run": True,
        "action": action,
        "matched": found.matched,
        "more": found.is_more,
        "sample": [row_of(record) for record in found.sample],
    }


def page(below: str, limit: int) -> dict[str, Any]:
    """The newest operations below an id."""
    rows = Operation.objects.defer("slice").order_by("-id")
    found, last = page_of(rows.filter(id__lt=below) if below else rows, limit)
    return {"results": [shown(operation) for operation in found], "next": last and last.id}
