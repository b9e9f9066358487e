"""What a task says of itself, as the API and the admin show it: live, and from the history."""

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from tasks_app import actions, lookup
from tasks_app.broker import keys
from tasks_app.broker.answers import Remark
from tasks_app.models import TaskRemarks
from tasks_app.remarks import Line, Progress, encode
from workers_app.coordinator.services.reconciler import open_tasks
from workers_app.coordinator.services.recorder import Recorder

from ..postgres import on_both_databases
from .executing import EXECUTOR, Hands
from .test_api_tasks import submit

pytestmark = pytest.mark.django_db

HOSTILE = "<img src=x onerror=alert(1)>\u202e{{ 7|add:7 }}"


@pytest.fixture
def api(broker):
    """Somebody at this machine."""
    return Client(headers={"host": "127.0.0.1:8080"})


@pytest.fixture
def hands(broker):
    return Hands(broker)


@pytest.fixture
def telling(api, broker, hands):
    """A task that runs and has said something."""
    task_id = submit(api)
    hands.claim()
    hands.start(task_id)
    tell(broker, hands, task_id)
    return task_id


def tell(broker, hands, task_id, serial=1):
    lines = [
        Line(f"line {serial}", at_us=1_000_000),
        Line(HOSTILE, level="ERROR", logger="shop", at_us=2_000_000, attempt=2),
    ]
    remark = Remark(
        task_id,
        hands.tokens[task_id],
        serial,
        progress=encode(Progress(serial, 4, HOSTILE, at_us=3_000_000)),
        checkpoint=b'{"done":%d}' % serial,
        lines=b"".join(encode(line) + b"\n" for line in lines),
    )
    assert broker.remark(EXECUTOR, [remark], tells=True) == []


def record(broker):
    recorder = Recorder(broker)
    while broker.changes(1).ids:
        recorder.tick()


def shown(api, task_id):
    task, log = api.get(f"/api/tasks/{task_id}"), api.get(f"/api/tasks/{task_id}/log")
    assert (task.status_code, log.status_code) == (200, 200)
    return task.json(), log.json()


@on_both_databases
def test_what_a_task_said_is_shown_while_it_runs_and_afterwards(api, broker, hands, telling):
    task, log = shown(api, telling)

    assert task["progress"] == {
        "done": 1, "total": 4, "note": HOSTILE, "at": "1970-01-01T00:00:03Z", "run": 1,
        "attempt": 1,
    }  # fmt: skip
    assert task["checkpoint"] == {"done": 1}
    assert log["task_id"] == telling and log["dropped"] == 0
    assert log["lines"][0] == {
        "at": "1970-01-01T00:00:01Z", "level": "INFO", "logger": "", "text": "line 1", "run": 1,
        "attempt": 1,
    }  # fmt: skip
    assert (log["lines"][1]["level"], log["lines"][1]["attempt"]) == ("ERROR", 2)

    hands.settle(telling, "completed")
    record(broker)
    assert broker.get(telling) is None

    again, same = shown(api, telling)
    assert (again["progress"], again["checkpoint"]) == (task["progress"], task["checkpoint"])
    assert same == log


def test_a_task_that_said_nothing_has_nothing_to_show(api, broker):
    task, log = shown(api, submit(api))

    assert (task["progress"], task["checkpoint"]) == (None, None)
    assert (log["lines"], log["dropped"]) == ([], 0)


@pytest.mark.parametrize("task_id", ["0199e0a0-0000-7000-8000-000000000000", "no id", "x" * 100])
def test_the_log_of_an_unknown_task_is_not_found(api, broker, task_id):
    assert api.get(f"/api/tasks/{task_id}/log").status_code == 404


@on_both_databases
def test_an_older_word_does_not_replace_a_newer_one(api, broker, hands, telling):
    record(broker)
    TaskRemarks.objects.update(at_ms=2**50, text=b"9|1|0|t\n\n{}\n")

    tell(broker, hands, telling, 2)
    record(broker)

    assert lookup.recorded_remarks([telling])[telling].state == {}


def test_a_checkpoint_survives_being_forgotten_and_retried(api, broker, hands, telling):
    hands.settle(telling, "failed")
    record(broker)
    assert not broker.link.call("EXISTS", keys.key(0, "remarks"))

    actions.retry(telling)

    assert broker.checkpoint(telling) == b'{"done":1}'
    hands.claim()
    tell(broker, hands, telling, 2)
    record(broker)
    found = lookup.recorded_remarks([telling])[telling]
    assert found.state == {"done": 2}
    assert [line.text for line in found.log] == ["line 1", HOSTILE, "line 2", HOSTILE]


def test_a_wiped_redis_gets_back_what_the_history_knows(api, broker, telling):
    record(broker)
    before = lookup.find_remarks(telling)
    broker.link.call("FLUSHALL")

    assert [broker.reconcile(2, tasks) for tasks in open_tasks()] == [{telling: "restored"}]

    assert broker.remarks([telling]) == {telling: before}


def test_the_admin_shows_it_as_text(broker, telling):
    record(broker)
    get_user_model().objects.create_superuser("root", password="x")
    admin = Client()
    admin.login(username="root", password="x")

    page = admin.get(reverse("admin:tasks_app_taskrecord_change", args=[telling])).content.decode()

    assert "1 / 4" in page
    assert "&quot;done&quot;: 1" in page
    assert "INFO line 1" in page
    assert "ERROR shop &lt;img" in page
    assert HOSTILE not in page
