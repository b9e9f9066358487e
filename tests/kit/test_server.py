"""The server that tests start for themselves: one a process, and gone with it."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from redis import Redis

from tasks_app.testing import server
from workers_app.embedded.guardian import answers
from workers_app.embedded.locks import FileLock

from ..conftest import wait_until
from ..workers.processes import ROOT


@pytest.fixture
def own(monkeypatch):
    """No server is named, and none was started before."""
    monkeypatch.delenv(server.ADDRESS)
    monkeypatch.setattr(server, "_server", None)
    yield
    server._stop()


def test_the_first_call_starts_it_and_the_next_one_finds_it(own):
    url = server.address()
    with Redis.from_url(url) as client:
        client.set("a", "b")

    assert server.address() == url
    with Redis.from_url(url) as client:
        assert client.get("a") == b"b"
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_one_that_was_killed_is_followed_by_another(own):
    before = server.address()
    directory = server._server.directory
    os.kill(server._server._process.pid, signal.SIGKILL)
    server._server._process.wait()

    with Redis.from_url(server.address()) as client:
        assert client.ping()
    assert server.address() != before
    assert not directory.exists()


def test_who_is_forked_uses_it_and_leaves_it_running(own):
    url = server.address()
    child = os.fork()
    if child == 0:
        is_same = server.address() == url
        server._stop()
        os._exit(0 if is_same else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert answers(server._server.socket)


def test_one_that_a_thread_started_outlives_that(own):
    thread = threading.Thread(target=server.address)
    thread.start()
    thread.join()

    assert answers(server._server.socket)


def test_a_long_path_of_temporary_files_leaves_room_for_the_socket(own, tmp_path, monkeypatch):
    deep = tmp_path / ("x" * 90)
    deep.mkdir()
    monkeypatch.setattr(server.tempfile, "tempdir", str(deep))

    server.address()

    assert not server._server.directory.is_relative_to(deep)
    assert list(deep.iterdir()) == []


def test_one_that_does_not_start_says_why(own, monkeypatch):
    monkeypatch.setattr(server, "_program", lambda: "/bin/ls")

    with pytest.raises(RuntimeError, match=r"(?s)did not start:\n.*ls"):
        server.address()


def test_what_killed_processes_have_left_is_removed(own, tmp_path):
    kinds = {name: tmp_path / f"dtps-test-{name}" for name in ("old", "new", "running")}
    for directory in kinds.values():
        directory.mkdir()
        (directory / "log").touch()
    lock = FileLock(kinds["running"] / "lock")
    assert lock.try_alone()
    (tmp_path / "of somebody else").mkdir()
    for name in ("old", "running"):
        os.utime(kinds[name], (0, 0))

    server.sweep(tmp_path)

    assert {name for name, directory in kinds.items() if directory.exists()} == {"new", "running"}
    assert (tmp_path / "of somebody else").exists()
    lock.close()


def test_a_server_that_runs_says_so(own):
    server.address()

    lock = FileLock(server._server.directory / "lock")
    assert not lock.try_alone()
    lock.close()


PROGRAM = """
import sys
from tasks_app.testing import server
server.address()
print(server._server.directory, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, None], ids=["killed", "at the end"])
def test_it_ends_with_its_process(monkeypatch, end):
    monkeypatch.delenv(server.ADDRESS)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True,
    )  # fmt: skip
    directory = Path(process.stdout.readline().strip())
    assert answers(directory / "valkey.sock")

    if end:
        process.send_signal(end)
    process.stdin.close()
    process.wait()
    process.stdout.close()

    wait_until(lambda: not answers(directory / "valkey.sock"), "the end of the server")
    assert directory.exists() == bool(end)  # nobody was left to remove what it had written
    shutil.rmtree(directory, ignore_errors=True)
