"""A careless production does not start, whatever starts it; a careful one does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CAREFUL = {
    "DTPS_PROFILE": "production",
    "DJANGO_SECRET_KEY": "a secret that is long enough for these tests",
    "DTPS_ALLOWED_HOSTS": "tasks.example",
}
SHOW = (
    "import json, dtps_site.settings as s;"
    "print(json.dumps([s.DEBUG, s.DTPS_LOCAL_ACCESS, s.ALLOWED_HOSTS, s.CORS_ALLOWED_ORIGINS]))"
)


def run(code, directory, **environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("DTPS_", "DJANGO_"))}
    given = clean | {"DTPS_VAR_DIR": str(directory)} | environment
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=given, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


CARELESS = [
    ("DJANGO_SECRET_KEY", {"DJANGO_SECRET_KEY": ""}),
    ("DJANGO_SECRET_KEY", {"DJANGO_SECRET_KEY": "short"}),
    ("DJANGO_SECRET_KEY", {"DJANGO_SECRET_KEY": "development only, never for production"}),
    ("DTPS_ALLOWED_HOSTS", {"DTPS_ALLOWED_HOSTS": ""}),
    ("DTPS_ALLOWED_HOSTS", {"DTPS_ALLOWED_HOSTS": "tasks.example,*"}),
    ("DJANGO_DEBUG", {"DJANGO_DEBUG": "1"}),
    ("DTPS_PROFILE", {"DTPS_PROFILE": "prod"}),
]


def test_a_careless_production_does_not_start(tmp_path):
    """All in one process, since starting one takes long: each import is a start."""
    code = f"""
import importlib, os, sys
from django.core.exceptions import ImproperlyConfigured
for name, change in {CARELESS!r}:
    os.environ.update({CAREFUL!r} | {{"DJANGO_DEBUG": ""}} | change)
    sys.modules.pop("dtps_site.settings", None)
    try:
        importlib.import_module("dtps_site.settings")
    except ImproperlyConfigured as error:
        assert name in str(error), (name, error)
    else:
        raise SystemExit(f"started in spite of {{change}}")
"""

    done = run(code, tmp_path)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("how", ["check", "runworker", "runserver"])
def test_every_command_says_in_a_sentence_why_it_does_not_start(tmp_path, how):
    code = f"import sys; sys.argv = ['manage.py', '{how}']; exec(open('manage.py').read())"

    done = run(code, tmp_path, DTPS_PROFILE="production")

    assert done.returncode != 0
    assert "Refusing to start." in done.stderr


def test_the_web_server_does_not_start_either(tmp_path):
    done = run("import dtps_site.asgi", tmp_path, DTPS_PROFILE="production")

    assert done.returncode != 0
    assert "Refusing to start." in done.stderr


def test_a_careful_production_lets_nobody_in_and_shares_with_nobody(tmp_path):
    done = run(SHOW, tmp_path, **CAREFUL)

    assert done.stdout.strip() == '[false, false, ["tasks.example"], []]', done.stderr


def test_a_checkout_is_for_who_sits_at_it(tmp_path):
    done = run(SHOW, tmp_path)

    assert done.stdout.strip() == (
        '[true, true, ["localhost", "127.0.0.1", "[::1]"], ["http://localhost:3000"]]'
    ), done.stderr


def test_the_address_of_a_postgres_counts_more_than_what_is_usual(tmp_path):
    show = "import json, dtps_site.settings as s; print(json.dumps(s.DATABASES['default']))"

    address = "postgres://ann@host/tasks?connect_timeout=5&sslmode=require"
    done = run(show, tmp_path, DATABASE_URL=address)

    options = json.loads(done.stdout)["OPTIONS"]
    assert (options["connect_timeout"], options["sslmode"]) == (5, "require")
    assert options["tcp_user_timeout"] > 0
