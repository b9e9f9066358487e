"""The kit on the tests' own server, as the wheel's plugin would bring it."""

import pytest

from tasks_app.testing.plugin import dtps, pytest_collection_modifyitems  # noqa: F401
from tasks_app.testing.server import ADDRESS


@pytest.fixture(autouse=True)
def _on_the_tests_server(redis_server, monkeypatch):
    monkeypatch.setenv(ADDRESS, redis_server.url)
