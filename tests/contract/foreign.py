"""Builds our wheel, installs it, and runs programs in a project that knows nothing else of us."""

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from ..workers.processes import ROOT, processes

PROJECT = Path(__file__).parent / "project"
PACKAGES = ("tasks_app", "workers_app", "dtps_site")
FILES = ("pyproject.toml", "README.md", "LICENSE", "requirements.txt")
PROGRAM_SECONDS = 500  # the longest is the whole suite on a busy machine
OURS = ("DTPS_", "DATABASE_URL", "DJANGO_", "PYTEST_", "PYTHONPATH", "COV_")


def build_wheel(directory):
    """Build it as `pip wheel .` does, of a copy: setuptools leaves its traces where it builds."""
    source = directory / "source"
    source.mkdir()
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, source)
    pip("wheel", ".", "--no-build-isolation", "--wheel-dir", str(directory), cwd=source)
    (wheel,) = directory.glob("*.whl")
    return wheel


def install(wheel, directory):
    pip("install", str(wheel), "--target", str(directory), cwd=directory)


def pip(*words, cwd):
    """What it needs is here already: the tests have the same requirements."""
    options = ("--no-deps", "--no-index", "--disable-pip-version-check", "--quiet")
    run([sys.executable, "-m", "pip", *words, *options], cwd=cwd, env=clean_environment())


def clean_environment():
    """What a program of somebody else gets to see: nothing that is ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)}


def run(command, **options):
    """Run a program to its end and return what it said. Raise AssertionError if it fails."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=PROGRAM_SECONDS, **options,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


class Foreign:
    """A copy of the project in a directory, with its own database."""

    def __init__(self, directory, site_packages, redis_url):
        self.directory = directory / "project"
        shutil.copytree(PROJECT, self.directory, ignore=shutil.ignore_patterns("__pycache__"))
        self.environment = {
            "PYTHONPATH": os.pathsep.join((str(self.directory), str(site_packages))),
            "DJANGO_SETTINGS_MODULE": "bookshop.settings",
            "BOOKSHOP_REDIS_URL": redis_url,
        }
        self._started = ExitStack()
        self.start = self._started.enter_context(processes(redis_url, self.directory))

    def python(self, *words, **more):
        """Run Python in the project; return what it said."""
        environment = {**clean_environment(), **self.environment, **more}
        return run([sys.executable, *words], cwd=self.directory, env=environment)

    def manage(self, *words, **more):
        return self.python("manage.py", *words, **more)

    def start_worker(self, *words, **more):
        """Start `manage.py runworker` with some options."""
        return self.start(
            "runworker", *words,
            project=self.directory, settings="bookshop.settings", env={**self.environment, **more},
        )  # fmt: skip

    def close(self):
        self._started.close()
