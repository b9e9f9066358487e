"""Workers, metrics, debug and reset over HTTP, beside workers that are played by hand."""

import json
import time

import pytest
from django.test import Client

from tasks_app.broker.answers import Settlement
from tasks_app.message import Attempt, now_us
from tasks_app.models import (
    Dependency,
    Member,
    Outbox,
    TaskRecord,
    TaskRemarks,
    WorkflowRecord,
)
from workers_app.coordinator.services.recorder import Recorder

pytestmark = pytest.mark.django_db

WORKER, EXECUTOR = "host-1", "host-1:0:random"


@pytest.fixture
def api(broker):
    """Somebody at this machine."""
    return Client(headers={"host": "localhost:8080"})


def post(api, path, body=None):
    return api.post(path, json.dumps(body), content_type="application/json")


def submit(api, count=1, **task):
    tasks = [{"taskType": "test", **task}] * count
    response = post(api, "/api/tasks/bulk", {"tasks": tasks})
    assert response.status_code == 201, response.content
    return response.json()["taskIds"]


def announce(broker, **said):
    said = {"status": "active", "processed": 12, "active": 3, "hostname": "host", **said}
    broker.fleet.announce(WORKER, said, executors=[EXECUTOR])


def claim(broker, limit=10):
    announce(broker)
    exchange = broker.claim(EXECUTOR, WORKER, ["default", "mail"], limit)
    return {task.message.id: exchange.token for task in exchange.claimed}


def finish(broker, held, outcome):
    line = Attempt(worker=WORKER, outcome=outcome, error="no" * (outcome == "failed")).encode()
    settlements = [Settlement(id=i, token=t, outcome=outcome, line=line) for i, t in held.items()]
    assert broker.finish(EXECUTOR, settlements) == []


def record(broker):
    while broker.stats().unrecorded:
        Recorder(broker).tick()


def test_workers_are_told_by_id(api, broker):
    announce(broker)

    worker = api.get("/api/workers").json()[WORKER]

    assert worker["id"] == WORKER
    assert (worker["tasksProcessed"], worker["activeTasks"], worker["status"]) == (12, 3, "active")
    assert worker["lastSeen"][10] == "T"
    assert api.get("/api/metrics").json()["workerMetrics"][WORKER].keys() == worker.keys()


def test_metrics_count_what_waits_and_what_was_done(api, broker):
    submit(api, 3, priority=1)
    submit(api, 2, priority=10, queue="mail")
    submit(api, runAfter="2040-01-01T00:00:00Z")
    held = claim(broker, 2)
    ids = list(held)
    finish(broker, {ids[0]: held[ids[0]]}, "completed")
    finish(broker, {ids[1]: held[ids[1]]}, "failed")

    numbers = api.get("/api/metrics").json()

    assert numbers["activeWorkers"] == 1
    assert numbers["totalTasks"] == 3
    assert numbers["scheduledTasks"] == 1
    assert (numbers["processedTasks"], numbers["failedTasks"]) == (1, 1)
    assert list(numbers["queueLengths"]) == [str(level) for level in range(1, 11)]
    assert (numbers["queueLengths"]["1"], numbers["queueLengths"]["10"]) == (3, 0)
    schema = api.get("/api/schema").json()["components"]["schemas"]
    assert set(schema["Metrics"]["properties"]) == set(numbers)


def test_metrics_tell_what_waits_in_the_outbox_and_for_how_long(api, broker):
    numbers = api.get("/api/metrics").json()
    assert (numbers["outboxTasks"], numbers["outboxSeconds"]) == (0, 0)

    a_minute_ago = now_us() - 60_000_000
    for name in ("a", "b"):
        Outbox.objects.create(id=name, definition=b"", created_us=a_minute_ago, turn_us=0)

    numbers = api.get("/api/metrics").json()
    assert numbers["outboxTasks"] == 2
    assert 60 <= numbers["outboxSeconds"] < 3600


def test_a_task_that_ended_after_its_deadline_is_counted(api, broker):
    submit(api, deadline="2020-01-01T00:00:00Z")
    submit(api, deadline="2040-01-01T00:00:00Z")
    finish(broker, claim(broker), "completed")

    record(broker)

    assert api.get("/api/metrics").json()["lateTasks"] == 1


def test_debug_shows_where_everything_is(api, broker):
    done, failed = submit(api, 2, priority=9)
    held = claim(broker)
    finish(broker, {done: held[done]}, "completed")
    finish(broker, {failed: held[failed]}, "failed")
    record(broker)
    running, assigned = submit(api, 2, priority=8)
    claim(broker)
    broker.start(EXECUTOR, [running])
    [waiting] = submit(api, priority=1)

    seen = api.get("/api/debug").json()

    assert [task["task_id"] for task in seen["queue_1"]] == [waiting]
    assert seen["queue_10"] == []
    assert list(seen["workers"][WORKER]["assigned_tasks"]) == [assigned]
    assert list(seen["workers"][WORKER]["processing_tasks"]) == [running]
    assert list(seen["workers"][WORKER]["completed_tasks"]) == [done]
    assert list(seen["results"]) == [done]
    assert list(seen["failed_tasks"]) == [failed]
    assert not any(seen["truncated"].values())


def test_debug_stays_short_however_much_waits(api, broker):
    submit(api, 150, priority=10)

    seen = api.get("/api/debug").json()

    assert len(seen["queue_10"]) == 100
    assert seen["truncated"]["queue_10"] is True
    assert seen["truncated"]["queue_1"] is False


@pytest.mark.parametrize("history", [False, True])
def test_reset_leaves_nothing_open_and_counts_from_zero(api, broker, history):
    [done] = submit(api)
    finish(broker, claim(broker), "completed")
    record(broker)
    held = submit(api, 2)
    claim(broker)
    broker.start(EXECUTOR, held[:1])
    waiting = [*submit(api, 3), *submit(api, queue="mail", runAfter="2040-01-01T00:00:00Z")]
    time_before = time.time_ns()

    response = post(api, f"/api/system/reset{'?history=true' * history}")

    assert response.status_code == 200
    assert response.json()["status"] == "System reset successful"
    assert response.json()["cancelled"] == 6
    assert TaskRecord.objects.filter(id=done).exists() is not history
    numbers = api.get("/api/metrics").json()
    assert (numbers["totalTasks"], numbers["scheduledTasks"], numbers["processedTasks"]) == (
        0,
        0,
        0,
    )
    assert set(numbers["queueLengths"].values()) == {0}
    assert broker.held_ids(EXECUTOR) == {}
    seen = api.get("/api/debug").json()
    assert (seen["results"], seen["failed_tasks"]) == ({}, {})
    assert seen["workers"][WORKER] == {
        "assigned_tasks": {}, "processing_tasks": {}, "completed_tasks": {},
    }  # fmt: skip
    record(broker)
    for task_id in [*held, *waiting]:
        assert api.get("/api/tasks/status", {"id": task_id}).json()["status"] == "cancelled"
    assert broker.reset_at_ms() * 1_000_000 >= time_before - 1_000_000
    assert submit(api) and list(claim(broker))


def test_a_long_history_is_deleted_in_slices(api, broker, monkeypatch):
    monkeypatch.setattr("workers_app.api.reset.SLICE", 2)
    ids = submit(api, 5)
    finish(broker, claim(broker), "completed")
    record(broker)
    TaskRemarks.objects.create(id=ids[4], at_ms=1, text=b"{}")
    workflow = WorkflowRecord.objects.create(id="w", total=1, layers=1, created_us=1)
    workflow.members.create(task_id=ids[0], position=0, layer=0, name="a", type="test")
    Dependency.objects.create(child_id=ids[0], parent_id="another", position=0)

    response = post(api, "/api/system/reset?history=true")

    assert response.json()["deleted"] == 5
    for model in (TaskRecord, TaskRemarks, WorkflowRecord, Member, Dependency):
        assert not model.objects.exists()


@pytest.mark.parametrize("query", ["?history=maybe", "?histroy=true", "?history=1&history=0"])
def test_a_reset_that_is_not_understood_resets_nothing(api, broker, query):
    submit(api)

    assert post(api, f"/api/system/reset{query}").status_code == 400
    assert broker.stats().ready == 1


WRONG = [
    ("poolSize", {"poolSize": 0}), ("poolSize", {"poolSize": "5"}),
    ("poolSize", {"poolSize": True}), ("poolSize", {"poolSize": 1.0}),
    ("poolSize", {"poolSize": 10**6}),
    ("minWorkers", {"minWorkers": 0}), ("minWorkers", {"poolSize": 2, "minWorkers": 3}),
    ("maxWorkers", {"poolSize": 5, "maxWorkers": 4}), ("enableSteal", {"enableSteal": "yes"}),
    ("enableSteal", {"enableSteal": 1}), ("pool", {"pool": 5}),
]  # fmt: skip


@pytest.mark.parametrize(("field", "body"), WRONG, ids=repr)
def test_a_wrong_pool_is_named_before_anybody_is_asked(api, field, body):
    response = post(api, "/api/workers/start", body)

    assert response.status_code == 400
    assert list(response.json()) == [field]


@pytest.mark.parametrize("body", [None, [], "{", 5])
def test_a_pool_is_an_object(api, body):
    body = body if body == "{" else json.dumps(body)

    response = api.post("/api/workers/start", body, content_type="application/json")

    assert response.status_code == 400


def test_without_an_agent_a_start_says_how_to_get_one(api):
    response = api.post("/api/workers/start", "", content_type="application/json")

    assert response.status_code == 503
    assert "runagent" in response.json()["detail"]


def test_stop_leaves_an_order_for_the_worker(api, broker):
    announce(broker)

    response = api.post(f"/api/workers/stop?id={WORKER}")

    assert response.json() == {"status": "Worker stopped", "id": WORKER}
    assert broker.fleet.announce(WORKER, {}).orders == [{"order": "stop"}]
    assert api.post("/api/workers/stop?id=unknown").status_code == 404
    assert list(api.post("/api/workers/stop").json()) == ["id"]
