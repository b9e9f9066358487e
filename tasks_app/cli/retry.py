"""``dtps retry``: run finished tasks once more."""

from argparse import ArgumentParser
from typing import Any

from .. import actions
from .command import CliCommand, Exit
from .each import for_each
from .ids import MANY, add_ids
from .terminal import Terminal


class RetryCommand(CliCommand):
    name = "retry"
    help = "Run finished tasks once more, under the same ids."
    examples = (
        "retry 01980…\n"
        "python manage.py dtps list --status failed --ids | python manage.py dtps retry - --yes"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_ids(parser)
        parser.add_argument("--yes", action="store_true", help=f"do not ask before over {MANY}")

    def run(self, options: dict[str, Any], terminal: Terminal) -> Exit:
        def retry(task_id: str) -> dict[str, Any]:
            return {"status": "pending", "run": actions.retry(task_id)}

        return for_each("Retry", retry, options, terminal)
