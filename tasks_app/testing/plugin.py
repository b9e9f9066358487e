"""The pytest plugin: the fixture ``dtps``. Our wheel brings it; it starts nothing unasked."""

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .kits import Kit


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests with ``dtps`` use the database; pytest-django looks before there is any fixture."""
    if not config.pluginmanager.hasplugin("django"):
        return
    for item in items:
        if "dtps" in getattr(item, "fixturenames", ()) and not item.get_closest_marker("django_db"):
            item.add_marker(pytest.mark.django_db)


@pytest.fixture
def dtps() -> Iterator["Kit"]:
    """Tasks in this process, in a namespace of the test's own; with pytest-django also ``db``."""
    with import_module("tasks_app.testing.kits").kit() as kit:
        yield kit
