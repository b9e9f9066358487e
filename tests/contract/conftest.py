"""A foreign project: none of our checkout is in it, only the wheel that it gives."""

import tempfile
from pathlib import Path

import pytest

from ..redis_server import RedisServer
from .foreign import Foreign, build_wheel, install

collect_ignore = ["project"]  # it has settings of its own, and runs its suite itself


@pytest.fixture(scope="session")
def wheel():
    """The wheel of this checkout."""
    with tempfile.TemporaryDirectory(prefix="dtps-wheel-", dir="/tmp") as directory:
        yield build_wheel(Path(directory))


@pytest.fixture(scope="session")
def site_packages(wheel):
    """A directory in which the wheel is installed."""
    with tempfile.TemporaryDirectory(prefix="dtps-site-", dir="/tmp") as directory:
        install(wheel, Path(directory))
        yield Path(directory)


@pytest.fixture(scope="module")
def foreign(site_packages):
    """The project, migrated, beside a Redis of its own; ends what is started in it."""
    server = RedisServer()
    server.start()
    with tempfile.TemporaryDirectory(prefix="dtps-foreign-", dir="/tmp") as directory:
        foreign = Foreign(Path(directory), site_packages, server.url)
        try:
            foreign.manage("migrate", "--run-syncdb", "--verbosity", "0")
            yield foreign
        finally:
            foreign.close()
            server.close()
