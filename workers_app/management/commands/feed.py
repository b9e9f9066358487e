"""``manage.py feed``: demo work, until it is stopped."""

import logging
from argparse import ArgumentParser
from random import Random
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ...embedded import server as embedded
from ...foreground import asked_to_end, serve
from ...live.feed import Feed


class Command(BaseCommand):
    help = "Submit a gentle stream of demo tasks."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--rate", type=float, default=3.0, help="tasks a second (3)")

    def handle(self, rate: float, **options: Any) -> None:
        if not 0 < rate <= 1000:
            raise CommandError("The rate must be above 0 and at most 1000 tasks a second.")
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        embedded.ensure()
        serve(Feed(rate, Random()), asked_to_end())  # noqa: S311 (demo data)
