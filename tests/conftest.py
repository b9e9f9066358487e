"""What every test may ask for: real servers, a clean queue, and a way to wait for something."""

import time

import pytest
from django.db import connections

from tasks_app.broker import broker as project_broker
from tasks_app.broker import connection

from .postgres import database, in_postgres, postgres  # noqa: F401  fixtures
from .redis_server import RedisServer

PATIENCE_SECONDS = 60  # how long a condition may take on a machine that is busy elsewhere


def wait_until(condition, what="the condition", seconds=PATIENCE_SECONDS):
    """Poll until ``condition()`` is true and return its value; fail after ``seconds``."""
    until = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f"{what} did not come true within {seconds} s")
        time.sleep(0.01)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """No test finds a connection to the database that another one has left open."""
    connections.close_all()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """What a test logged may hold half characters; processes cannot tell each other of these."""
    report = yield
    report.sections = [
        (name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.fixture(scope="session")
def redis_server():
    """The embedded Valkey, for the whole run."""
    server = RedisServer()
    server.start()
    yield server
    connection.close_all()
    server.close()


@pytest.fixture(autouse=True)
def _redis_settings(settings, redis_server):
    """Every test talks to the tests' own server, never to one that happens to run here."""
    settings.DTPS = {**settings.DTPS, "REDIS_URL": redis_server.url}
    settings.CHANNEL_LAYERS = {
        "default": {
            **settings.CHANNEL_LAYERS["default"],
            "CONFIG": {"hosts": [redis_server.url], "prefix": "dtps-live"},
        }
    }


@pytest.fixture
def options(settings):
    """Set some of the DTPS options for a test."""

    def choose(**given):
        settings.DTPS = {**settings.DTPS, **given}

    return choose


@pytest.fixture
def broker(redis_server):
    """The project's broker on an empty server."""
    broker = project_broker()
    broker.link.call("FLUSHALL")
    yield broker
