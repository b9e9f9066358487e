"""``dtps submit``: one task from the command line, or many from a file."""

import contextlib
import itertools
import os
import re
import stat
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..api import submission
from ..api.serializers.submit import SubmitSerializer
from ..exceptions import QueueUnavailable
from ..words import many
from .command import CliCommand, Exit, Refused
from .fields import add_fields, fields_in, json_or_text
from .importing import Broken, Import
from .lines import Line, csv_lines, jsonl_lines
from .terminal import Terminal

FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl"}
KEYWORD = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
ERRORS_SHOWN = 20


class SubmitCommand(CliCommand):
    name = "submit"
    help = "Submit a task, or many from a file."
    examples = (
        "submit wordcount 'to be or not to be' --priority 8\n"
        "submit shop.tasks.send_receipt order_id=17 --run-after 2030-01-30T15:04Z --tags mail\n"
        "submit --file tasks.jsonl --dry-run\n"
        "submit shop.tasks.send_receipt --file orders.csv --queue mail\n"
        "zcat tasks.jsonl.gz | python manage.py dtps submit --file - --ids"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("type", nargs="?", metavar="TYPE", help="one of GET /api/task-types")
        parser.add_argument(
            "arguments", nargs="*", metavar="ARG",
            help="JSON, or else a text; name=… is a keyword argument",
        )  # fmt: skip
        add_fields(parser, SubmitSerializer(), skip=("taskType",))
        many = parser.add_argument_group("many tasks")
        many.add_argument(
            "--file", metavar="FILE",
            help="lines of JSON as POST /api/tasks/submit takes it; or CSV with a head; -: stdin",
        )  # fmt: skip
        many.add_argument("--format", choices=("jsonl", "csv"), help="if the name does not tell")
        many.add_argument("--from-line", type=int, default=1, metavar="N", help="go on with line N")
        many.add_argument("--ids", action="store_true", help="print the ids, one a line")
        parser.add_argument("--dry-run", action="store_true", help="check, and submit nothing")

    def run(self, options: dict[str, Any], terminal: Terminal) -> Exit:
        if options["file"] is None:
            return _one(options, terminal)
        if options["arguments"]:
            raise Refused("Give the arguments in the file, or on the command line.")
        return _many(options, terminal)


def _common(options: dict[str, Any]) -> dict[str, Any]:
    """What the options say of every task."""
    task = fields_in(options, SubmitSerializer())
    return task | ({"taskType": options["type"]} if options["type"] else {})


def _one(options: dict[str, Any], terminal: Terminal) -> Exit:
    if not options["type"]:
        raise Refused("Which task type? See GET /api/task-types; or give --file.")
    task, words = _common(options), _arguments(options["arguments"])
    if twice := task.keys() & words.keys():
        raise Refused(f"Give --{twice.pop()}, or words after the type.")
    task |= words
    task = SubmitSerializer().run_validation(task)
    if options["dry_run"]:
        submission.message_of(task)
        terminal.remark("It would be submitted.")
        return Exit.DONE
    done = submission.submit(task)
    if options["json"]:
        terminal.json({"taskId": done.id, "isNew": done.is_new})
        return Exit.DONE
    terminal.say(done.id)
    if not done.is_new:
        terminal.remark("It was there already, and stands for this one.")
    return Exit.DONE


def _arguments(words: list[str]) -> dict[str, Any]:
    args, kwargs = [], {}
    for word in words:
        if found := KEYWORD.fullmatch(word):
            kwargs[found[1]] = json_or_text(found[2])
        else:
            args.append(json_or_text(word))
    return ({"args": args} if args else {}) | ({"kwargs": kwargs} if kwargs else {})


def _many(options: dict[str, Any], terminal: Terminal) -> Exit:
    found = Import(is_dry=options["dry_run"])
    with _opened(options["file"]) as file, _progress(file, terminal) as advance:
        lines = _lines(file, options)
        wanted = itertools.dropwhile(lambda line: line.number < options["from_line"], lines)
        try:
            for _ in found.run(wanted):
                advance()
                for task_id in found.ids if options["ids"] else ():
                    terminal.say(task_id)
        except Broken as error:
            _tell(found, str(error), options, terminal)
            return Exit.AWAY if isinstance(error.__cause__, QueueUnavailable) else Exit.REFUSED
    _tell(found, "", options, terminal)
    return Exit.REFUSED if found.wrong else Exit.DONE


def _lines(file: TextIO, options: dict[str, Any]) -> Iterator[Line]:
    kind = options["format"] or FORMATS.get(Path(options["file"]).suffix.lower(), "jsonl")
    if kind == "csv":
        return csv_lines(file, _common(options), SubmitSerializer())
    return jsonl_lines(file, _common(options))


@contextlib.contextmanager
def _opened(name: str) -> Iterator[TextIO]:
    if name == "-":
        yield sys.stdin
        return
    try:
        file = Path(name).open(encoding="utf-8", errors="surrogateescape", newline="")  # noqa: SIM115
    except OSError as error:
        raise Refused(f"{name} cannot be read: {error.strerror}.") from error
    with file:
        yield file


@contextlib.contextmanager
def _progress(file: TextIO, terminal: Terminal) -> Iterator[Any]:
    """A bar by bytes while somebody looks, for a file of a known size."""
    status = os.fstat(file.fileno())
    if not terminal.err.is_terminal or not stat.S_ISREG(status.st_mode):
        yield lambda: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=terminal.err, transient=True) as bar:
        row = bar.add_task("bytes", total=status.st_size)
        yield lambda: bar.update(row, completed=os.lseek(file.fileno(), 0, os.SEEK_CUR))


def _tell(found: Import, broken: str, options: dict[str, Any], terminal: Terminal) -> None:
    if options["json"]:
        terminal.json(
            {
                "submitted": 0 if found.is_dry else found.submitted,
                "valid": found.submitted,
                "existing": found.existing,
                "wrong": found.wrong,
                "errors": [{"line": n, "errors": said} for n, said in found.errors.items()],
                "broken": broken,
            }
        )
        return
    for number, said in itertools.islice(found.errors.items(), ERRORS_SHOWN):
        terminal.remark(f"line {number}: {' '.join(said)}", "red")
    if found.wrong > ERRORS_SHOWN:
        terminal.remark(f"… and {found.wrong - ERRORS_SHOWN:,} more")
    done = "would be submitted" if found.is_dry else "submitted"
    if found.existing:
        done += f" (for {found.existing:,} of them another one stands)"
    wrong = f", {many(found.wrong, 'line')} wrong" if found.wrong else ""
    terminal.remark(f"{many(found.submitted, 'task')} {done}{wrong}.")
    if broken:
        terminal.remark(broken, "red")
