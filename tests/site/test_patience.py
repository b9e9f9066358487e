"""A web process and a database that is locked by somebody else, or silent, for ever."""

import os
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import dj_database_url
import psutil
import psycopg
import pytest
from django.contrib.auth.models import Permission, User
from django.db import ConnectionHandler, OperationalError, connections
from django.db.backends.signals import connection_created
from django.test import Client

from dtps_site import patience
from dtps_site.settings import POSTGRES_OPTIONS
from tasks_app.digest import digest_of, new_key, prefix_of
from tasks_app.models import ApiToken

from ..conftest import PATIENCE_SECONDS, wait_until
from ..faults.proxy import FaultProxy
from ..postgres import on_postgres
from ..postgres_server import PostgresServer
from ..web_server import WebServer

ROOT = Path(__file__).parents[2]


@pytest.fixture
def impatient(monkeypatch):
    """This process waits for its databases as a web process does."""
    monkeypatch.setitem(patience._COMMANDS, "postgresql", "SET statement_timeout = 200")
    monkeypatch.setitem(patience._COMMANDS, "sqlite", "PRAGMA busy_timeout = 200")
    patience.be_impatient()
    connections.close_all()
    yield
    connection_created.disconnect(dispatch_uid=patience.__name__)
    connections.close_all()


@on_postgres
def test_a_history_that_is_locked_is_not_waited_for(broker, impatient, postgres):
    api = Client(headers={"host": "localhost:8080"})
    assert api.get("/api/tasks").status_code == 200
    with psycopg.connect(postgres) as other:
        other.execute("LOCK TABLE tasks_app_taskrecord IN ACCESS EXCLUSIVE MODE")

        refused = api.get("/api/tasks")

        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert "Retry-After" in refused.headers
        assert api.get("/").status_code == 200  # the newest tasks come from Redis alone
        other.rollback()
    assert api.get("/api/tasks").status_code == 200


@pytest.fixture
def own_postgres():
    """A server that may be stopped, and its family."""
    server = PostgresServer()
    server.start()
    yield server
    for process in family(server):
        process.resume()
    server.close()


def family(server):
    postmaster = psutil.Process(server.process.pid)
    return [postmaster, *postmaster.children(recursive=True)]


def connection_to(url):
    """A connection of Django's, as a process of the site has it; for any thread."""
    connection = ConnectionHandler({"default": settings_of(url)})["default"]
    connection.inc_thread_sharing()
    return connection


def fails(work):
    """Whether something ends with an OperationalError; TimeoutError if it does not end."""
    pool = ThreadPoolExecutor(1)
    try:
        return isinstance(pool.submit(work).exception(PATIENCE_SECONDS), OperationalError)
    finally:
        pool.shutdown(wait=False)


def settings_of(url):
    given = dj_database_url.parse(url, conn_health_checks=True)
    return given | {"OPTIONS": POSTGRES_OPTIONS | given.get("OPTIONS", {})}


@pytest.mark.django_db(transaction=True)
def test_a_postgres_that_was_stopped_ends_what_waits_for_it(impatient, own_postgres):
    connection = connection_to(own_postgres.url)
    with connection.cursor() as cursor:
        assert cursor.execute("SELECT 1").fetchone() == (1,)
        raw = connection.connection
        for process in family(own_postgres):
            process.suspend()

        assert fails(lambda: cursor.execute("SELECT 1"))

    assert raw.closed
    connection.close()
    assert fails(connection.ensure_connection)  # the kernel accepts it, and nobody ever greets it
    for process in family(own_postgres):
        process.resume()
    with connection.cursor() as cursor:
        assert cursor.execute("SELECT 1").fetchone() == (1,)
    connection.close()


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_cannot_be_committed_ends_too(impatient, own_postgres):
    connection = connection_to(own_postgres.url)
    connection.ensure_connection()
    connection.set_autocommit(False)
    connection.cursor().execute("SELECT 1")
    for process in family(own_postgres):
        process.suspend()

    assert fails(connection.commit)

    connection.close()


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_nobody_uses_any_more_is_closed_at_once(impatient, own_postgres):
    connection = connection_to(own_postgres.url)
    connection.ensure_connection()
    raw = weakref.ref(connection.connection)
    with pytest.warns(ResourceWarning):
        connection.connection = None

    assert raw() is None


@pytest.fixture
def web(redis_server, own_postgres, tmp_path):
    """The site, between which and its database things can go wrong; and the proxy there."""
    proxy = FaultProxy(own_postgres.data / ".s.PGSQL.5432")
    address = proxy.through("postgres://postgres@host/postgres")
    given = {"DJANGO_SETTINGS_MODULE": "tests.settings", "DTPS_REDIS_URL": redis_server.url}
    environment = given | {"DATABASE_URL": address, "DTPS_VAR_DIR": str(tmp_path)}
    migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(
        migrate, env={**os.environ, **environment}, cwd=ROOT, stdin=subprocess.DEVNULL, check=True
    )
    server = WebServer(environment, tmp_path / "web.log")
    server.start()
    yield server, proxy
    server.close()
    proxy.close()


def test_the_api_says_that_a_database_is_away_which_takes_everything_and_says_nothing(broker, web):
    server, proxy = web
    assert status(server, "/api/tasks") == (200, None)

    proxy.cut()
    assert status(server, "/api/tasks") == (503, "1")
    assert status(server, "/api/metrics") == (200, None)  # for which Redis is enough
    proxy.heal()

    wait_until(lambda: status(server, "/api/tasks") == (200, None), "the history")


def test_a_request_that_waits_while_its_database_goes_silent_is_answered(broker, web, own_postgres):
    server, proxy = web
    assert status(server, "/api/tasks") == (200, None)
    waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with (
        psycopg.connect(own_postgres.url) as other,
        psycopg.connect(own_postgres.url, autocommit=True) as looker,
        ThreadPoolExecutor(1) as pool,
    ):
        other.execute("LOCK TABLE tasks_app_taskrecord IN ACCESS EXCLUSIVE MODE")
        asked = pool.submit(status, server, "/api/tasks")
        wait_until(lambda: looker.execute(waits).fetchone() or asked.done(), "a query that waits")

        proxy.cut()

        assert asked.result() == (503, "1")
        proxy.heal()


def status(server, path):
    """The status of an answer of a web server, and when it says to try again."""
    try:
        with urllib.request.urlopen(server.url + path, timeout=PATIENCE_SECONDS) as answer:
            return answer.status, answer.headers["Retry-After"]
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Retry-After"]


@pytest.mark.django_db(transaction=True)
def test_a_token_opens_the_door_while_nobody_can_write(broker, impatient):
    user = User.objects.create_user("ann")
    user.user_permissions.add(Permission.objects.get(codename="view_task"))
    key = new_key()
    ApiToken.objects.create(user=user, name="ci", prefix=prefix_of(key), digest=digest_of(key))
    api = Client(headers={"host": "testserver", "authorization": f"Token {key}"})
    path = connections["default"].settings_dict["NAME"]
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")

        assert api.get("/api/metrics").status_code == 200

        assert ApiToken.objects.get().last_used_at is None
    assert api.get("/api/metrics").status_code == 200
    assert ApiToken.objects.get().last_used_at is not None


def test_a_web_process_is_impatient_from_its_first_connection_on(redis_server):
    look = (
        "import dtps_site.asgi; from django.db import connection; c = connection.cursor();"
        "print(c.execute('PRAGMA busy_timeout').fetchone()[0])"
    )
    given = {"DJANGO_SETTINGS_MODULE": "tests.settings", "DTPS_REDIS_URL": redis_server.url}
    environment = {**os.environ, **given}
    environment.pop("DATABASE_URL", None)

    said = subprocess.run(
        [sys.executable, "-c", look], env=environment, cwd=ROOT, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip

    assert (said.stdout.strip(), said.returncode) == (str(patience.STATEMENT_MS), 0), said.stderr
