"""``manage.py runcoordinator`` as a process: records all, dies at any moment, is replaced."""

import json
import os
import shutil
import signal

import psycopg
import pytest

from tasks_app.broker import Broker, connection
from tasks_app.broker.connection import GuardedLink
from tasks_app.exceptions import QueueUnavailable
from tasks_app.models import Ledger, TaskRecord

from ..conftest import wait_until
from ..lua.world import claim, executor_of, outcome, submitted
from ..postgres import on_postgres
from ..postgres_server import PostgresServer
from ..redis_server import RedisServer
from .processes import processes

LEADS = "event=leading"


@pytest.fixture
def start(broker, postgres, tmp_path, settings):
    """Starts a coordinator on the tests' own servers."""
    settings.DTPS = {**settings.DTPS, "LEASE_SECONDS": 3600}  # nobody renews it here
    with processes(broker.link.url, tmp_path) as start:
        yield lambda **more: start("runcoordinator", env={"DATABASE_URL": postgres, **more})


def finished(broker, count):
    tasks = submitted(broker, count)
    executor = executor_of(broker)
    token = claim(broker, executor, limit=count).token
    assert broker.finish(executor, [outcome(t.id, token, worker="w1") for t in tasks]) == []
    return tasks


@on_postgres
def test_a_killed_coordinator_is_followed_by_another_and_nothing_is_lost(broker, start):
    first = start()
    first.wait_for(LEADS)
    tasks = [task for _ in range(10) for task in finished(broker, 500)]
    wait_until(lambda: TaskRecord.objects.exists(), "the first batch")
    first.kill_group()

    second = start()
    second.wait_for(LEADS)
    tasks += finished(broker, 500)
    wait_until(lambda: broker.stats().unrecorded == 0, "the end of the record")

    assert TaskRecord.objects.filter(status="completed", version=3).count() == len(tasks)
    assert not broker.read([task.id for task in tasks])
    assert second.stop() == 0


@on_postgres
def test_ctrl_c_lets_it_record_the_rest_and_exit_with_0(broker, start):
    coordinator = start()
    coordinator.wait_for(LEADS)
    tasks = finished(broker, 500)

    coordinator.signal(signal.SIGINT)

    assert coordinator.wait() == 0
    assert TaskRecord.objects.filter(status="completed").count() == len(tasks)
    assert broker.fleet.leader() is None
    assert "Traceback" not in coordinator.log


@on_postgres
def test_a_coordinator_that_was_asleep_wakes_up_and_lets_the_next_one_lead(broker, start):
    short = {"TEST_DTPS": json.dumps({"LEADER_SECONDS": 1.5})}
    sleeper = start(**short)
    sleeper.wait_for(LEADS)
    os.killpg(sleeper.pid, signal.SIGSTOP)
    try:
        second = start(**short)
        second.wait_for(LEADS)
        leader = broker.fleet.leader()
        tasks = finished(broker, 500)
    finally:
        os.killpg(sleeper.pid, signal.SIGCONT)

    sleeper.wait_for("event=not_leading")
    wait_until(lambda: broker.stats().unrecorded == 0, "the end of the record")

    assert broker.fleet.leader() == leader
    assert sleeper.log.count(LEADS) == 1
    assert TaskRecord.objects.filter(status="completed", version=3).count() == len(tasks)
    assert "Traceback" not in sleeper.log
    assert (sleeper.stop(), second.stop()) == (0, 0)


@pytest.fixture
def fragile(settings, postgres):
    """A server that may be stopped and wiped, and the project's broker on it."""
    server = RedisServer(None, "--appendfsync", "always")
    server.start()
    settings.DTPS = {**settings.DTPS, "REDIS_URL": server.url, "LEASE_SECONDS": 3600}
    yield server
    connection.close_all()
    server.close()


def is_open(server):
    """Whether an executor that comes now is let in."""
    link = GuardedLink(server.url, timeout=60)
    try:
        Broker(link).stats()
    except QueueUnavailable:
        return False
    finally:
        link.close()
    return True


@on_postgres
def test_a_server_that_restarts_is_opened_and_one_that_was_wiped_is_restored(
    fragile, postgres, tmp_path
):
    broker = Broker(connection.link())
    with processes(fragile.url, tmp_path) as start:
        coordinator = start("runcoordinator", env={"DATABASE_URL": postgres})
        coordinator.wait_for("event=gate_opened epoch=1")
        ended = finished(broker, 3)
        waiting = submitted(broker, 700)
        wait_until(lambda: broker.stats().unrecorded == 0, "the end of the record")

        fragile.kill()
        fragile.start()
        assert not is_open(fragile) or coordinator.log.count("event=gate_opened") == 2
        wait_until(lambda: is_open(fragile), "the gate")
        connection.close_all()
        assert len(broker.read([task.id for task in waiting])) == 700
        assert coordinator.log.count("event=gate_opened") == 2

        fragile.kill()
        shutil.rmtree(fragile.directory / "appendonlydir")
        fragile.start()
        coordinator.wait_for("event=reconciled")
        connection.close_all()
        assert broker.read([task.id for task in ended]) == {}
        assert len(broker.read([task.id for task in waiting])) == 700
        wait_until(lambda: is_open(fragile), "the gate")
        assert Ledger.objects.get().restored == 700
        assert "Traceback" not in coordinator.log


@pytest.mark.django_db(transaction=True)
def test_a_postgres_that_restarts_is_waited_for(broker, settings, tmp_path):
    settings.DTPS = {**settings.DTPS, "LEASE_SECONDS": 3600}
    server = PostgresServer()
    server.start()
    env = {"DATABASE_URL": server.url}

    def recorded():
        with psycopg.connect(server.url) as other:
            rows = other.execute("SELECT count(*) FROM tasks_app_taskrecord WHERE status = %s",
                                 ["completed"])  # fmt: skip
            return rows.fetchone()[0]

    try:
        with processes(broker.link.url, tmp_path) as start:
            assert start("migrate", "--verbosity", "0", env=env).wait() == 0
            coordinator = start("runcoordinator", env=env)
            coordinator.wait_for(LEADS)
            tasks = finished(broker, 500)
            wait_until(lambda: recorded() == 500, "the first tasks")

            server.stop_at_once()
            tasks += finished(broker, 500)
            coordinator.wait_for("event=tick_failed service=recorder")
            assert coordinator.log.count(LEADS) == 1  # nobody else would do better
            server.start_again()

            wait_until(lambda: broker.stats().unrecorded == 0, "the end of the record")
            assert recorded() == len(tasks)
            assert "Traceback" not in coordinator.log
    finally:
        server.close()
