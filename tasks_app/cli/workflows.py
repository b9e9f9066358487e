"""``dtps workflows`` and ``dtps workflow``: tasks that wait for each other."""

from argparse import ArgumentParser
from typing import Any

from ..models import WorkflowRecord
from ..words import many
from ..workflows import view
from ..workflows.result import WorkflowResult, get_workflow
from .command import CliCommand, Exit, Refused
from .terminal import Terminal
from .who import who

HEADS = ("workflow", "name", "state", "done", "tasks", "created", "statuses")
TASK_HEADS = ("task", "name", "type", "layer", "status")
PAGE, MOST_ON_PAGE = 20, 1000


class WorkflowsCommand(CliCommand):
    name = "workflows"
    help = "List the workflows, the newest first."
    examples = "workflows\nworkflows --limit 5 --json | jq '.[] | select(.state == \"open\") | .id'"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--limit", type=int, default=PAGE, help=f"default {PAGE}")

    def run(self, options: dict[str, Any], terminal: Terminal) -> Exit:
        found, _ = view.page("", _most(options["limit"]))
        if options["json"]:
            terminal.json(found)
        else:
            terminal.table(HEADS, map(_row, found))
        return Exit.DONE


class WorkflowCommand(CliCommand):
    name = "workflow"
    help = "Show a workflow and its tasks; or cancel it, or retry what did not complete."
    examples = "workflow 01980…\nworkflow 01980… --status failed\nworkflow 01980… --retry"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", metavar="ID")
        parser.add_argument("--status", default="", help="show only the tasks that have it")
        parser.add_argument("--limit", type=int, default=PAGE, help=f"tasks; default {PAGE}")
        act = parser.add_mutually_exclusive_group()
        act.add_argument("--cancel", action="store_true", help="cancel all its open tasks")
        act.add_argument(
            "--retry", action="store_true",
            help="run its failed, expired and cancelled tasks once more, parents first",
        )  # fmt: skip

    def run(self, options: dict[str, Any], terminal: Terminal) -> Exit:
        workflow = get_workflow(options["id"])
        if options["cancel"]:
            return _cancel(workflow, options, terminal)
        if options["retry"]:
            return _retry(workflow, options, terminal)
        return _show(workflow.record, options, terminal)


def _cancel(workflow: WorkflowResult, options: dict[str, Any], terminal: Terminal) -> Exit:
    cancelled = workflow.cancel(by=who())
    if options["json"]:
        terminal.json({"id": workflow.id, "cancelled": cancelled})
    else:
        terminal.say(f"{many(cancelled, 'task')} cancelled.")
    return Exit.DONE


def _retry(workflow: WorkflowResult, options: dict[str, Any], terminal: Terminal) -> Exit:
    done = workflow.retry()
    if options["json"]:
        terminal.json({"id": workflow.id, "retried": done.tasks, "refused": done.refused})
    else:
        terminal.say(f"{many(done.tasks, 'task')} retried.")
        for task_id, reason in done.refused.items():
            terminal.remark(f"{task_id}: {reason}", "red")
    return Exit.REFUSED if done.refused else Exit.DONE


def _show(record: WorkflowRecord, options: dict[str, Any], terminal: Terminal) -> Exit:
    shown = view.shown(record)
    tasks, more = view.tasks(record.id, -1, _most(options["limit"]), options["status"] or None)
    if options["json"]:
        terminal.json(shown | {"tasks": tasks})
        return Exit.DONE
    terminal.facts(
        [
            ("workflow", shown["id"]),
            ("name", shown["name"]),
            ("state", shown["state"]),
            ("done", f"{shown['done']:,} of {many(shown['total'], 'task')}"),
            ("statuses", _statuses(shown)),
            ("created", (shown["created_at"] or "")[:19]),
            ("on failure", shown["on_failure"]),
        ]
    )
    terminal.table(TASK_HEADS, ([t["task_id"], t["name"], t["task_type"], t["layer"], t["status"]]
                                for t in tasks))  # fmt: skip
    if more is not None:
        terminal.remark("There are more: see --limit and --status.")
    return Exit.DONE


def _row(shown: dict[str, Any]) -> list[Any]:
    return [
        shown["id"], shown["name"], shown["state"], shown["done"], shown["total"],
        (shown["created_at"] or "")[:19], _statuses(shown),
    ]  # fmt: skip


def _statuses(shown: dict[str, Any]) -> str:
    return ", ".join(f"{count:,} {status}" for status, count in shown["statuses"].items())


def _most(limit: int) -> int:
    """Raise Refused."""
    if not 1 <= limit <= MOST_ON_PAGE:
        raise Refused(f"--limit is a number from 1 to {MOST_ON_PAGE:,}.")
    return limit
