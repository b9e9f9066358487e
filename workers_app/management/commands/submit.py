"""``manage.py submit``: the short name of ``manage.py dtps submit``."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand

from tasks_app.cli.submit import SubmitCommand

from ...cli.door import declare, epilog_of, perform


class Command(BaseCommand):
    help = SubmitCommand.help
    requires_system_checks = []
    requires_migrations_checks = False

    def create_parser(self, *args: Any, **options: Any) -> Any:
        epilog = epilog_of(SubmitCommand()).replace("manage.py dtps submit", "manage.py submit")
        options |= {"formatter_class": RawDescriptionHelpFormatter, "epilog": epilog}
        return super().create_parser(*args, **options)

    def add_arguments(self, parser: ArgumentParser) -> None:
        declare(parser, SubmitCommand())

    def handle(self, *args: Any, **options: Any) -> None:
        perform(options)
