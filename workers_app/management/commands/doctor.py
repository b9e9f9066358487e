"""``manage.py doctor``: look at the set-up, and say what to do."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from ...doctor import Advice, Level, Patient, examine

EPILOG = "Exit code: 0 all is well, 1 there are warnings, 2 there are problems."


class Command(BaseCommand):
    help = "Look at Redis, the database, the workers and the settings, and say what to do."
    requires_system_checks = []
    requires_migrations_checks = False

    def create_parser(self, *args: Any, **options: Any) -> Any:
        return super().create_parser(*args, epilog=EPILOG, **options)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON array on stdout")

    def handle(self, **options: Any) -> None:
        found = []
        for advice in examine(Patient()):
            found.append(advice)
            if not options["json"]:
                self.stdout.write(self._styled(advice))
        if options["json"]:
            self.stdout.write(json.dumps([_to_json(advice) for advice in found], indent=2))
        worst = max(advice.level for advice in found)
        if worst > Level.OK:
            sys.exit(int(worst))

    def _styled(self, advice: Advice) -> str:
        style = {Level.WARNING: self.style.WARNING, Level.PROBLEM: self.style.ERROR}
        return style.get(advice.level, str)(str(advice))


def _to_json(advice: Advice) -> dict[str, str]:
    level = advice.level.name.lower()
    return {"level": level, "said": advice.said, "advice": advice.advice}
