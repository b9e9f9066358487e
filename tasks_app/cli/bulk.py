"""``dtps bulk``: one action on all tasks that a filter finds."""

import time
from argparse import ArgumentParser
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..api.task_view import rfc3339, row_of
from ..message import now_us
from ..operations import orders
from ..operations.models import Operation
from ..operations.preview import Preview
from ..operations.serializers import OperationFilterSerializer
from ..operations.view import preview_shown, shown
from ..operations.words import Action, Stage
from ..retention.rules import span_in
from ..words import many
from .command import CliCommand, Exit
from .fields import add_fields, fields_in, json_or_text
from .ids import ask
from .list import HEADS, cells
from .terminal import Terminal
from .who import who

LOOK_SECONDS = 0.2
PATIENCE_SECONDS = 5.0  # until somebody is told that no coordinator seems to be there


class BulkCommand(CliCommand):
    name = "bulk"
    help = "Retry, cancel, move, reprioritise or delete all tasks that a filter finds."
    examples = (
        "bulk retry --type shop.tasks.send_receipt --since 2h --dry-run\n"
        "bulk priority --to 9 --queue mail --yes\n"
        "bulk delete --status completed --until 30d --yes --detach"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=Action.values, metavar="ACTION",
                            help=", ".join(Action.values))  # fmt: skip
        parser.add_argument("--to", metavar="VALUE", help="the new priority (1 to 10) or queue")
        add_fields(parser, OperationFilterSerializer())
        for name, word in (("since", "after"), ("until", "before")):
            parser.add_argument(
                f"--{name}", metavar="WHEN",
                help=f"a moment, or how long ago, such as 2h or 7d: as --finished-{word} where the "
                f"action is for tasks that have ended, else as --submitted-{word}",
            )  # fmt: skip
        parser.add_argument("--dry-run", action="store_true", help="only count, and show some")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--detach", action="store_true", help="do not wait; print its id")

    def run(self, options: dict[str, Any], terminal: Terminal) -> Exit:
        action = Action(options["action"])
        words, parameters = _words(action, options), _parameters(action, options["to"])
        found = orders.look(action, words, parameters)
        if options["dry_run"]:
            _show(action, found, options, terminal)
            return Exit.DONE
        ask(f"{action.capitalize()} {_how_many(found)}?", options, terminal)
        made = orders.begin(action, words, parameters, who=who())
        if options["detach"]:
            terminal.json(shown(made)) if options["json"] else terminal.say(made.id)
            return Exit.DONE
        return _tell(_follow(made, terminal), options, terminal)


def _words(action: Action, options: dict[str, Any]) -> dict[str, Any]:
    words = fields_in(options, OperationFilterSerializer())
    about = "finished" if orders.is_for_ended(action) else "submitted"
    for name, word in (("since", "after"), ("until", "before")):
        if options[name] is not None:
            words[f"{about}_{word}"] = _moment(options[name])
    return words


def _moment(text: str) -> str:
    seconds = span_in(text)
    return text if seconds is None else rfc3339(now_us() - int(seconds * 1_000_000)) or text


def _parameters(action: Action, to: str | None) -> dict[str, Any]:
    """The new value, by its name."""
    if to is None:
        return {}
    return {"queue": to} if action is Action.QUEUE else {"priority": json_or_text(to)}


def _how_many(found: Preview) -> str:
    return f"{'more than ' if found.is_more else ''}{many(found.matched, 'task')}"


def _show(action: Action, found: Preview, options: dict[str, Any], terminal: Terminal) -> None:
    if options["json"]:
        terminal.json(preview_shown(action, found))
        return
    terminal.remark(f"{_how_many(found)} would be found. The newest:")
    terminal.table(HEADS, (cells(row_of(record)) for record in found.sample))


def _follow(made: Operation, terminal: Terminal) -> Operation:
    """Wait until an operation has ended, with a bar while somebody looks."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Progress(
        *columns, TimeRemainingColumn(), console=terminal.err, transient=True,
        disable=not terminal.err.is_terminal,
    )  # fmt: skip
    told, since = False, time.monotonic()
    try:
        with bar:
            row = bar.add_task(made.action, total=made.expected)
            while made.is_under_way:
                time.sleep(LOOK_SECONDS)
                made.refresh_from_db()
                bar.update(row, completed=made.done + made.skipped + made.failed)
                waits = made.state == Stage.PENDING and time.monotonic() - since > PATIENCE_SECONDS
                if waits and not told:
                    told = True
                    terminal.remark("It has not begun; is a worker or a coordinator running?")
    except KeyboardInterrupt:
        terminal.remark(f"It goes on. To stop it: manage.py dtps operations {made.id} --cancel")
        raise
    return made


def _tell(made: Operation, options: dict[str, Any], terminal: Terminal) -> Exit:
    if options["json"]:
        terminal.json(shown(made))
    else:
        counts = f"{made.done:,} done, {made.skipped:,} skipped, {made.failed:,} failed"
        terminal.say(f"{made.id} {made.state}: {counts}.")
        if made.message:
            terminal.remark(made.message)
    is_well = made.state == Stage.DONE and not made.failed
    return Exit.DONE if is_well else Exit.REFUSED
