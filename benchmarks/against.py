"""The drain throughput of this checkout beside that of another one, by turns."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from .report import Line
from .work import ROOT

ROUNDS = 5  # of each, so that a busy moment hits both
FOREIGN = ("DTPS_", "DATABASE_URL", "DJANGO_", "PYTHONPATH")


def measure(other: Path, rounds: int = ROUNDS, *, quick: bool = False) -> list[Line]:
    """Run ``benchmarks --only drain`` here and there; the lines that both have, side by side."""
    found = {here: [] for here in (ROOT, other.resolve())}
    for turn in range(rounds):
        order = list(found) if turn % 2 else list(reversed(found))
        for checkout in order:
            found[checkout].append(_drain(checkout, quick))
    ours, theirs = (_medians(runs) for runs in found.values())
    return [line for name in ours if name in theirs for line in _pair(name, ours, theirs)]


def _drain(checkout: Path, quick: bool) -> dict[str, tuple[float, str]]:
    """What one run says, by the names of its lines."""
    command = [sys.executable, "-m", "benchmarks", "--only", "drain"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)}
    with tempfile.TemporaryDirectory(prefix="dtps-against-", dir="/tmp") as results:
        subprocess.run(
            [*command, "--results", results, *(["--quick"] if quick else [])], cwd=checkout,
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True,
        )  # fmt: skip
        (kept,) = Path(results).glob("*.json")
        lines = json.loads(kept.read_text())["results"]["drain"]
    return {line["name"]: (line["value"], line["unit"]) for line in lines}


def _medians(runs: list[dict[str, tuple[float, str]]]) -> dict[str, tuple[float, str]]:
    return {
        name: (median(run[name][0] for run in runs if name in run), unit)
        for name, (_, unit) in runs[0].items()
    }


def _pair(name: str, ours: dict, theirs: dict) -> list[Line]:
    (value, unit), (other, _) = ours[name], theirs[name]
    ratio = f"{value / other:.3f} x the other" if other else ""
    return [
        Line(f"there: {name}"[:54], other, unit),
        Line(f"here: {name}"[:54], value, unit, ratio),
    ]
