"""Worlds for the tests of faults, each with a database that was migrated once for all."""

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from ..postgres_server import PostgresServer
from .database import PostgresDatabase, SqliteFile, migrate
from .rig import CALM, SHORT, world_of


@pytest.fixture(scope="session")
def sqlite_template():
    directory = Path(tempfile.mkdtemp(prefix="dtps-template-", dir="/tmp"))
    path = directory / "template.sqlite3"
    migrate(f"sqlite:///{path}", directory)
    yield path
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def postgres_server():
    directory = Path(tempfile.mkdtemp(prefix="dtps-template-", dir="/tmp"))
    server = PostgresServer()
    server.start()
    migrate(server.url, directory)
    yield server
    server.close()
    shutil.rmtree(directory)


@pytest.fixture
def make_world(sqlite_template):
    """Makes a world of a test's own options."""

    def sqlite(directory):
        path = directory / "world.sqlite3"
        for suffix in ("", "-wal"):
            if (source := sqlite_template.with_name(sqlite_template.name + suffix)).exists():
                shutil.copy(source, path.with_name(path.name + suffix))
        return SqliteFile(path)

    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(world_of(sqlite, **options))


@pytest.fixture
def world(make_world):
    """A world whose leases do not end by accident."""
    return make_world(options=CALM)


@pytest.fixture
def short_world(make_world):
    """A world whose leases end soon."""
    return make_world(options=SHORT)


@pytest.fixture
def postgres_world(postgres_server):
    """A world with a Postgres."""
    database = PostgresDatabase(postgres_server.url)
    tables = database.query(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        " AND tablename LIKE 'tasks_app_%'"
    )
    database.do(f"TRUNCATE {', '.join(name for (name,) in tables)} CASCADE")
    with world_of(lambda directory: database, options=CALM) as world:
        yield world
