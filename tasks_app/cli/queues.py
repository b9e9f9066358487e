"""``dtps queues``: what waits where; pause and resume."""

from argparse import ArgumentParser
from typing import Any

from ..api.queue_view import queue_shown
from ..broker import broker
from ..normalize import queue_error
from .command import CliCommand, Exit, Refused
from .terminal import Terminal


class QueuesCommand(CliCommand):
    name = "queues"
    help = "Show the queues; pause and resume them."
    examples = "queues\nqueues pause mail\nqueues resume mail media\nqueues --json"

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = ("list", "pause", "resume")
        parser.add_argument("action", nargs="?", choices=actions, default="list")
        parser.add_argument("names", nargs="*", metavar="QUEUE")

    def run(self, options: dict[str, Any], terminal: Terminal) -> Exit:
        action, names = options["action"], options["names"]
        if action != "list":
            _steer(action, names, terminal)
        if action == "list" or options["json"]:
            _list(names, options["json"], terminal)
        return Exit.DONE


def _steer(action: str, names: list[str], terminal: Terminal) -> None:
    if not names:
        raise Refused(f"Which queue is to {action}?")
    for name in names:
        if wrong := queue_error(name):
            raise Refused(f"{name!r}: {wrong}")
    for name in names:
        is_news = broker().pause(name) if action == "pause" else broker().resume(name)
        done = "paused" if action == "pause" else "open"
        terminal.remark(f"{name} {'is' if is_news else 'was already'} {done}.")


def _list(names: list[str], as_json: bool, terminal: Terminal) -> None:
    queues = [q for q in broker().stats().queues if not names or q.name in names]
    if as_json:
        terminal.json([queue_shown(queue) for queue in queues])
        return
    rows = (
        [q.name, q.ready, q.waiting, q.scheduled, "paused" if q.is_paused else "open"]
        for q in queues
    )
    terminal.table(("queue", "ready", "waiting", "scheduled", "state"), rows)
