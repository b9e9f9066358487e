"""`manage.py up`: everything comes up, works, ends in order, and is there the next time."""

import json
import signal
import urllib.error
import urllib.request

import psutil
import pytest

from tests.conftest import wait_until

from .conftest import is_server_gone
from .programs import are_gone, environment, reserved_port


@pytest.fixture
def port():
    with reserved_port() as reserved:
        yield reserved.getsockname()[1]


@pytest.fixture
def up(run, var, port):
    """Start `manage.py up`."""

    def start(*words, ignores_sigint=False, **variables):
        env = environment(var, PORT=str(port), **variables)
        return run("manage.py", "up", *words, env=env, ignores_sigint=ignores_sigint)

    return start


def call(port, path, body=None):
    """The answer of the API."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def status(port, task):
    return call(port, f"/api/tasks/status?id={task}")["status"]


def submit(port):
    return call(port, "/api/tasks/submit", {"taskType": "test", "payload": "hello"})["taskId"]


def test_everything_runs_ends_in_order_and_is_there_the_next_time(up, port, var):
    first = up(ignores_sigint=True)
    assert "with the password" in first.wait_for("Ready after")
    task = submit(port)
    wait_until(lambda: status(port, task) == "completed", "the task's end")
    wait_until(lambda: call(port, "/api/metrics")["processedTasks"] > 1, "demo work")
    family = first.family()

    first.signal(signal.SIGINT)

    assert first.wait() == 0, first.said()
    assert are_gone(family)
    assert is_server_gone(var)

    second = up("--feed", "0")
    assert "with the password" not in second.wait_for("Ready after")
    assert status(port, task) == "completed"
    second.signal(signal.SIGTERM)
    assert second.wait() == 0, second.said()


def test_processes_that_are_killed_come_back_and_none_outlives_a_killed_up(up, port, var):
    program = up("--feed", "0", "--pool-size", "1")
    program.wait_for("Ready after")
    workers = call(port, "/api/workers")
    worker, web = named(program, "dtps worker"), named(program, "daphne")

    worker.kill(), web.kill()

    program.wait_for("The web process died (killed by signal 9)")
    task = submit(port)
    wait_until(lambda: status(port, task) == "completed", "the end of a task by a new worker")
    assert call(port, "/api/workers").keys() - workers.keys()
    family = program.family()
    program.signal(signal.SIGKILL)
    wait_until(lambda: are_gone(family[1:]), "the end of the children")
    wait_until(lambda: is_server_gone(var), "the end of the server")


def test_a_worker_that_is_told_to_restart_comes_back_under_a_new_id(up, port):
    program = up("--feed", "0", "--pool-size", "1")
    program.wait_for("Ready after")
    (before,) = call(port, "/api/workers")

    call(port, f"/api/workers/restart?id={before}", {})

    program.wait_for("The worker begins anew.")
    wait_until(lambda: call(port, "/api/workers").keys() - {before}, "the new worker")
    task = submit(port)
    wait_until(lambda: status(port, task) == "completed", "the end of a task by it")
    assert "died" not in program.said()


def named(program, title):
    children = psutil.Process(program.pid).children()
    return next(child for child in children if title in " ".join(child.cmdline()))


def failure(program):
    """The one line that a program says when it cannot start."""
    assert program.wait() == 1, program.said()
    assert "Traceback" not in program.said()
    return program.said().strip().splitlines()[-1]


def test_taken_port_is_said_in_one_sentence(up, var, run):
    with reserved_port() as taken:
        taken.listen()
        number = taken.getsockname()[1]

        said = failure(run("manage.py", "up", env=environment(var, PORT=str(number))))

    assert f"Port {number}" in said
    assert f"PORT={number + 1} make run" in said


def test_port_that_is_no_number_is_said_in_one_sentence(run, var):
    said = failure(run("manage.py", "up", env=environment(var, PORT="http")))

    assert "not http" in said


def test_unreachable_redis_is_said_in_one_sentence(up):
    with reserved_port() as silent:
        address = f"redis://user:secret@127.0.0.1:{silent.getsockname()[1]}/0"

        said = failure(up(DTPS_REDIS_URL=address))

    assert "Redis cannot be reached" in said
    assert "DTPS_REDIS_URL" in said
    assert "secret" not in said


def test_unreachable_database_is_said_in_one_sentence(up, redis_server):
    with reserved_port() as silent:
        address = f"postgres://user:secret@127.0.0.1:{silent.getsockname()[1]}/tasks"

        said = failure(up(DTPS_REDIS_URL=redis_server.url, DATABASE_URL=address))

    assert "database tasks cannot be used" in said
    assert "secret" not in said
