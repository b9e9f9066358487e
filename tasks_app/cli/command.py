"""What all commands of ``manage.py dtps`` have, and how they end."""

from argparse import ArgumentParser
from enum import IntEnum
from typing import Any

from .terminal import Terminal


class Exit(IntEnum):
    """Exit codes; ``docs/cli.md`` has their table."""

    DONE = 0
    REFUSED = 1  # no such task, wrong state, a wrong value
    MISUSED = 2  # the command line itself; argparse's own
    AWAY = 3  # Redis or the database does not answer
    FAILED = 4  # of `watch`, from here on: how the task ended
    CANCELLED = 5
    EXPIRED = 6
    STILL_OPEN = 7


class Refused(Exception):
    """What was asked for cannot be done; its text says why."""


class CliCommand:
    """One command. ``run`` may raise Refused, and every error of ours."""

    name = ""
    help = ""
    examples = ""  # lines as one types them, without "manage.py dtps"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what it takes, beside ``--json``."""

    def run(self, options: dict[str, Any], terminal: Terminal) -> Exit:
        raise NotImplementedError
