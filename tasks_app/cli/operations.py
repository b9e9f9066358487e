"""``dtps operations``: what was done in bulk, by whom, and how far it is."""

from argparse import ArgumentParser
from typing import Any

from ..operations import orders
from ..operations.view import page, shown
from .command import CliCommand, Exit
from .terminal import Terminal
from .who import who

HEADS = ("operation", "state", "action", "filter", "by", "matched", "done", "skipped", "failed")


class OperationsCommand(CliCommand):
    name = "operations"
    help = "List bulk operations, the newest first; show one; or stop it."
    examples = "operations\noperations 01980…\noperations 01980… --cancel"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("ids", nargs="*", metavar="ID")
        parser.add_argument("--cancel", action="store_true", help="do no more of these")
        parser.add_argument("--limit", type=int, default=20, metavar="N", help="default 20")

    def run(self, options: dict[str, Any], terminal: Terminal) -> Exit:
        ids = options["ids"]
        if options["cancel"]:
            found = [shown(orders.cancel(each, by=who())) for each in ids]
        elif ids:
            found = [shown(orders.must_find(each)) for each in ids]
        else:
            found = page("", max(1, options["limit"]))["results"]
        if options["json"]:
            terminal.json(found)
        else:
            terminal.table(HEADS, map(_cells, found))
            for message in [each["message"] for each in found if ids and each["message"]]:
                terminal.remark(message)
        return Exit.DONE


def _cells(one: dict[str, Any]) -> list[Any]:
    to = "".join(f" {value}" for value in one["parameters"].values())
    words = " ".join(f"{name}={value}" for name, value in one["filter"].items())
    return [
        one["id"], one["state"], one["action"] + to, words, one["who"], one["matched"],
        one["done"], one["skipped"], one["failed"],
    ]  # fmt: skip
