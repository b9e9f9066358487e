"""``python -m benchmarks``: measure, print, keep."""

import argparse
import time
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, call_command

from benchmarks import (
    against,
    drain,
    fleet,
    floor,
    latency,
    limits,
    recovery,
    retention,
    submit,
    waiting,
    workflow,
)
from benchmarks.machine import machine
from benchmarks.report import RESULTS, keep, show

# name -> what it is, how to measure it, how often: usually and with --quick
PARTS = {
    "floor": ("The server's own floor", floor.measure, 100_000, 20_000),
    "submit": ("Submit from Python", submit.measure, 20_000, 4_000),
    "drain": ("Drain, with history", drain.measure, 100_000, 20_000),
    "limits": ("Limits", limits.measure, 30_000, 5_000),
    "latency": ("Idle latency", latency.measure, 500, 100),
    "waiting": ("A long queue", waiting.measure, 1_000_000, 100_000),
    "recovery": ("After a kill -9", recovery.measure, 2, 1),
    "retention": ("Pruning beside the recorder", retention.measure, 100_000, 20_000),
    "workflow": ("Many tasks and one callback", workflow.measure, 10_000, 1_000),
    "fleet": ("A fleet that waits", fleet.measure, 100, 20),
}


class Command(BaseCommand):
    """Started by ``benchmarks/__main__.py``, which makes the place for it."""

    help = "Measure how fast the system is on this machine."
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--quick", action="store_true", help="fewer tasks: half a minute")
        parser.add_argument("--only", choices=PARTS, nargs="+", help="these parts alone")
        parser.add_argument(
            "--against", type=Path, metavar="CHECKOUT",
            help="instead, compare the drain with that of another checkout, by turns",
        )  # fmt: skip
        parser.add_argument("--rounds", type=int, default=against.ROUNDS, help="of --against")
        parser.add_argument("--results", type=Path, default=RESULTS, help="where to keep them")

    def handle(self, *, quick: bool, only: list[str] | None, results: Path, **options: Any) -> None:
        call_command("migrate", verbosity=0)
        place, found = machine(), {}
        print("\n".join(f"{name:<12} {value}" for name, value in place.items()))
        began = time.monotonic()
        other, rounds = options["against"], options["rounds"]
        if other is not None:
            found["against"] = against.measure(other, rounds, quick=quick)
            show(f"Beside {other}, median of {rounds} runs each", found["against"])
        for name in (only or PARTS) if other is None else ():
            title, measure, usually, quickly = PARTS[name]
            found[name] = measure(quickly if quick else usually)
            show(title, found[name])
        asked = {"quick": quick, "only": only, "against": other and str(other), "rounds": rounds}
        path = keep(results, place, asked, found)
        print(f"\nTook {time.monotonic() - began:.0f} s; kept in {path}")
