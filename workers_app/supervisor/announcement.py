"""What a worker says of itself with each renewal of its lease."""

import os
import socket
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from tasks_app.message import now_us
from tasks_app.registry import task_types
from tasks_app.sketch import sketch_of

from ..control import PoolConfig
from .recycling import Recycling
from .scaling import Scaling
from .seat import Child
from .seats import Seats
from .stealing import Stealing
from .tally import Tally

MOST_SHOWN = 50  # executors, so that a renewal stays small

ACTIVE, PAUSED, STOPPING = "active", "paused", "stopping"


class Announcement:
    """Puts it together from the parts of a supervisor."""

    def __init__(
        self, config: PoolConfig, seats: Seats, tally: Tally, stealing: Stealing,
        recycling: Recycling, scaling: Scaling,
    ):  # fmt: skip
        self._seats = seats
        self._tally = tally
        self._stealing = stealing
        self._recycling = recycling
        self._scaling = scaling
        self._config = config
        self._never_changes = {
            "hostname": socket.gethostname(),
            "pid": os.getpid(),
            "started_us": now_us(),
            "queues": list(config.queues),
            "kind": seats.kind,
            "types": len(task_types()),
            "known": sketch_of(task_types()),
            "config": config.to_json(),
            "version": _version(),
        }

    def said(self, *, is_stopping: bool) -> dict[str, Any]:
        """How it is now."""
        children = self._seats.children
        loads = [child.board.load() for child in children]
        total = self._tally.total(children)
        status = STOPPING if is_stopping else PAUSED if self._seats.is_paused else ACTIVE
        return self._never_changes | {
            "slots": self._seats.slots,
            "processes": len(self._seats),
            "threads": self._seats.threads,
            "bounds": list(self._scaling.bounds),
            "status": status,
            "processed": total.completed + total.failed,
            "failed": total.failed,
            "busyUs": total.busy_us,
            "stolen": total.stolen,
            "stolenFrom": self._stealing.stolen_from,
            "crashed": self._tally.crashed,
            "recycled": self._recycling.recycled,
            "active": sum(started for started, _ in loads),
            "reserved": sum(waiting for _, waiting in loads),
            "executors": [
                _line(child, *load)
                for child, load in list(zip(children, loads, strict=True))[:MOST_SHOWN]
            ],
        }


def _line(child: Child, started: int, waiting: int) -> dict[str, Any]:
    return {
        "id": child.executor,
        "pid": child.pid,
        "active": started,
        "reserved": waiting,
        "memoryBytes": child.rss_bytes,
    }


def _version() -> str:
    try:
        return version("distributed-task-processing-system")
    except PackageNotFoundError:
        return ""
