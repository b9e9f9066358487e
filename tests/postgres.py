"""The same tests on SQLite and on a real Postgres: mark them ``on_both_databases``."""

import os

import dj_database_url
import pytest
from django.core.management import call_command
from django.db import connections

from .postgres_server import PostgresServer

ALIAS = "postgres"  # of the second database


class ToPostgres:
    """Routes everything to the second database."""

    def db_for_read(self, model, **hints):
        return ALIAS

    db_for_write = db_for_read


@pytest.fixture(scope="session")
def postgres(django_db_setup, django_db_blocker):
    """A migrated Postgres, known to Django under ``ALIAS``; this is its address."""
    if connections["default"].vendor == "postgresql":  # DATABASE_URL names one, use that
        connections.settings[ALIAS] = connections.settings["default"]
        yield os.environ["DATABASE_URL"]
        connections[ALIAS].close()
        return
    server = PostgresServer()
    server.start()
    connections.settings[ALIAS] = dj_database_url.parse(server.url)
    connections.configure_settings(connections.settings)
    with django_db_blocker.unblock():
        call_command("migrate", database=ALIAS, verbosity=0)
    yield server.url
    connections[ALIAS].close()
    server.close()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request, postgres, settings):
    """The alias of the database that all models are in, for this test."""
    if request.param == "sqlite":
        return "default"
    settings.DATABASE_ROUTERS = [f"{__name__}.{ToPostgres.__name__}"]
    return ALIAS


def on_both_databases(test):
    """Run a test twice; its transactions are real."""
    marks = pytest.mark.django_db(transaction=True, databases=["default", ALIAS])
    return pytest.mark.usefixtures("database")(marks(test))
