"""``dtps top``: what goes on, redrawn each second; without a terminal one look at it."""

import time
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.text import Text

from tasks_app.cli.command import CliCommand, Exit
from tasks_app.cli.terminal import Terminal, safe, table_of
from tasks_app.exceptions import QueueUnavailable
from tasks_app.words import many, span

from ..live.snapshot import snapshot
from .workers import HEADS as WORKER_HEADS
from .workers import row_of

QUEUE_HEADS = ("queue", "ready", "scheduled", "state")
TASK_HEADS = ("task", "status", "type", "queue", "priority", "age", "worker")
FIXED_LINES = 8  # the head, titles and empty lines

Part = tuple[str, tuple[str, ...], list[list[Any]]]  # title, heads, rows


class TopCommand(CliCommand):
    name = "top"
    help = "Show queues, workers, rates and the newest tasks, redrawn each second. Ctrl-C ends it."
    examples = "top\ntop --interval 5\ntop --json | jq .waiting\ntop > now.txt"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--interval", type=float, default=1.0, metavar="SECONDS")
        parser.add_argument("--looks", type=int, default=0, metavar="N", help="end after N looks")

    def run(self, options: dict[str, Any], terminal: Terminal) -> Exit:
        if options["json"]:
            terminal.json(snapshot())
        elif terminal.is_live:
            _live(max(0.1, options["interval"]), options["looks"], terminal)
        else:
            _plain(snapshot(), terminal)
        return Exit.DONE


def _live(interval: float, looks: int, terminal: Terminal) -> None:
    """Redraw until Ctrl-C; a Redis that goes away is told, and waited for."""
    done = 0
    shown = _drawn(snapshot(), terminal)
    with Live(shown, console=terminal.out, screen=True, auto_refresh=False) as live:
        while not looks or (done := done + 1) < looks:
            time.sleep(interval)
            try:
                shown = _drawn(snapshot(), terminal)
                live.update(shown, refresh=True)
            except QueueUnavailable as error:
                trouble = Text(safe(str(error)), style="bold red")
                live.update(Group(trouble, shown), refresh=True)


def _drawn(found: dict[str, Any], terminal: Terminal) -> Group:
    drawn: list[Any] = [Text(_head(found), style="bold")]
    left = max(6, terminal.out.height - FIXED_LINES)
    for title, heads, rows in _parts(found):
        room = min(len(rows), max(2, left // 3 if title != "Newest tasks" else left))
        left -= room
        drawn += [Text(""), table_of(heads, rows[:room], title=title)]
    return Group(*drawn)


def _plain(found: dict[str, Any], terminal: Terminal) -> None:
    terminal.say(_head(found))
    for title, heads, rows in _parts(found):
        terminal.say(f"\n{title}")
        terminal.table(heads, rows)


def _head(found: dict[str, Any]) -> str:
    busy = sum(worker["activeTasks"] for worker in found["workers"].values())
    slots = sum(w["slots"] for w in found["workers"].values() if w["status"] != "inactive")
    said = [
        found["at"][11:19],
        f"{found['throughput']:,.1f} done/s",
        f"{found['waiting']:,} waiting",
        f"{found['scheduled']:,} scheduled",
        f"{busy} of {many(slots, 'slot')} in use",
        f"{found['processed']:,} completed",
        f"{found['failed']:,} failed",
    ]
    return "  ·  ".join(said)


def _parts(found: dict[str, Any]) -> list[Part]:
    at_ms = int(datetime.fromisoformat(found["at"]).timestamp() * 1000)
    queues = sorted(found["queues"], key=lambda queue: (-queue["ready"], queue["name"]))
    workers = sorted(found["workers"].values(), key=lambda worker: worker["status"] == "inactive")
    return [
        ("Queues", QUEUE_HEADS, [_queue(queue) for queue in queues]),
        ("Workers", WORKER_HEADS, [row_of(worker) for worker in workers]),
        ("Newest tasks", TASK_HEADS, [_task(task, at_ms) for task in found["latest"]]),
    ]


def _queue(queue: dict[str, Any]) -> list[Any]:
    state = "paused" if queue["paused"] else "open"
    return [queue["name"], queue["ready"], queue["scheduled"], state]


def _task(task: dict[str, Any], at_ms: int) -> list[Any]:
    return [
        task["id"], task["status"], task["type"], task["queue"], task["priority"],
        span((at_ms - task["submittedAt"]) / 1000), task.get("worker", ""),
    ]  # fmt: skip
