"""From a command to ``manage.py``: its help, and what its end is to the shell."""

import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.db import Error as DatabaseError
from rest_framework.exceptions import ValidationError

from tasks_app.cli.command import CliCommand, Exit, Refused
from tasks_app.cli.fields import sentences
from tasks_app.cli.terminal import Terminal
from tasks_app.exceptions import InvalidCall, QueueUnavailable, TaskSystemError

from ..embedded import server as embedded

CODES = "Exit codes: 0 done, 1 refused, 2 misused, 3 Redis or the database does not answer."
INTERRUPTED = 130  # as a shell says it of Ctrl-C


def declare(parser: ArgumentParser, command: CliCommand) -> None:
    """Declare what a command takes; ``perform`` then finds it in the options."""
    command.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(chosen=command)


def epilog_of(command: CliCommand) -> str:
    """What stands below the options: the examples as one types them, and the exit codes."""
    lines = "\n".join(f"  {_whole(line)}" for line in command.examples.split("\n"))
    return f"examples:\n{lines}\n\n{CODES}"


def _whole(example: str) -> str:
    """An example as one types it: it need not say what all of them begin with."""
    return example if " dtps " in example else f"python manage.py dtps {example}"


def perform(options: dict[str, Any]) -> None:
    """Run the command that was chosen, and exit unless all went well."""
    terminal = Terminal(
        options.get("stdout") or sys.stdout,
        options.get("stderr") or sys.stderr,
        color=not options["no_color"],
    )
    code = _run(options["chosen"], options, terminal)
    if code:
        sys.exit(code)


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
