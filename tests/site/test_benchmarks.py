"""The benchmarks run, in a place of their own, and keep what they found."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_benchmark_runs_from_nothing_and_is_kept(tmp_path):
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "floor"]
    theirs = {name: value for name, value in os.environ.items() if not name.startswith("DTPS_")}

    done = subprocess.run(
        [*command, "--results", str(tmp_path)], cwd=ROOT, env=theirs, stdin=subprocess.DEVNULL,
        capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    (kept,) = tmp_path.glob("*.json")
    told = json.loads(kept.read_text())
    assert told["machine"]["cores"] >= 1
    assert [line["unit"] for line in told["results"]["floor"]] == ["/s", "/s", "/s"]
