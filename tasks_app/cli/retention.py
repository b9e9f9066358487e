"""``dtps retention``: how long what has ended is kept, and what would go now."""

from typing import Any

from ..retention.view import shown
from ..words import many, span
from .command import CliCommand, Exit
from .terminal import Terminal

HEADS = ("status", "kept for", "tasks to go", "MB")


class RetentionCommand(CliCommand):
    name = "retention"
    help = "Show how long the history keeps what has ended, and how much would go now."
    examples = "retention\nretention --json | jq '.statuses[].tasks'"

    def run(self, options: dict[str, Any], terminal: Terminal) -> Exit:
        found = shown()
        if options["json"]:
            terminal.json(found)
            return Exit.DONE
        terminal.table(HEADS, map(_cells, found["statuses"]))
        for name, of in found["types"].items():
            kept = ", ".join(f"{status} {_kept(seconds)}" for status, seconds in of.items())
            terminal.remark(f"{name}: {kept}")
        if found["max_records"]:
            terminal.remark(
                f"The history has {many(found['records'], 'task')}, and may have "
                f"{found['max_records']:,}."
            )
        return Exit.DONE


def _cells(one: dict[str, Any]) -> list[Any]:
    more = "more than " if one["more"] else ""
    size = f"{one['bytes'] / 1e6:,.1f}"
    return [one["status"], _kept(one["seconds"]), f"{more}{one['tasks']:,}", f"{more}{size}"]


def _kept(seconds: float | None) -> str:
    return "ever" if seconds is None else span(seconds)
