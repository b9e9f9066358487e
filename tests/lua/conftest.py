"""The broker's tests run on the embedded Valkey and on Debian's redis-server."""

import os
import shutil

import pytest

from tasks_app.broker.broker import Broker
from tests.redis_server import RedisServer

from .world import Clock, EditedLink

DEBIAN = shutil.which("redis-server") or shutil.which("redis-server", path="/usr/bin")
ABSENT = "redis-server is not installed: the broker's tests ran on the embedded Valkey alone."
KINDS = ["valkey", "redis"] if DEBIAN or os.environ.get("CI") else ["valkey"]


def pytest_terminal_summary(terminalreporter):
    if not DEBIAN:
        terminalreporter.write_line(ABSENT)


@pytest.fixture(scope="session")
def debian_server():
    if not DEBIAN:
        pytest.fail(ABSENT)
    server = RedisServer(DEBIAN)
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="session", params=KINDS)
def server(request):
    """One server of each kind, for the whole run."""
    names = {"valkey": "redis_server", "redis": "debian_server"}
    return request.getfixturevalue(names[request.param])


@pytest.fixture
def private_server(server):
    """A server of the same kind that a test may fill, stop or break."""
    own = RedisServer(server.binary)
    own.start()
    yield own
    own.close()


@pytest.fixture
def broker(server):
    """A broker on an empty server."""
    broker = Broker(EditedLink(server.url))
    broker.link.call("FLUSHALL")
    yield broker
    broker.link.close()


@pytest.fixture
def clock(broker):
    """From here on the broker's scripts go by this clock."""
    return Clock(broker)
