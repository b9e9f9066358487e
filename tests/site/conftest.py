"""What the tests of running programs share."""

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.conftest import wait_until
from workers_app.embedded.locks import FileLock
from workers_app.embedded.places import Places

from .programs import Program


@pytest.fixture
def var():
    """A directory for all that a program writes: short, since a socket lies in it."""
    path = Path(tempfile.mkdtemp(prefix="dtps-var-", dir="/tmp"))
    yield path
    try:
        if (path / "valkey").is_dir():
            wait_until(lambda: is_server_gone(path), "the end of the embedded server")
    finally:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def run(var):
    """Start programs that do not outlive the test; their server ends after them."""
    programs = []

    def start(*words, **options):
        programs.append(Program(*words, **options))
        return programs[-1]

    yield start
    for program in programs:
        program.close()


def is_server_gone(var):
    """Whether neither the embedded server of a directory nor its guardian runs."""
    lock = FileLock(Places(var / "valkey").guardian)
    try:
        return lock.try_alone()
    finally:
        lock.close()
