"""How long it takes until a task runs again whose process, or whose whole worker, was killed."""

import os
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from statistics import median

import psutil

from tasks_app.broker import broker
from tasks_app.conf import conf

from . import tasks
from .report import Line
from .work import wait_until, worker

CHILDREN_FOR_EACH_HOST = 5  # rounds of the short kind for one of the long kind
SETTLED_SECONDS = 2.0


def measure(count: int) -> list[Line]:
    broker().link.call("FLUSHDB")
    with worker(processes=2) as process:
        children = [_of_child(process.pid) for _ in range(count * CHILDREN_FOR_EACH_HOST)]
        hosts = [_of_host() for _ in range(count)]
    lease = conf().lease_seconds
    return [
        Line("killed child, until its task runs again: median", median(children), "s"),
        Line(f"the longest of {len(children)}", max(children), "s"),
        Line("killed worker with all its processes: median", median(hosts), "s"),
        Line(f"the longest of {len(hosts)}", max(hosts), "s", f"the lease is {lease:g} s"),
    ]


def _of_child(supervisor: int) -> float:
    wait_until(lambda: _is_whole(supervisor), "two executors that did not die at once")
    with _Stamps() as stamps:
        tasks.stamp.enqueue(stamps.name)
        (pid, _), *_ = wait_until(lambda: stamps.seen(1), "the first run", pause=0.002)
        os.kill(pid, signal.SIGKILL)
        return stamps.until_the_second(time.monotonic_ns())


def _is_whole(supervisor: int) -> bool:
    """Whether nobody has just died: who dies again and again is replaced more slowly."""
    children = psutil.Process(supervisor).children()
    born = [each.create_time() for each in children if "executor" in " ".join(each.cmdline())]
    return len(born) == 2 and time.time() - max(born) > SETTLED_SECONDS


def _of_host() -> float:
    """The task is run by a second worker, which is killed; the first one leads and gets it."""
    with _Stamps() as stamps, worker(processes=1, queues="bench:host") as victim:
        tasks.stamp.using(queue_name="bench:host").enqueue(stamps.name)
        wait_until(lambda: stamps.seen(1), "the first run", pause=0.002)
        with worker(processes=1, queues="bench:host"):
            killed_at = _kill_all(victim.pid)
            return stamps.until_the_second(killed_at)


def _kill_all(pid: int) -> int:
    """End a worker as a power cut would; return when."""
    top = psutil.Process(pid)
    family = [top, *top.children(recursive=True)]
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.suspend()  # so that none sees another one's end
    at = time.monotonic_ns()
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return at


class _Stamps:
    """A file to which each run of a task adds a line."""

    def __enter__(self) -> "_Stamps":
        handle, self.name = tempfile.mkstemp(prefix="dtps-stamps-", dir="/tmp")
        os.close(handle)
        return self

    def __exit__(self, *_: object) -> None:
        Path(self.name).unlink()

    def seen(self, count: int) -> list[tuple[int, int]]:
        """Process and moment (ns) of each run, once there are so many."""
        lines = Path(self.name).read_text().splitlines()
        found = [tuple(map(int, line.split())) for line in lines]
        return found if len(found) >= count else []

    def until_the_second(self, since_ns: int) -> float:
        _, (_, at), *_ = wait_until(lambda: self.seen(2), "the second run", pause=0.005)
        return (at - since_ns) / 1e9
