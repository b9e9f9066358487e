"""``manage.py runcoordinator`` as a process: records all, dies at any moment, is replaced."""

import signal

import pytest

from tasks_app.models import TaskRecord

from ..conftest import wait_until
from ..lua.world import claim, executor_of, outcome, submitted
from ..postgres import on_postgres
from .processes import processes

LEADS = "event=leading"


@pytest.fixture
def start(broker, postgres, tmp_path, settings):
    """Starts a coordinator on the tests' own servers."""
    settings.DTPS = {**settings.DTPS, "LEASE_SECONDS": 3600}  # nobody renews it here
    with processes(broker.link.url, tmp_path) as start:
        yield lambda: start("runcoordinator", env={"DATABASE_URL": postgres})


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
