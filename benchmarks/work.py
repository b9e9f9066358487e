"""A real worker with its coordinator, and messages to give it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings

from tasks_app import registry
from tasks_app.broker import broker
from tasks_app.enqueue import TaskRequest, message_of
from tasks_app.message import TaskMessage

from . import tasks

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_SECONDS = 120
PAYLOAD = "x" * 100
SLICE = 1000  # tasks a call of a bulk submit


def requests(count: int) -> list[TaskRequest]:
    """``count`` times the task that does nothing, with 100 bytes of payload."""
    noop = registry.get(tasks.noop.module_path)
    return [TaskRequest(noop, kwargs={"payload": PAYLOAD}) for _ in range(count)]


def messages(count: int) -> list[TaskMessage]:
    return [message_of(request) for request in requests(count)]


def wait_until(condition: Callable[[], Any], what: str, pause: float = 0.01) -> Any:
    """Poll until the condition holds, and return what it said."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not (value := condition()):
        if time.monotonic() > until:
            raise TimeoutError(f"{what} did not happen within {PATIENCE_SECONDS} s")
        time.sleep(pause)
    return value


@contextmanager
def worker(processes: int = 2, queues: str = "default") -> Iterator[subprocess.Popen]:
    """``manage.py runworker``, registered and with a coordinator at work. It may end before."""
    log = (Path(settings.VAR_DIR) / "worker.log").open("ab")
    command = [
        sys.executable, str(ROOT / "manage.py"), "runworker",
        "--processes", str(processes), "--threads", "1",
        "--min", str(processes), "--max", str(processes), "--queues", queues,
    ]  # fmt: skip
    known = set(broker().fleet.workers())
    process = subprocess.Popen(
        command, cwd=ROOT, env=os.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
    )
    try:
        wait_until(lambda: _is_ready(process, known), f"a worker (see {log.name})")
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)
        log.close()


def _is_ready(process: subprocess.Popen, known: set[str]) -> bool:
    if process.poll() is not None:
        log = Path(settings.VAR_DIR) / "worker.log"
        raise RuntimeError(f"The worker ended with {process.returncode}:\n{log.read_text()}")
    new = [each for name, each in broker().fleet.workers().items() if name not in known]
    return bool(new and broker().fleet.leader())


def done(count: int) -> bool:
    """Whether so many tasks have completed since the counters were reset."""
    return broker().stats().count("completed") >= count


def recorded() -> bool:
    """Whether the history has everything that happened."""
    return broker().stats().unrecorded == 0
