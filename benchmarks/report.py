"""The numbers as a table for people and as a file for comparing."""

import json
import os
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).with_name("results")


@dataclass(frozen=True, slots=True)
class Line:
    """One thing measured; ``ratio`` says what it is compared with."""

    name: str
    value: float
    unit: str
    ratio: str = ""


def show(title: str, lines: list[Line]) -> None:
    """Print one benchmark's lines as soon as they are known."""
    print(f"\n{title}")
    for line in lines:
        print(f"  {line.name:<54} {_number(line.value):>10} {line.unit:<10} {line.ratio}")
    sys.stdout.flush()


def keep(folder: Path, machine: dict, options: dict, results: dict[str, list[Line]]) -> Path:
    """Write everything to a file named after the moment."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    told = {
        "machine": {**machine, "load_after": os.getloadavg()[0]},
        "options": options,
        "results": {name: [asdict(line) for line in lines] for name, lines in results.items()},
    }
    path.write_text(json.dumps(told, indent=1) + "\n")
    return path


def percent(part: float, whole: float, of: str) -> str:
    """One number as a share of another one."""
    return f"{part / whole:.0%} of {of}" if whole else ""


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.3f}"
