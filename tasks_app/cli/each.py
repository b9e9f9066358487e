"""One action on many tasks: what is refused of one does not stop the others."""

from collections.abc import Callable
from typing import Any

from ..exceptions import QueueUnavailable, TaskSystemError
from ..words import many
from .command import Exit
from .ids import confirm, ids_in
from .terminal import Terminal


def for_each(
    what: str,
    act: Callable[[str], dict[str, Any]],
    options: dict[str, Any],
    terminal: Terminal,
) -> Exit:
    """Do it, a line for each task. Raise Refused without a yes, and QueueUnavailable."""
    ids = ids_in(options)
    confirm(ids, what, options, terminal)
    refused = 0
    for n, task_id in enumerate(ids):
        try:
            answer = act(task_id)
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
