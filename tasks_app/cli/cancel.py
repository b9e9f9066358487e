"""``dtps cancel``: end open tasks."""

from argparse import ArgumentParser
from typing import Any

from .. import actions
from .command import CliCommand, Exit
from .each import for_each
from .ids import MANY, add_ids
from .terminal import Terminal
from .who import who


class CancelCommand(CliCommand):
    name = "cancel"
    help = "End open tasks; those that run are interrupted."
    examples = (
        "cancel 01980… 01981…\n"
        "python manage.py dtps list --queue mail --ids | python manage.py dtps cancel - --yes"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_ids(parser)
        parser.add_argument("--yes", action="store_true", help=f"do not ask before over {MANY}")

    def run(self, options: dict[str, Any], terminal: Terminal) -> Exit:
        by = who()

        def cancel(task_id: str) -> dict[str, Any]:
            return {"status": "cancelled", "before": actions.cancel(task_id, by=by).value}

        return for_each("Cancel", cancel, options, terminal)
