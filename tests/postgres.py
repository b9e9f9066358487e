"""The same tests on SQLite and on a real Postgres: mark them ``on_both_databases``."""

import os
from urllib.parse import urlsplit

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
    default = connections["default"]
    if default.vendor == "postgresql":  # DATABASE_URL names one, use the test database there
        connections.settings[ALIAS] = connections.settings["default"]
        url = urlsplit(os.environ["DATABASE_URL"])
        yield url._replace(path=f"/{default.settings_dict['NAME']}").geturl()
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


@pytest.fixture
def in_postgres(postgres, settings):
    """All models are in Postgres for this test."""
    settings.DATABASE_ROUTERS = [f"{__name__}.{ToPostgres.__name__}"]


@pytest.fixture(params=["default", ALIAS])
def database(request, postgres):
    """The alias of the database that all models are in, for this test."""
    if request.param == ALIAS:
        request.getfixturevalue("in_postgres")
    return request.param


# Transactions are real in such a test, so that it may use threads.
_real = pytest.mark.django_db(transaction=True, databases=["default", ALIAS])


def on_both_databases(test):
    """Run a test twice, with all models in SQLite and with all models in Postgres."""
    return pytest.mark.usefixtures("database")(_real(test))


def on_postgres(test):
    """Run a test with all models in Postgres."""
    return pytest.mark.usefixtures("in_postgres")(_real(test))
