"""The ids that a command is about: as words, or one a line on standard input."""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from .command import Refused
from .terminal import Terminal

MANY = 10  # more than these are not touched without a yes


def add_ids(parser: ArgumentParser) -> None:
    parser.add_argument("ids", nargs="+", metavar="ID", help="task ids; -: one a line on stdin")


def ids_in(options: dict[str, Any]) -> list[str]:
    """Each id once, in the order given."""
    found: list[str] = []
    for word in options["ids"]:
        found += sys.stdin.read().split() if word == "-" else [word]
    return list(dict.fromkeys(found))


def confirm(ids: Sequence[str], what: str, options: dict[str, Any], terminal: Terminal) -> None:
    """Ask before many tasks are touched. Raise Refused without a yes."""
    if len(ids) > MANY:
        ask(f"{what} {len(ids):,} tasks?", options, terminal)


def ask(question: str, options: dict[str, Any], terminal: Terminal) -> None:
    """Wait for a yes, unless there was one. Raise Refused without."""
    if options["yes"]:
        return
    if not sys.stdin.isatty():
        raise Refused(f"{question} Nobody can be asked here: add --yes.")
    terminal.err.print(f"{question} [y/N] ", end="")
    if input().strip().lower() not in ("y", "yes"):
        raise Refused("Nothing was done.")
