"""``manage.py dtps``: tasks, queues and workers from the command line."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand

from tasks_app.cli.command import CliCommand

from ...cli import COMMANDS
from ...cli.door import CODES, declare, epilog_of, perform


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
        perform(options)


def _add(commands: Any, command: CliCommand) -> None:
    parser = commands.add_parser(
        command.name, help=command.help, description=command.help,
        epilog=epilog_of(command), formatter_class=RawDescriptionHelpFormatter,
    )  # fmt: skip
    declare(parser, command)
