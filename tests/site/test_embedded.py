"""The embedded server: one for all its users, and none after the last of them."""

import os
import signal
import socket

import psutil
import pytest

from tests.conftest import wait_until
from workers_app.embedded.places import MOST_SOCKET_BYTES, Places

from .conftest import is_server_gone
from .programs import are_gone, environment

USER = """
import sys, time
from django.conf import settings
from workers_app.embedded.places import Places, Path
places = Places(Path(sys.argv[1]) / "valkey")
settings.configure(DTPS={"REDIS_URL": places.url, "EMBEDDED_DIR": str(places.directory)})
from workers_app.embedded import guardian
from workers_app.embedded import server as embedded
from tasks_app.broker import broker
embedded.ensure()
call = broker().link.call
def use():
    number = call("INCR", "number")
    info = call("INFO", "server").decode().split()
    found = dict(line.split(":", 1) for line in info if ":" in line)
    return f"server {found['run_id']} {found['process_id']} number {number}"
print(use(), "ready")
if sys.stdin.readline():
    time.sleep(2 * guardian.GRACE_SECONDS)
    print(use(), "later")
sys.stdin.read()
"""


@pytest.fixture
def user(run, var):
    """Start a process that uses the embedded server below ``var``."""
    return lambda where=var: run("-c", USER, os.fspath(where), env=environment(where))


def words(program):
    return program.wait_for("ready").split()


def test_users_that_start_at_once_share_one_server(user):
    users = [user(), user(), user()]

    said = [words(each) for each in users]

    assert len({each[1] for each in said}) == 1
    assert sorted(each[4] for each in said) == ["1", "2", "3"]


def test_server_ends_after_its_last_user_was_killed_and_keeps_its_data(user, var):
    first, second = user(), user()
    words(first), words(second)

    for each in (first, second):
        each.signal(signal.SIGKILL)

    wait_until(lambda: is_server_gone(var), "the end of the server")
    assert not Places(var / "valkey").socket.exists()
    assert words(user())[4] == "3"


def test_server_stays_for_the_user_that_is_left(user):
    first, second = user(), user()
    server = words(first)[1]
    words(second)

    first.signal(signal.SIGKILL)
    second.process.stdin.write(b"wait longer than the guardian does\n")
    second.process.stdin.flush()

    assert second.wait_for("later").split()[-5] == server


def test_next_user_starts_it_again_after_its_guardian_was_killed(user, var):
    server = psutil.Process(int(words(user())[2]))

    server.parent().kill()

    wait_until(lambda: are_gone([server]), "the end of the server")
    assert words(user())[4] == "2"


def test_dead_server_is_started_again_for_its_users(user, var):
    server = psutil.Process(int(words(user())[2]))

    server.kill()

    wait_until(lambda: are_gone([server]), "the end of the server")
    assert words(user())[4] == "2"


def test_worker_starts_it_again_after_its_guardian_was_killed(run, user, var):
    worker = run("manage.py", "runworker", "--max", "1", env=environment(var))
    worker.wait_for("event=executor_started")
    server = psutil.Process(int(words(user())[2]))

    server.parent().kill()

    worker.wait_for("event=redis_back")
    assert not is_server_gone(var)


def test_long_path_leaves_the_socket_elsewhere_and_private(user, var):
    deep = var / ("x" * MOST_SOCKET_BYTES)
    places = Places(deep / "valkey")

    program = user(deep)

    assert words(program)[4] == "1"
    assert places.socket.parent != places.directory
    assert places.socket.parent.stat().st_mode & 0o077 == 0
    assert deep.stat().st_mode & 0o077 == 0
    program.signal(signal.SIGKILL)
    wait_until(lambda: is_server_gone(deep), "the end of the server")
    assert not places.socket.parent.exists()


def test_place_that_others_may_write_to_is_refused(user, var):
    places = Places(var / "valkey")
    places.directory.mkdir()
    places.directory.chmod(0o777)
    with socket.socket(socket.AF_UNIX) as foreign:
        foreign.bind(os.fspath(places.socket))

        program = user()

        assert program.wait() != 0
    assert "belongs to another user" in program.said()
