"""``manage.py submit``: the short name of ``manage.py dtps submit``."""

import json
import os
import pty
import subprocess
import sys

import pytest
from django.core.management import load_command_class

from ..conftest import PATIENCE_SECONDS
from ..workers.processes import ROOT
from .test_cli import Cli, site  # noqa: F401  a fixture


class Short(Cli):
    """Runs ``manage.py submit`` and nothing else."""

    def words(self, *words):
        return [sys.executable, str(ROOT / "manage.py"), "submit", *words]


@pytest.fixture
def short(site):  # noqa: F811
    return Short(site)


def file_of(directory, count, **fields):
    file = directory / "tasks.jsonl"
    line = json.dumps({"taskType": "primes", "payload": 10, **fields})
    file.write_text(f"{line}\n" * count)
    return file


def test_it_submits_a_task_and_a_file_as_the_long_name_does(short, site, tmp_path):  # noqa: F811
    task_id = short.run("wordcount", "one two", "--priority", "9", "--tags", "a,b").strip()

    task = Cli(site).json("status", task_id)
    assert (task["task_type"], task["priority"], task["tags"]) == ("wordcount", 9, ["a", "b"])

    file = file_of(tmp_path, 2500)
    assert short.json("--file", str(file), "--dry-run")["valid"] == 2500
    ids = short.run("--file", str(file), "--ids").split()
    assert len(set(ids)) == 2500
    assert Cli(site).json("status", ids[-1])["task_type"] == "primes"


def test_its_exit_codes_are_those_of_the_long_name(short, tmp_path):
    short.run("nonsense", code=1)
    assert short.remarks.startswith("taskType: There is no task type 'nonsense'.")
    short.run("--nonsense", code=2)
    file = file_of(tmp_path, 1)
    short.run("--file", str(file), code=3, DTPS_REDIS_URL="redis://127.0.0.1:1/0")


def test_it_draws_a_bar_for_who_looks_on(short, tmp_path):
    file = file_of(tmp_path, 1500)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        short.words("--file", str(file)), cwd=ROOT, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=theirs, env={**short.environment, "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    try:
        said = read_all(ours)
        assert process.wait(PATIENCE_SECONDS) == 0
    finally:
        process.kill()
        process.communicate()
        os.close(ours)

    assert f"/{file.stat().st_size}" in said
    assert "1,500 tasks submitted." in said


def read_all(descriptor):
    """What arrives at a terminal until nobody writes to it any more."""
    said = b""
    while True:
        try:
            some = os.read(descriptor, 4096)
        except OSError:  # so Linux says that the other end is closed
            some = b""
        if not some:
            return said.decode()
        said += some


def test_its_help_has_examples_of_its_own_name():
    shown = load_command_class("workers_app", "submit").create_parser("m.py", "submit")
    examples = shown.format_help().split("examples:")[1]

    assert "python manage.py submit --file tasks.jsonl --dry-run" in examples
    assert "dtps" not in examples
