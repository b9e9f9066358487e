"""A web process and a database that is locked by somebody else, for ever."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from django.contrib.auth.models import Permission, User
from django.db import connections
from django.db.backends.signals import connection_created
from django.test import Client

from dtps_site import patience
from tasks_app.digest import digest_of, new_key, prefix_of
from tasks_app.models import ApiToken

from ..postgres import on_postgres

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
