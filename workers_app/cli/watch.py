"""``dtps watch``: follow a task until it has ended."""

import contextlib
import math
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from typing import Any

from tasks_app.actions import must_find
from tasks_app.api.task_view import status_of
from tasks_app.cli.command import CliCommand, Exit
from tasks_app.cli.status import show
from tasks_app.cli.terminal import STYLES, Terminal
from tasks_app.exceptions import QueueUnavailable
from tasks_app.message import StoredTask
from tasks_app.states import Status
from tasks_app.why.explanation import explanation_of
from tasks_app.words import clock

LOOK_SECONDS = 0.25
WHY_SECONDS = 1.0  # between two looks at the reason, which ask for more
PATIENCE_SECONDS = 30.0  # for a Redis that was there and went away

CODES = {
    Status.COMPLETED: Exit.DONE,
    Status.FAILED: Exit.FAILED,
    Status.CANCELLED: Exit.CANCELLED,
    Status.EXPIRED: Exit.EXPIRED,
}


class WatchCommand(CliCommand):
    name = "watch"
    help = "Follow a task until it has ended. The exit code tells how."
    examples = "watch 01980…\nwatch 01980… --timeout 60 && echo completed"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", metavar="ID")
        parser.add_argument("--timeout", type=float, default=math.inf, metavar="SECONDS",
                            help="stop watching after so long; the task goes on")  # fmt: skip

    def run(self, options: dict[str, Any], terminal: Terminal) -> Exit:
        tell = _json(terminal) if options["json"] else _lines(terminal)
        until = time.monotonic() + options["timeout"]
        task = must_find(options["id"])
        with _hint(terminal, options["json"]) as hint:
            while True:
                tell(task)
                if task.state.is_final:
                    break
                hint(task)
                if time.monotonic() >= until:
                    terminal.remark("It goes on; watching ends here.")
                    return Exit.STILL_OPEN
                time.sleep(min(LOOK_SECONDS, max(0.0, until - time.monotonic())))
                task = _look(options["id"], terminal)
        if not options["json"]:
            show(task, terminal)
        return CODES[task.state.status]


def _look(task_id: str, terminal: Terminal) -> StoredTask:
    """The task now. Raise QueueUnavailable if Redis stays away for long."""
    since = time.monotonic()
    while True:
        try:
            return must_find(task_id)
        except QueueUnavailable as error:
            if time.monotonic() - since > PATIENCE_SECONDS:
                raise
            terminal.remark(f"{error} Trying again.", "yellow")
            time.sleep(1.0)


def _lines(terminal: Terminal) -> Callable[[StoredTask], None]:
    """Tells each move in a line."""
    told = None

    def tell(task: StoredTask) -> None:
        nonlocal told
        state = task.state
        if (state.run, state.version) == told:
            return
        told = state.run, state.version
        at = clock((state.changed_ms * 1000) or task.message.submitted_us)
        where = f" on {state.worker}" if state.worker else ""
        terminal.say(f"{at} {state.status.value}{where}", STYLES.get(state.status.value, ""))

    return tell


def _json(terminal: Terminal) -> Callable[[StoredTask], None]:
    """Tells each move as an object in a line."""
    told = None

    def tell(task: StoredTask) -> None:
        nonlocal told
        if (task.state.run, task.state.version) != told:
            told = task.state.run, task.state.version
            terminal.json(status_of(task), indent=None)

    return tell


@contextlib.contextmanager
def _hint(terminal: Terminal, as_json: bool) -> Iterator[Callable[[StoredTask], None]]:
    """A line below the others that says why it is not done yet; only where somebody looks."""
    if as_json or not terminal.is_live:
        yield lambda task: None
        return
    looked_at = -math.inf
    with terminal.out.status("") as line:

        def hint(task: StoredTask) -> None:
            nonlocal looked_at
            if time.monotonic() - looked_at < WHY_SECONDS:
                return
            looked_at = time.monotonic()
            with contextlib.suppress(QueueUnavailable):
                line.update(explanation_of(task).reasons[0].sentence)

        yield hint
