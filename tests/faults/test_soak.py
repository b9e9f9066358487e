"""``make soak`` for a few seconds, so that it keeps working."""

import subprocess
import sys

import pytest

from ..workers.processes import ROOT


@pytest.mark.parametrize(
    "more", [("--rate", "40"), ("--tasks", "1500")], ids=["a little of everything", "many tasks"]
)
def test_a_short_soak_passes_and_says_its_seed(more):
    words = ("--minutes", "0.1", "--seed", "7", "--pause", "1", "--workers", "2", *more)

    soak = subprocess.run(
        [sys.executable, "-m", "tests.soak", *words],
        cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert soak.returncode == 0, soak.stdout + soak.stderr
    assert "seed 7" in soak.stdout
    assert "nemesis: " in soak.stdout
    assert "lost 0, ghosts 0, double finals 0, stale accepted 0, unexplained" in soak.stdout
