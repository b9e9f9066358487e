"""``manage.py up``: everything on this machine, with one command."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from dtps_site.launch import Launch, Plan

FEED_RATE = 3.0  # demo tasks a second; none in production unless asked for


class Command(BaseCommand):
    help = "Start Redis, the database, web, an agent, a worker and demo work; Ctrl-C stops it all."
    requires_system_checks = []  # the processes that it starts have theirs

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="where to listen (127.0.0.1)")
        parser.add_argument("--port", default=settings.PORT, help="where to listen (PORT, or 8080)")
        parser.add_argument("--pool-size", type=int, default=5, help="slots of the worker (5)")
        parser.add_argument(
            "--feed", type=float, metavar="RATE", help="demo tasks a second; 0: none"
        )

    def handle(self, host: str, port: str, pool_size: int, feed: float | None, **_: Any) -> None:
        if not str(port).isascii() or not str(port).isdigit() or not 0 < int(port) < 65536:
            raise CommandError(f"The port must be a number from 1 to 65535, not {port}.")
        if feed is None:
            feed = FEED_RATE if settings.DEBUG else 0.0
        plan = Plan(host=host, port=int(port), pool_size=pool_size, feed_rate=feed)
        try:
            Launch(plan, self._say).run()
        except OSError as error:  # no space, no permission, ...
            where = f": {error.filename}" if error.filename else ""
            raise CommandError(f"{error.strerror or error}{where}") from error

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
