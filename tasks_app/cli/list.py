"""``dtps list``: tasks, the newest first."""

from argparse import ArgumentParser
from typing import Any

from .. import listing
from ..api.serializers.listing import PageQuerySerializer
from ..api.task_view import row_of
from ..listing import Wanted
from .command import CliCommand, Exit
from .fields import add_fields, fields_in
from .terminal import Terminal

HEADS = ("task", "status", "type", "queue", "priority", "submitted", "worker", "error")
LONGEST_ERROR = 60


class ListCommand(CliCommand):
    name = "list"
    help = "List tasks, the newest first. The filters are those of GET /api/tasks."
    examples = (
        "list --status failed --type shop.tasks.send_receipt\n"
        "list --submitted-after 2030-01-30T00:00Z --json\n"
        "python manage.py dtps list --status failed --ids | python manage.py dtps retry - --yes"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_fields(parser, PageQuerySerializer())
        parser.add_argument("--ids", action="store_true", help="print the ids alone, one a line")

    def run(self, options: dict[str, Any], terminal: Terminal) -> Exit:
        asked = PageQuerySerializer().run_validation(fields_in(options, PageQuerySerializer()))
        limit = asked.pop("limit")
        records, below = listing.page(Wanted(**asked), limit)
        rows = [row_of(record) for record in records]
        if options["json"]:
            terminal.json({"results": rows, "next": below})
        elif options["ids"]:
            for row in rows:
                terminal.say(row["task_id"])
        else:
            terminal.table(HEADS, map(cells, rows))
        if below and not options["json"]:
            terminal.remark(f"There is more: --cursor {below}")
        return Exit.DONE


def cells(row: dict[str, Any]) -> list[Any]:
    error = " ".join(row["error"].split())
    return [
        row["task_id"], row["status"], row["task_type"], row["queue"], row["priority"],
        (row["submitted_at"] or "")[:19], row["worker_id"], error[:LONGEST_ERROR],
    ]  # fmt: skip
