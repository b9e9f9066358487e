"""``dtps workers``: who works; pause, resume, restart, scale and stop."""

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from tasks_app.cli.command import CliCommand, Exit, Refused
from tasks_app.cli.terminal import Terminal
from tasks_app.exceptions import QueueUnavailable, TaskSystemError

from ..agent import fleet_control
from ..api import steering
from ..control import MOST_SLOTS
from ..live import snapshot as live

ACTIONS: dict[str, tuple[Callable[[str], None], str]] = {
    "pause": (steering.pause, "is told to pause"),
    "resume": (steering.resume, "is told to go on"),
    "restart": (steering.restart, "is told to drain and begin anew"),
    "stop": (fleet_control.stop_worker, "is told to drain and end"),
}
HEADS = ("worker", "status", "queues", "slots", "running", "in hand", "done", "failed")


class WorkersCommand(CliCommand):
    name = "workers"
    help = "Show the workers; pause, resume, restart, stop and scale them."
    examples = (
        "workers\nworkers pause host-1a2b3c4d\nworkers scale host-1a2b3c4d 8\n"
        "workers stop host-1a2b3c4d host-5e6f7a8b\nworkers --json"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = ("list", *ACTIONS, "scale")
        parser.add_argument("action", nargs="?", choices=actions, default="list")
        parser.add_argument("words", nargs="*", metavar="WORKER", help="for scale: WORKER SLOTS")

    def run(self, options: dict[str, Any], terminal: Terminal) -> Exit:
        action, words = options["action"], options["words"]
        if action == "list":
            return _list(words, options["json"], terminal)
        if action == "scale":
            worker, slots = _scale_of(words)
            steering.scale(worker, slots)
            _tell(worker, f"is told to have {slots} slots", options["json"], terminal)
            return Exit.DONE
        if not words:
            raise Refused(f"Which worker is to {action}?")
        return _order(action, words, options["json"], terminal)


def _order(action: str, workers: list[str], as_json: bool, terminal: Terminal) -> Exit:
    """Order all of them; what is refused of one does not stop the others."""
    act, said = ACTIONS[action]
    code = Exit.DONE
    for worker in workers:
        try:
            act(worker)
        except QueueUnavailable:
            raise
        except TaskSystemError as error:
            code = Exit.REFUSED
            terminal.remark(str(error), "red")
        else:
            _tell(worker, said, as_json, terminal)
    return code


def _tell(worker: str, said: str, as_json: bool, terminal: Terminal) -> None:
    if as_json:
        terminal.json({"id": worker, "status": said}, indent=None)
    else:
        terminal.say(f"{worker} {said}.")


def _scale_of(words: list[str]) -> tuple[str, int]:
    if len(words) == 2 and words[1].isascii() and words[1].isdigit():
        slots = int(words[1])
        if 1 <= slots <= MOST_SLOTS:
            return words[0], slots
    raise Refused(f"Scale takes a worker and its slots, 1 to {MOST_SLOTS}.")


def _list(names: list[str], as_json: bool, terminal: Terminal) -> Exit:
    found = {name: each for name, each in live.workers().items() if not names or name in names}
    if as_json:
        terminal.json(found)
    else:
        terminal.table(HEADS, map(row_of, found.values()))
    return Exit.REFUSED if names and not found else Exit.DONE


def row_of(worker: dict[str, Any]) -> list[Any]:
    """A worker of the snapshot as a row below HEADS."""
    return [
        worker["id"], worker["status"], ",".join(worker["queues"]), worker["slots"],
        worker["activeTasks"], worker["reserved"], worker["tasksProcessed"], worker["tasksFailed"],
    ]  # fmt: skip
