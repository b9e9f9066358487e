"""``dtps schedules``: what is submitted again and again; steered, run, and looked at."""

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.utils import timezone

from ..api.task_view import rfc3339
from ..exceptions import QueueUnavailable, TaskSystemError
from ..message import now_us
from ..models import Schedule
from ..schedules import operations, view
from ..words import span
from .command import CliCommand, Exit, Refused
from .terminal import Terminal

HEADS = ("schedule", "state", "type", "when", "next", "in", "last")
NEXT_HEADS = ("schedule", "next", "in")
FIRING_HEADS = ("schedule", "due", "fired", "by", "status", "task", "reason")
PAGE, MOST_ON_PAGE = 20, 200  # firings of each schedule


class SchedulesCommand(CliCommand):
    name = "schedules"
    help = "Show the schedules; pause, resume and run them; their next times and their history."
    examples = (
        "schedules\n"
        "schedules pause nightly\n"
        "schedules resume nightly weekly\n"
        "schedules next nightly\n"
        "schedules history nightly --limit 5\n"
        "python manage.py dtps watch $(python manage.py dtps schedules run nightly)\n"
        "schedules --json | jq '.[] | select(.enabled) | .name'"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "action", nargs="?", default="list", metavar="ACTION",
            help="list (the default), pause, resume, run (now, also while it is paused), "
            "next (five times), history (of firings)",
        )  # fmt: skip
        parser.add_argument("names", nargs="*", metavar="NAME")
        parser.add_argument(
            "--limit",
            type=int,
            default=PAGE,
            help=f"firings of each in its history; default {PAGE}",
        )

    def run(self, options: dict[str, Any], terminal: Terminal) -> Exit:
        action, names = options["action"], options["names"]
        if action not in ACTIONS:  # then it is a name: those are listed
            action, names = "list", [action, *names]
        if action in NEED_NAMES and not names:
            raise Refused(f"Of which schedule? As in: schedules {action} NAME")
        if not 1 <= options["limit"] <= MOST_ON_PAGE:
            raise Refused(f"--limit is a number from 1 to {MOST_ON_PAGE}.")
        found, code = _each(names, _FINDING.get(action, operations.must_find), terminal)
        ACTIONS[action](found, options, terminal)
        return code


def _each(
    names: list[str], act: Callable[[str], Any], terminal: Terminal
) -> tuple[list[Any], Exit]:
    """What comes of each of the schedules, all without names; one that is refused is told."""
    done, code = [], Exit.DONE
    for name in names or Schedule.objects.order_by("name").values_list("name", flat=True):
        try:
            done.append(act(name))
        except QueueUnavailable:
            raise
        except TaskSystemError as error:
            terminal.remark(str(error), "red")
            code = Exit.REFUSED
    return done, code


def _run(name: str) -> dict[str, str]:
    return {"name": name, "task_id": operations.run_now(name).task_id}


# What is done to each; the others only look at them.
_FINDING: dict[str, Callable[[str], Any]] = {
    "pause": lambda name: operations.set_enabled(name, False),
    "resume": lambda name: operations.set_enabled(name, True),
    "run": _run,
}
NEED_NAMES = frozenset({*_FINDING, "history"})


def _list(found: list[Schedule], options: dict[str, Any], terminal: Terminal) -> None:
    if options["json"]:
        terminal.json([_shown(schedule) for schedule in found])
    else:
        terminal.table(HEADS, map(_row, found))


def _tell_steered(found: list[Schedule], options: dict[str, Any], terminal: Terminal) -> None:
    if options["json"]:
        _list(found, options, terminal)
        return
    for schedule in found:
        coming = view.next_us(schedule, 1)
        state = f"next {view.clock(schedule, coming[0])}" if coming else "no next time"
        terminal.remark(f"{schedule.name} is {view.state_of(schedule)}: {state}.")


def _tell_run(ran: list[dict[str, str]], options: dict[str, Any], terminal: Terminal) -> None:
    if options["json"]:
        terminal.json(ran)
        return
    for each in ran:
        terminal.say(each["task_id"])


def _next(found: list[Schedule], options: dict[str, Any], terminal: Terminal) -> None:
    times = [(schedule, view.next_us(schedule)) for schedule in found]
    if options["json"]:
        terminal.json([{"name": s.name, "next": [rfc3339(us) for us in all_]} for s, all_ in times])
        return
    now = now_us()
    rows = (
        [schedule.name, view.clock(schedule, us), span((us - now) / 1e6)]
        for schedule, coming in times
        for us in coming
    )
    terminal.table(NEXT_HEADS, rows)
    for schedule, coming in times:
        if not coming:
            terminal.remark(f"{schedule.name} is {view.state_of(schedule)} and has no next time.")


def _history(found: list[Schedule], options: dict[str, Any], terminal: Terminal) -> None:
    firings = [
        (schedule, each) for schedule in found for each in view.firings(schedule, options["limit"])
    ]
    if options["json"]:
        terminal.json([{"schedule": s.name, **_firing(each)} for s, each in firings])
        return
    rows = (
        [
            schedule.name, each["slot"][:19], each["fired"][:19],
            "operator" if each["manual"] else "clock", each["status"],
            each["taskId"] or "", each["reason"],
        ]
        for schedule, each in firings
    )  # fmt: skip
    terminal.table(FIRING_HEADS, rows)


ACTIONS: dict[str, Callable[[list[Any], dict[str, Any], Terminal], None]] = {
    "list": _list,
    "pause": _tell_steered,
    "resume": _tell_steered,
    "run": _tell_run,
    "next": _next,
    "history": _history,
}


def _firing(shown: dict[str, Any]) -> dict[str, Any]:
    """A firing, in names as the command line has them."""
    return {"task_id" if name == "taskId" else name: value for name, value in shown.items()}


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
        schedule.name, view.state_of(schedule), schedule.type, schedule.words,
        (shown["next_at"] or "")[:19], "" if left is None else span(left),
        (shown["last_at"] or "")[:19],
    ]  # fmt: skip
