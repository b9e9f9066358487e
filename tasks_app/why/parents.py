"""Which tasks one waits for."""

from collections.abc import Iterator

from ..broker import broker
from ..states import FINAL, Status
from ..words import listed, many
from ..workflows.parents import ids_for, statuses_of
from .reason import Reason
from .scene import Scene

MOST_NAMED = 3


def parent_reasons(scene: Scene) -> Iterator[Reason]:
    """The open ones by name; or, if all have ended, that it is about to be let go."""
    ids = ids_for(scene.message.id)
    statuses = statuses_of(ids)
    is_open = [i for i in ids if i in statuses and statuses[i] not in FINAL]
    if is_open:
        yield _waits_for(is_open, statuses, len(ids))
    elif not scene.message.limit:
        yield Reason("released", "The tasks that it waited for have ended: it is let go next.")
        if broker().fleet.leader() is None:
            yield Reason(
                "no_coordinator",
                "No coordinator runs that would let it go: start a worker, or `manage.py "
                "runcoordinator`.",
            )


def _waits_for(is_open: list[str], statuses: dict[str, Status], total: int) -> Reason:
    said = listed([f"task {task_id} ({statuses[task_id].value})" for task_id in is_open])
    done = total - len(is_open)
    more = f" {done:,} of {many(total, 'task')} have ended." if total > 1 else ""
    return Reason(
        "waits_for",
        f"It waits for {said}.{more}",
        {"tasks": is_open[:MOST_NAMED], "open": len(is_open), "of": total},
    )
