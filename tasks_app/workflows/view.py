"""Workflows as the API and the pages show them."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ..api.task_view import rfc3339
from ..models import Dependency, Member, WorkflowRecord
from ..slices import page_of
from ..states import Status
from .result import Progress, counts_of, members_of, with_status

MOST_DRAWN = 150  # nodes; above that tasks are drawn in groups


def page(below: str, limit: int) -> tuple[list[dict[str, Any]], str | None]:
    """Some workflows, the newest first, and what the next page is below; None: it is the last."""
    rows = WorkflowRecord.objects.order_by("-id")
    found, last = page_of(rows.filter(id__lt=below) if below else rows, limit)
    counts = counts_of([row.id for row in found])
    return [_shown(row, counts.get(row.id, {})) for row in found], last and last.id


def shown(record: WorkflowRecord) -> dict[str, Any]:
    return _shown(record, counts_of([record.id]).get(record.id, {}))


def tasks(
    workflow_id: str, after: int, limit: int, status: str | None = None
) -> tuple[list[dict[str, Any]], int | None]:
    """Some tasks of a workflow, parents first, and the position that the next page is after."""
    rows = with_status(members_of(workflow_id)).filter(position__gt=after)
    if status:
        rows = rows.filter(known=status)
    found, last = page_of(rows, limit)
    return [_task(row) for row in found], last and last.position


def _shown(record: WorkflowRecord, counts: dict[Status, int]) -> dict[str, Any]:
    progress = Progress(record.total, counts)
    return {
        "id": record.id,
        "name": record.name,
        "created_at": rfc3339(record.created_us),
        "cancelled_at": rfc3339(record.cancelled_us),
        "on_failure": record.on_failure,
        "total": record.total,
        "done": progress.done,
        "layers": record.layers,
        "state": _state(progress),
        "statuses": {status.value: counts[status] for status in Status if status in counts},
    }


def _state(progress: Progress) -> str:
    """One word: what all of its tasks come to."""
    if not progress.is_over:
        return "open"
    if progress.is_completed:
        return Status.COMPLETED.value
    if progress.statuses.get(Status.FAILED) or progress.statuses.get(Status.EXPIRED):
        return Status.FAILED.value
    return Status.CANCELLED.value


def _task(row: Any) -> dict[str, Any]:
    return {
        "task_id": row.task_id,
        "name": row.name,
        "task_type": row.type,
        "layer": row.layer,
        "status": row.known or row.first,
    }


class Place(NamedTuple):
    """A task in a graph."""

    group: str
    label: str
    layer: int
    status: str


def graph(record: WorkflowRecord) -> dict[str, Any]:
    """What is drawn: tasks, or of many groups of one type, and who waits for whom."""
    rows = list(with_status(members_of(record.id)))
    places, grouped_by = _places(rows), "task"
    for by in ("layer", "type"):
        if len({place.group for place in places.values()}) > MOST_DRAWN:
            grouped_by = by
            places = _grouped(rows, by)
    links = set()
    pairs = Dependency.objects.filter(workflow_id=record.id).values_list("parent_id", "child_id")
    for parent_id, child_id in pairs.iterator():
        parent, child = places.get(parent_id), places.get(child_id)
        if parent and child and parent.group != child.group:
            links.add((parent.group, child.group))
    return {"grouped_by": grouped_by, "nodes": _nodes(places.values()), "links": sorted(links)}


def _places(rows: Sequence[Any]) -> dict[str, Place]:
    return {
        row.task_id: Place(row.task_id, row.name, row.layer, row.known or row.first) for row in rows
    }


def _grouped(rows: Sequence[Member], by: str) -> dict[str, Place]:
    first: dict[str, int] = {}
    for row in rows:
        first[row.type] = min(first.get(row.type, row.layer), row.layer)
    found = {}
    for row in rows:
        layer = row.layer if by == "layer" else first[row.type]
        key = f"{layer}/{row.type}" if by == "layer" else row.type
        found[row.task_id] = Place(key, row.type, layer, row.known or row.first)
    return found


def _nodes(places: Iterable[Place]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for place in places:
        node = found.setdefault(
            place.group,
            {"key": place.group, "label": place.label, "layer": place.layer, "statuses": {}},
        )
        node["statuses"][place.status] = node["statuses"].get(place.status, 0) + 1
    return list(found.values())[:MOST_DRAWN]
