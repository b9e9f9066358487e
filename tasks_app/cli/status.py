"""``dtps status``: what became of some tasks."""

import json
from argparse import ArgumentParser
from typing import Any

from .. import lookup
from ..api.task_view import all_of
from ..message import StoredTask
from ..words import span
from .command import CliCommand, Exit
from .ids import add_ids, ids_in
from .terminal import Terminal

LONGEST = 2000  # characters of a value that are shown


class StatusCommand(CliCommand):
    name = "status"
    help = "Show what became of tasks, with all that is known of each."
    examples = "status 01980…\nstatus 01980… --json | jq .output"

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_ids(parser)

    def run(self, options: dict[str, Any], terminal: Terminal) -> Exit:
        ids = ids_in(options)
        found = lookup.find_many(ids)
        for n, task_id in enumerate(each for each in ids if each in found):
            if options["json"]:
                task = found[task_id]
                shown = all_of(task, lookup.find_remarks(task_id, task.state))
                terminal.json(shown, indent=2 if len(ids) == 1 else None)
                continue
            if n:
                terminal.say("")
            show(found[task_id], terminal)
        missing = [task_id for task_id in ids if task_id not in found]
        for task_id in missing:
            terminal.remark(f"There is no task {task_id}.", "red")
        return Exit.REFUSED if missing else Exit.DONE


def show(task: StoredTask, terminal: Terminal) -> None:
    """A task as a list of facts, and its attempts."""
    shown = all_of(task)
    metrics = shown["metrics"]
    terminal.facts(
        [
            ("task", shown["task_id"]),
            ("type", shown["task_type"]),
            ("status", shown["status"]),
            ("note", shown["note"]),
            ("queue", shown["queue"]),
            ("priority", shown["priority"]),
            ("args", _shown(shown["args"]) if shown["args"] else ""),
            ("kwargs", _shown(shown["kwargs"]) if shown["kwargs"] else ""),
            ("tags", ", ".join(shown["tags"])),
            ("worker", shown["worker_id"]),
            ("submitted", shown["submitted_at"]),
            ("not before", shown["run_after"]),
            ("started", shown["start_time"]),
            ("ended", shown["end_time"]),
            ("deadline", shown["deadline"]),
            ("expires", shown["expires"]),
            ("waited", _nanoseconds(metrics["queue_wait_time"])),
            ("ran", _nanoseconds(metrics["processing_time"])),
            ("retries", f"{shown['retry_count']} of {shown['retries']}"),
            ("result", _shown(shown["output"]) if shown["status"] == "completed" else ""),
            ("error", shown["error"]),
        ]
    )
    for attempt in shown["attempts"]:
        said = [attempt["outcome"], attempt["worker_id"], attempt["error_type"], attempt["error"]]
        terminal.say(f"attempt {attempt['number']}  {'  '.join(filter(None, said))}")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"


def _nanoseconds(value: int) -> str:
    return span(value / 1e9) if value else ""
