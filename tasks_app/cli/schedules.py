"""``dtps schedules``: what is submitted again and again."""

from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from ..api.task_view import rfc3339
from ..models import Schedule
from ..words import span
from .command import CliCommand, Exit
from .terminal import Terminal

HEADS = ("schedule", "state", "type", "when", "next", "in", "last")


class SchedulesCommand(CliCommand):
    name = "schedules"
    help = "Show the schedules: when each is due next, and when it was fired last."
    examples = "schedules\nschedules --json | jq '.[] | select(.enabled) | .name'"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("names", nargs="*", metavar="NAME")

    def run(self, options: dict[str, Any], terminal: Terminal) -> Exit:
        names = options["names"]
        schedules = Schedule.objects.order_by("name")
        found = list(schedules.filter(name__in=names) if names else schedules)
        if options["json"]:
            terminal.json([_shown(schedule) for schedule in found])
        else:
            terminal.table(HEADS, map(_row, found))
        missing = sorted(set(names) - {schedule.name for schedule in found})
        for name in missing:
            terminal.remark(f"There is no schedule {name}.", "red")
        return Exit.REFUSED if missing else Exit.DONE


def _shown(schedule: Schedule) -> dict[str, Any]:
    return {
        "name": schedule.name,
        "type": schedule.type,
        "when": schedule.words,
        "cron": schedule.cron,
        "every": schedule.every,
        "timezone": schedule.timezone,
        "enabled": schedule.is_active,
        "next_at": rfc3339(schedule.next_us if schedule.is_active else 0),
        "last_at": rfc3339(schedule.last_us),
    }


def _row(schedule: Schedule) -> list[Any]:
    shown = _shown(schedule)
    left = (schedule.next_at - timezone.now()).total_seconds() if schedule.next_at else None
    return [
        schedule.name, "active" if schedule.is_active else "paused", schedule.type, schedule.words,
        (shown["next_at"] or "")[:19], "" if left is None else span(left),
        (shown["last_at"] or "")[:19],
    ]  # fmt: skip
