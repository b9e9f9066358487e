"""Executors never outlive their worker's lease, nor their supervisor."""

import json
import os
import re
import signal
import subprocess
import sys
import threading

import psutil
import pytest

from tasks_app.broker import connection
from tasks_app.states import Status
from workers_app.executor.clock import boottime_ns
from workers_app.supervisor.crash import lost
from workers_app.supervisor.guard import SHARE, Watch, keep_watch

from ..conftest import wait_until
from ..redis_server import RedisServer
from .conftest import Queue
from .processes import is_alive

SHORT = {"LEASE_SECONDS": 1.5, "RENEW_SECONDS": 0.3, "TIMEOUT_GRACE_SECONDS": 0.5}
POOL = ("--processes", "2", "--threads", "1", "--min", "1", "--max", "2", "--no-coordinator")


@pytest.fixture
def child():
    """A process that would stay, in a session of its own; its title is what it was called as."""
    words = [sys.executable, "-c", "import time; time.sleep(60)"]
    process = subprocess.Popen(words, start_new_session=True)
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def watching():
    """Starts a guard in a thread; the other end of its lifeline is closed at the end."""
    ends = []

    def start(watch, title="", lease_seconds=0.4, *, is_strict=True):
        reader, writer = os.pipe()
        ends.append(writer)
        thread = threading.Thread(
            target=keep_watch,
            args=(watch, reader, title, lease_seconds),
            kwargs={"is_strict": is_strict},
        )
        thread.start()
        ends.append(thread)
        return writer

    yield start
    for writer, thread in zip(ends[::2], ends[1::2], strict=True):
        os.close(writer)
        thread.join()


def test_executors_are_ended_when_the_lease_is_about_to_end_and_not_before(child, watching):
    watch = Watch()
    place = watch.add(child.pid)
    watching(watch)
    assert not watch.was_ended(place)  # nothing was renewed yet: there is no lease to lose

    watch.renewed(boottime_ns())
    assert child.wait() == -signal.SIGKILL

    assert watch.seconds_left(SHARE * 0.4) <= 0
    assert watch.was_ended(place)


def test_a_guard_that_is_told_to_let_them_go_on_ends_nobody(child, watching):
    watch = Watch()
    place = watch.add(child.pid)
    watch.renewed(boottime_ns() - 10**10)
    watching(watch, is_strict=False)
    other = Watch()
    other.renewed(boottime_ns() - 10**10)
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    other.add(victim.pid)
    watching(other)

    victim.wait()  # by now the first one has looked too

    assert is_alive(child.pid)
    assert not watch.was_ended(place)


def test_a_place_is_used_again_without_its_old_mark(child):
    watch = Watch()
    watch.renewed(boottime_ns() - 10**10)
    place = watch.add(child.pid)
    watch.end_executors()
    assert watch.was_ended(place)

    watch.remove(place)

    assert watch.add(child.pid) == place
    assert not watch.was_ended(place)


def test_a_number_that_belongs_to_somebody_else_by_now_is_left_alone(child, watching):
    watch = Watch()
    watch.add(child.pid)

    # The kernel says that a program has begun a moment before it says which.
    wait_until(psutil.Process(child.pid).cmdline, "its title")

    watch.end_orphans("dtps worker of a title that it has not")

    assert is_alive(child.pid)
    watch.end_orphans(sys.executable)
    assert child.wait() == -signal.SIGKILL


@pytest.fixture
def worker(queue, start):
    """Gives a worker with a short lease, with all of its processes."""
    started = []

    def begin(name, **options):
        process = start(
            "runworker", "--id", name, *POOL, env={"TEST_DTPS": json.dumps(SHORT | options)}
        )
        started.append(process)
        wait_until(lambda: queue.said(name), "its registration")
        return process

    yield begin
    for process in started:
        process.signal_all(signal.SIGCONT)
        process.hurry()


def test_a_killed_supervisor_leaves_nobody_behind(queue, worker, tmp_path):
    process = worker("g-killed")
    path = tmp_path / "pids"
    task_id = queue.submit("start_others", str(path))
    wait_until(lambda: path.exists() and len(path.read_text().split()) == 2, "its children")
    inside = int(path.read_text().split()[0])
    executors, family = process.executors(), process.family()
    assert len(family) >= 4  # two executors, the guard, and what the task has started
    assert inside in family

    process.signal(signal.SIGKILL)

    wait_until(lambda: not process.family(), "the end of all")
    assert not is_alive(inside)
    os.kill(int(path.read_text().split()[1]), signal.SIGKILL)  # which had left the session
    queue.broker.cancel([task_id])
    for executor in executors:  # or the next test's tasks might be handed to them
        queue.broker.reap("g-killed", executor, reason=lost("g-killed", ""), queues=["default"])


def test_a_supervisor_that_stands_still_loses_its_executors_and_comes_back(queue, worker, tmp_path):
    process = worker("g-stopped")
    gate = tmp_path / "gate"
    task_id = queue.submit("block_until", str(gate))
    queue.wait_for(task_id, Status.PROCESSING)
    executors = process.executors()

    process.signal(signal.SIGSTOP)
    wait_until(lambda: not any(map(is_alive, executors.values())), "the end of the executors")
    process.signal(signal.SIGCONT)

    gate.touch()
    state = queue.wait_until_final(task_id)  # it was still ours: nobody had reaped it
    assert (state.status, state.crashes, state.failures) == (Status.COMPLETED, 0, 0)
    assert [a.outcome for a in state.attempts] == ["pending", "completed"]
    assert "lease" in state.attempts[0].error
    assert process.stop() == 0
    assert "Traceback" not in process.log


def test_a_short_stop_of_everybody_ends_nobody(queue, worker, tmp_path):
    process = worker("g-short", LEASE_SECONDS=20, RENEW_SECONDS=0.3)
    gate = tmp_path / "gate"
    task_id = queue.submit("block_until", str(gate))
    queue.wait_for(task_id, Status.PROCESSING)
    executors = process.executors()
    seen = queue.broker.fleet.workers()["g-short"].lease_until_ms

    process.signal_all(signal.SIGSTOP)
    wait_until(lambda: queue.broker.stats().at_ms > seen - 18_000, "two seconds of silence")
    process.signal_all(signal.SIGCONT)
    wait_until(lambda: queue.broker.fleet.workers()["g-short"].lease_until_ms > seen, "a renewal")
    gate.touch()

    state = queue.wait_until_final(task_id)
    assert (state.starts, len(state.attempts)) == (1, 1)
    assert process.executors() == executors
    assert process.stop() == 0


def test_a_guard_that_dies_is_replaced(worker):
    process = worker("g-guard")
    process.wait_for("event=guard_started")
    guard = int(re.search(r"event=guard_started .*pid=(\d+)", process.log)[1])

    os.kill(guard, signal.SIGKILL)

    wait_until(lambda: process.log.count("event=guard_started") == 2, "another guard")
    assert process.stop() == 0
    assert not process.family()


def test_a_worker_outlives_an_outage_that_is_longer_than_its_lease(start, settings, tmp_path):
    server = RedisServer()
    server.start()
    settings.DTPS = {**settings.DTPS, "REDIS_URL": server.url, "BACKOFF_SECONDS": 0.01}
    connection.close_all()
    queue = Queue()
    try:
        process = start(
            "runworker", "--id", "g-outage", *POOL,
            env={"TEST_DTPS": json.dumps(SHORT), "DTPS_REDIS_URL": server.url},
        )  # fmt: skip
        wait_until(lambda: queue.said("g-outage"), "its registration")
        gate = tmp_path / "gate"
        running = queue.submit("block_until", str(gate))
        queue.wait_for(running, Status.PROCESSING)
        executors = process.executors()

        server.kill()
        connection.close_all()
        wait_until(lambda: not any(map(is_alive, executors.values())), "the end of the executors")
        server.start()
        gate.touch()

        state = queue.wait_until_final(running)
        assert (state.status, state.crashes, state.failures) == (Status.COMPLETED, 0, 0)
        assert queue.wait_until_final(queue.submit("echo")).status == Status.COMPLETED
        assert process.stop() == 0
        assert "Traceback" not in process.log
    finally:
        connection.close_all()
        server.close()
