"""Replaces executors that have run many tasks or have grown large, between tasks only."""

import logging

import psutil

from tasks_app.conf import conf

from .seat import Child
from .seats import Seats

logger = logging.getLogger(__name__)


class Recycling:
    """Bounds for one executor's process, by default those of the settings; 0 is none."""

    def __init__(self, seats: Seats, most_tasks: int | None, most_memory_mb: int | None):
        self.recycled = 0  # executors that were replaced
        self._seats = seats
        self._most_tasks = conf().recycle_tasks if most_tasks is None else most_tasks
        megabytes = conf().recycle_memory_mb if most_memory_mb is None else most_memory_mb
        self._most_bytes = megabytes * 1024 * 1024

    def measure(self, children: list[Child]) -> None:
        """Note how large everybody is."""
        for child in children:
            child.rss_bytes = _rss_bytes(child.pid)

    def tick(self) -> None:
        """Retire who is over a bound."""
        for child in self._seats.seated:
            if why := self._why(child):
                logger.info("event=recycling executor=%s %s", child.executor, why)
                self._seats.replace(child)
                self.recycled += 1

    def _why(self, child: Child) -> str:
        counts = child.board.counts()
        tasks = counts.completed + counts.failed
        if self._most_tasks and tasks >= self._most_tasks:
            return f"tasks={tasks}"
        if self._most_bytes and child.rss_bytes > self._most_bytes:
            return f"rss={child.rss_bytes}"
        return ""


def _rss_bytes(pid: int) -> int:
    try:
        return psutil.Process(pid).memory_info().rss
    except (psutil.Error, OSError):  # also: too many open files
        return 0
