"""``manage.py dtps schedules``: real processes against a real worker and a real server."""

import re
import subprocess
import sys

import pytest

from ..conftest import PATIENCE_SECONDS, wait_until
from ..workers.processes import ROOT
from .test_cli import Cli, site  # noqa: F401  a fixture

MAKE = """
from tasks_app.schedules import operations
from tasks_app.schedules.definition import Definition
for name in ("far", "farther"):
    operations.create(Definition(
        name=name, type="primes", args=[10], cron="0 9 29 2 *", timezone="Europe/Zurich"
    ))
"""
REMOVE = "from tasks_app.models import Schedule; Schedule.objects.all().delete()"


@pytest.fixture
def cli(site):  # noqa: F811
    """With two schedules that no clock fires while the test runs."""
    cli = Cli(site)
    shell(cli, MAKE)
    yield cli
    shell(cli, REMOVE)


def shell(cli, text):
    words = [sys.executable, str(ROOT / "manage.py"), "shell", "--no-imports", "-c", text]
    subprocess.run(
        words, cwd=ROOT, env=cli.environment, check=True, capture_output=True,
        timeout=PATIENCE_SECONDS,
    )  # fmt: skip


def test_they_are_paused_and_resumed(cli):
    cli.run("schedules", "pause", "far", "farther")
    assert cli.remarks == (
        "far is paused: no next time.\nfarther is paused: no next time.\n"
    )  # fmt: skip
    assert [each["enabled"] for each in cli.json("schedules")] == [False, False]
    assert re.search(r"^far +paused +primes ", cli.run("schedules", "far"), re.MULTILINE)
    assert cli.run("schedules", "next", "far").split() == ["schedule", "next", "in"]

    (shown,) = cli.json("schedules", "resume", "far")
    assert (shown["name"], shown["enabled"], shown["next_at"][4:]) == (
        "far",
        True,
        "-02-29T08:00:00Z",
    )


def test_the_next_five_times_are_in_its_own_zone(cli):
    lines = cli.run("schedules", "next", "far").splitlines()

    assert len(lines) == 6
    for line in lines[1:]:
        assert re.fullmatch(r"far +\w{3} \d{4}-02-29 09:00:00 CET +[\d,]+ d", line)
    (shown,) = cli.json("schedules", "next", "far")
    assert (shown["name"], len(set(shown["next"]))) == ("far", 5)
    assert [each["name"] for each in cli.json("schedules", "next")] == ["far", "farther"]


def test_one_is_run_at_once_also_while_it_is_paused_and_its_history_says_so(cli):
    cli.run("schedules", "pause", "far")
    task_id = cli.run("schedules", "run", "far").strip()
    (ran,) = cli.json("schedules", "run", "far")

    wait_until(lambda: cli.status(task_id) == "completed", "the task of the schedule")
    wait_until(lambda: cli.status(ran["task_id"]) == "completed", "the second one")
    second, first = cli.json("schedules", "history", "far")
    assert (first["schedule"], first["task_id"], first["manual"]) == ("far", task_id, True)
    assert (second["task_id"], second["status"], second["reason"]) == (
        ran["task_id"],
        "completed",
        "",
    )
    said = cli.run("schedules", "history", "far", "--limit", "1")
    assert re.search(rf"^far .* operator +completed +{ran['task_id']}$", said, re.MULTILINE)
    assert task_id not in said


def test_one_that_is_unknown_is_told_and_stops_no_other(cli):
    said = cli.run("schedules", "run", "nowhere", "far", code=1)

    assert len(said.split()) == 1
    assert cli.remarks == "There is no schedule 'nowhere'.\n"
