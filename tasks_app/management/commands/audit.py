"""``manage.py audit``: whether all that is promised holds, while everything goes on."""

import json
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand
from django.db import Error as DatabaseError
from redis.exceptions import RedisError

from tasks_app.audit import KINDS, SETTLE_SECONDS, Auditor, Report
from tasks_app.broker import broker
from tasks_app.exceptions import TaskSystemError

SAY_SECONDS = 2.0  # between two words on how far it is
FOUND, BLIND = 1, 2  # exit codes
KEPT = 20  # findings of each kind

EPILOG = "\n".join(
    ["It only reads and may run at any time. One line a finding, by what is wrong with a task:", ""]
    + [f"  {kind:<4} {said}" for kind, said in KINDS.items()]
    + ["", "Exit code: 0 nothing found, 1 something found, 2 Redis or the database is away."]
)


class Command(BaseCommand):
    help = "Check that every task is in one place, ends once and is recorded, while all goes on."
    requires_migrations_checks = False

    def create_parser(self, *args: Any, **options: Any) -> Any:
        options |= {"formatter_class": RawDescriptionHelpFormatter, "epilog": EPILOG}
        return super().create_parser(*args, **options)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--seconds",
            type=float,
            default=SETTLE_SECONDS,
            help=f"to wait before what seems wrong is looked at again ({SETTLE_SECONDS:g})",
        )
        parser.add_argument("--all", action="store_true", help=f"not only {KEPT} of each kind")
        parser.add_argument("--json", action="store_true", help="one JSON object on stdout")

    def handle(self, seconds: float, **options: Any) -> None:
        report = Report(keep=None if options["all"] else KEPT)
        began = self._said_at = time.monotonic()
        try:
            auditor = Auditor(broker(), report, settle_seconds=seconds, say=self._progress)
            for note in auditor.notes():
                self._note(note)
            auditor.run()
        except (TaskSystemError, RedisError, DatabaseError) as error:
            self._note(f"could not look: {error}".strip())
            sys.exit(BLIND)
        self._tell(report, time.monotonic() - began, as_json=options["json"])
        if not report.is_clean:
            sys.exit(FOUND)

    def _tell(self, report: Report, took: float, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(report.to_json() | {"seconds": round(took, 3)}, indent=2))
            return
        for line in report.lines():
            self.stdout.write(line)
        self.stdout.write(f"{report.summary()}, {took:.1f} s")

    def _progress(self, said: str) -> None:
        if time.monotonic() - self._said_at >= SAY_SECONDS:
            self._said_at = time.monotonic()
            self._note(said)

    def _note(self, said: str) -> None:
        self.stderr.write(f"audit: {said}", lambda text: text)
