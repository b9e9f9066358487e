"""The audit of a system at full load, whose workers are killed meanwhile: no false alarm."""

import threading

import pytest
import uuid_utils
from django.db import connection

from tasks_app.audit import Auditor, Report
from tasks_app.broker import keys
from tasks_app.message import TaskMessage, now_us
from tasks_app.models import TaskRecord

from ..conftest import wait_until
from ..workers.processes import processes

BACKLOG = 2_000  # tasks that wait at most
LEASE_SECONDS = 2.0
PATIENCE_SECONDS = 240  # thousands of tasks, on a machine that may be slow


@pytest.fixture
def start(broker, tmp_path, settings):
    """Starts workers with a coordinator each, on the tests' own servers."""
    settings.DTPS = {**settings.DTPS, "LEASE_SECONDS": LEASE_SECONDS, "RENEW_SECONDS": 0.5}
    env = {
        "TEST_DATABASE_NAME": str(connection.settings_dict["NAME"]),
        "TEST_LEASE_SECONDS": str(LEASE_SECONDS),
        "TEST_RENEW_SECONDS": "0.5",
    }
    size = ("--processes", "2", "--threads", "3")
    with processes(broker.link.url, tmp_path) as start:
        yield lambda name: start("runworker", "--id", name, "--queues", "a,b", *size, env=env)


def some_task(number):
    """Tasks that end in every way there is."""
    name, more = "echo", {}
    match number % 20:
        case 0 | 1:
            name, more = "raise_error", {"max_attempts": 2, "backoff": 0.1}
        case 2:
            more = {"run_after_us": now_us() + 500_000}
        case 3:
            more = {"expires_us": now_us() + 200_000}
        case 4:
            name, more = "async_echo", {"args": [1]}
    return TaskMessage(
        id=str(uuid_utils.uuid7()),
        type=f"tests.sample.tasks.{name}",
        submitted_us=now_us(),
        queue="ab"[number % 2],
        priority=number % 3,
        **more,
    )


def feed(broker, ids, is_over):
    """Keep everybody busy, 2,000 tasks a second at the most; cancel a few on the way."""
    while not is_over.wait(0.1):
        if broker.stats().ready < BACKLOG:
            tasks = [some_task(len(ids) + n) for n in range(200)]
            broker.submit_many(tasks)
            broker.cancel([tasks[-1].id])
            ids += [task.id for task in tasks]


def audited(broker):
    report = Report(keep=None)
    Auditor(broker, report, settle_seconds=1.0).run()
    return report


@pytest.mark.django_db(transaction=True)
def test_a_system_at_full_load_is_clean_even_while_a_worker_is_killed(broker, start):
    ids, is_over = [], threading.Event()
    workers = [start("w1"), start("w2")]
    feeder = threading.Thread(target=feed, args=(broker, ids, is_over))
    feeder.start()
    try:
        wait_until(lambda: broker.stats().count("completed"), "the first tasks")
        for number in (1, 2, 3):
            done = broker.stats().count("completed")
            assert audited(broker).lines() == []
            wait_until(lambda before=done: broker.stats().count("completed") > before, "more")
            workers[number % 2].kill_group()
            workers[number % 2] = start(f"w{number + 2}")
    finally:
        is_over.set()
        feeder.join()

    wait_until(
        lambda: not broker.link.call("HLEN", keys.key(0, "payloads")),
        "the end of it all",
        seconds=PATIENCE_SECONDS,
    )
    report = audited(broker)

    assert report.lines() == []
    assert report.looked_at["database"] == TaskRecord.objects.count() == len(ids)
