"""``dtps keys`` and ``dtps rotate``: the keys that sensitive arguments are encrypted with."""

from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ..api.pagination import ms_of
from ..models import TaskRecord
from ..secrecy import rotation, sealing
from ..secrecy.rotation import CLEAR, PLACES, Rotation, Uses
from ..words import listed, many
from .command import CliCommand, Exit
from .terminal import Terminal


class KeysCommand(CliCommand):
    name = "keys"
    help = "Show what takes which encryption key, and which keys can go; or make a new one."
    examples = "keys\nkeys --new\nkeys --json"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--new", action="store_true", help="make a key, and do no more")

    def run(self, options: dict[str, Any], terminal: Terminal) -> Exit:
        if options["new"]:
            key = sealing.new_key()
            terminal.json({"key": key}) if options["json"] else terminal.say(key)
            return Exit.DONE
        uses = Uses()
        _follow(rotation.count(uses), terminal)
        if options["json"]:
            terminal.json([_shown(uses, key) for key in uses.keys])
            return Exit.DONE
        _table(uses, terminal)
        return Exit.DONE


class RotateCommand(CliCommand):
    name = "rotate"
    help = "Bring the history and the schedules under the first key; open tasks end as they are."
    examples = "rotate\nrotate --json"

    def run(self, options: dict[str, Any], terminal: Terminal) -> Exit:
        done = Rotation()
        _follow(rotation.rotate(done), terminal)
        if options["json"]:
            terminal.json(vars(done))
        else:
            terminal.remark(f"{many(done.renewed, 'record')} encrypted anew.")
            if done.open:
                terminal.remark(
                    f"{many(done.open, 'task')} not over yet, or just over: run this again later."
                )
            if done.lost:
                terminal.remark(
                    f"{many(done.lost, 'record')} that no key of ENCRYPTION_KEYS opens.", "red"
                )
        return Exit.REFUSED if done.lost else Exit.DONE


def _table(uses: Uses, terminal: Terminal) -> None:
    rows = ([key, _role(key), *uses.of(key).values()] for key in uses.keys)
    terminal.table(("key", "does", *PLACES), rows)
    old = sealing.fingerprints()[1:]
    if free := [key for key in old if uses.is_free(key)]:
        terminal.remark(f"Nothing takes {listed(free)} any more: ENCRYPTION_KEYS can do without.")
    if any(not uses.is_free(key) for key in [*old, CLEAR]) and sealing.is_on():
        terminal.remark("`dtps rotate` brings what is over under the first key.")
    if missing := [key for key in uses.keys if _role(key) == MISSING]:
        terminal.remark(f"What takes {listed(missing)} cannot be opened here.", "red")


MISSING = "is missing"


def _role(key: str) -> str:
    known = sealing.fingerprints()
    if key == CLEAR:
        return "not encrypted"
    if key not in known:
        return MISSING
    return "encrypts" if key == known[0] else "opens"


def _shown(uses: Uses, key: str) -> dict[str, Any]:
    name = None if key == CLEAR else key
    return {"key": name, "role": _role(key), **uses.of(key), "free": uses.is_free(key)}


def _follow(batches: Iterable[str], terminal: Terminal) -> None:
    """Go through the history; a bar while somebody looks."""
    with _bar(terminal) as advance:
        for task_id in batches:
            advance(task_id)


@contextmanager
def _bar(terminal: Terminal) -> Iterator[Any]:
    """By the moments in the ids: to count the rows would take as long as to read them."""
    ids = TaskRecord.objects.order_by("id").values_list("id", flat=True)
    ends = [ms_of(ids.first()), ms_of(ids.last())]
    if not terminal.err.is_terminal or None in ends:
        yield lambda task_id: None
        return
    first, last = ends
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=terminal.err, transient=True) as bar:
        row = bar.add_task("history", total=last - first)
        yield lambda task_id: bar.update(row, completed=(ms_of(task_id) or first) - first)
