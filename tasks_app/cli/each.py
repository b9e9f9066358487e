"""Commands that do one thing to many tasks: what is refused of one does not stop the others."""

from argparse import ArgumentParser
from typing import Any

from ..exceptions import QueueUnavailable, TaskSystemError
from ..words import many
from .command import CliCommand, Exit
from .ids import MANY, add_ids, confirm, ids_in
from .terminal import Terminal


class EachCommand(CliCommand):
    """Does ``act`` to each task, and says a line of it."""

    def act(self, task_id: str) -> dict[str, Any]:
        """The ``status`` that it has now, and ``before`` or ``run``. Raise TaskSystemError."""
        raise NotImplementedError

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_ids(parser)
        parser.add_argument("--yes", action="store_true", help=f"do not ask before over {MANY}")

    def run(self, options: dict[str, Any], terminal: Terminal) -> Exit:
        """Raise Refused without a yes, and QueueUnavailable."""
        ids = ids_in(options)
        confirm(ids, self.name.capitalize(), options, terminal)
        refused = 0
        for n, task_id in enumerate(ids):
            try:
                answer = self.act(task_id)
            except QueueUnavailable:
                if n:
                    terminal.remark(f"{n:,} of {many(len(ids), 'task')} were done before this:")
                raise
            except TaskSystemError as error:
                refused += 1
                answer = {"error": str(error)}
            _tell(task_id, answer, options, terminal)
        return Exit.REFUSED if refused else Exit.DONE


def _tell(
    task_id: str, answer: dict[str, Any], options: dict[str, Any], terminal: Terminal
) -> None:
    if options["json"]:
        terminal.json({"task_id": task_id} | answer, indent=None)
    elif "error" in answer:
        terminal.remark(f"{task_id}: {answer['error']}", "red")
    else:
        more = f"was {answer['before']}" if "before" in answer else f"run {answer['run']}"
        terminal.say(f"{task_id} {answer['status']} ({more})")
