"""``dtps why``: why a task does not run, or ended as it did."""

from argparse import ArgumentParser
from typing import Any

from ..why import explain
from .command import CliCommand, Exit
from .terminal import Terminal


class WhyCommand(CliCommand):
    name = "why"
    help = "Say why a task does not run, or ended as it did: the most telling reason first."
    examples = "why 01980…\nwhy 01980… --json | jq -r '.reasons[0].code'"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", metavar="ID")

    def run(self, options: dict[str, Any], terminal: Terminal) -> Exit:
        found = explain(options["id"])
        if options["json"]:
            terminal.json(found.to_json())
            return Exit.DONE
        terminal.say(f"{found.task_id} is {found.status.value}.", "bold")
        for reason in found.reasons:
            terminal.say(f"- {reason.sentence}")
        return Exit.DONE
