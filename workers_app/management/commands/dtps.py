"""``manage.py dtps``: tasks, queues and workers from the command line."""

import os
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand
from django.db import Error as DatabaseError
from rest_framework.exceptions import ValidationError

from tasks_app.cli.command import CliCommand, Exit, Refused
from tasks_app.cli.fields import sentences
from tasks_app.cli.terminal import Terminal
from tasks_app.exceptions import InvalidCall, QueueUnavailable, TaskSystemError

from ...cli import COMMANDS
from ...embedded import server as embedded

CODES = "Exit codes: 0 done, 1 refused, 2 misused, 3 Redis or the database does not answer."
INTERRUPTED = 130  # as a shell says it of Ctrl-C


class Command(BaseCommand):
    help = "Look at tasks, queues and workers, and act on them."
    requires_system_checks = []
    requires_migrations_checks = False

    def create_parser(self, *args: Any, **options: Any) -> Any:
        return super().create_parser(*args, epilog=CODES, **options)

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
        for each in COMMANDS:
            _add(commands, each)

    def handle(self, *args: Any, **options: Any) -> None:
        terminal = Terminal(
            options.get("stdout") or sys.stdout,
            options.get("stderr") or sys.stderr,
            color=not options["no_color"],
        )
        code = _run(options["chosen"], options, terminal)
        if code:
            sys.exit(code)


def _add(commands: Any, command: CliCommand) -> None:
    lines = "\n".join(f"  {_whole(line)}" for line in command.examples.split("\n"))
    parser = commands.add_parser(
        command.name, help=command.help, description=command.help,
        epilog=f"examples:\n{lines}\n\n{CODES}", formatter_class=RawDescriptionHelpFormatter,
    )  # fmt: skip
    command.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(chosen=command)


def _whole(example: str) -> str:
    """An example as one types it: it need not say what all of them begin with."""
    return example if " dtps " in example else f"python manage.py dtps {example}"


def _run(command: CliCommand, options: dict[str, Any], terminal: Terminal) -> int:
    """The exit code; what went wrong is said in a sentence."""
    try:
        embedded.ensure()
        return command.run(options, terminal)
    except (QueueUnavailable, embedded.EmbeddedFailed) as error:
        terminal.remark(str(error), "red")
        return Exit.AWAY
    except DatabaseError as error:
        said = " ".join(str(error).split())
        terminal.remark(f"The database does not answer: {said}", "red")
        return Exit.AWAY
    except ValidationError as error:
        return _refused(sentences(error.detail), terminal)
    except InvalidCall as error:
        return _refused(sentences(error.errors), terminal)
    except (Refused, TaskSystemError) as error:
        return _refused([str(error)], terminal)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE


def _refused(lines: list[str], terminal: Terminal) -> Exit:
    for line in lines:
        terminal.remark(line, "red")
    return Exit.REFUSED
