"""The processes of a soak: a few workers of every kind, each replaced when it is gone."""

import os
import signal
from contextlib import suppress

import psutil

# Kinds of workers: processes, threads, both; all of them with coroutines, stealing and autoscaling.
SHAPES = [
    {"processes": 2, "threads": 1, "words": ("--min", "1", "--max", "3")},
    {"processes": 1, "threads": 4, "words": ("--min", "1", "--max", "6")},
    {"processes": 2, "threads": 2, "words": ("--min", "2", "--max", "6")},
]


class Berth:
    """Where one worker after the other lives, each behind the same line to Redis."""

    def __init__(self, world, shape):
        self.world, self.shape = world, shape
        self.line = world.proxy()
        self.worker = None

    def fill(self):
        """Start a worker if there is none."""
        if self.worker is not None and self.worker.is_alive:
            return
        shape = self.shape
        self.worker = self.world.leader(
            *shape["words"], processes=shape["processes"], threads=shape["threads"],
            url=self.line.through(self.world.server.url),
        )  # fmt: skip


class Fleet:
    """All berths, and who is in them."""

    def __init__(self, world, workers):
        self.world = world
        self.berths = [Berth(world, SHAPES[n % len(SHAPES)]) for n in range(workers)]

    def fill(self):
        for berth in self.berths:
            berth.fill()

    def pids(self, role):
        """The pids of all processes of a role: executor, coordinator, guard, or supervisor."""
        found = []
        for berth in self.berths:
            if berth.worker is None or not berth.worker.is_alive:
                continue
            if role == "supervisor":
                found.append(berth.worker.pid)
                continue
            for pid in self.world.members(berth.worker):
                with suppress(psutil.Error):
                    if role in " ".join(psutil.Process(pid).cmdline()):
                        found.append(pid)
        return found


def send(pid, number):
    """Signal a process that may be gone by now."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def kill(pid):
    send(pid, signal.SIGKILL)
