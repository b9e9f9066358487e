"""The snapshot: true with and without workers, coordinator and database."""

import pytest
from django.db import DatabaseError
from uuid_utils import uuid7

from tasks_app.broker.answers import Settlement
from tasks_app.message import TaskMessage, now_us, priority_of
from tasks_app.models import TaskRecord
from tasks_app.states import Status
from workers_app.live import latest as latest_tasks
from workers_app.live.series import POINTS, STEP_MS, series, throughput
from workers_app.live.snapshot import snapshot

pytestmark = pytest.mark.django_db


def message(**fields):
    given = {"id": str(uuid7()), "type": "test", "submitted_us": now_us()} | fields
    return TaskMessage(**given)


def row(message, **fields):
    given = {
        "id": message.id,
        "type": message.type,
        "queue": message.queue,
        "priority": message.priority,
        "status": Status.PENDING,
        "submitted_us": message.submitted_us,
        "definition": message.encode(),
        "state": b"",
    }
    return TaskRecord.objects.create(**given | fields)


def claim(broker, limit=10):
    broker.fleet.announce("w1", {"hostname": "here", "slots": 4}, executors=["w1:0:x"])
    return broker.claim("w1:0:x", "w1", ["default"], limit)


def test_an_empty_system_has_every_number_and_all_are_zero(broker):
    shown = snapshot()

    assert shown["queueLengths"] == {str(level): 0 for level in range(1, 11)}
    assert (shown["waiting"], shown["processed"], shown["failed"], shown["throughput"]) == (0,) * 4
    assert shown["workers"] == {} and shown["activeWorkers"] == 0
    assert len(shown["series"]) == POINTS


def test_waiting_tasks_are_counted_by_level_and_by_queue(broker):
    broker.submit_many([message(priority=priority_of(9)) for _ in range(3)])
    broker.submit_many([message(queue="mail", run_after_us=now_us() + 3_600_000_000)])
    broker.pause("mail")

    shown = snapshot()

    assert shown["queueLengths"]["9"] == 3 and shown["waiting"] == 3 and shown["scheduled"] == 1
    assert {
        "name": "mail",
        "paused": True,
        "ready": 0,
        "scheduled": 1,
        "waiting": 0,
    } in shown["queues"]


def test_a_worker_is_active_until_its_lease_is_over(broker):
    broker.fleet.announce("w1", {"hostname": "here", "processed": 7, "active": 2, "slots": 4})
    broker.link.call("ZADD", "dtps:{s0}:workers:leases", "1", "silent")
    broker.link.call("HSET", "dtps:{s0}:workers", "silent", '{"active": 5, "pid": "x"}')

    shown = snapshot()["workers"]

    assert shown["silent"]["status"] == "inactive" and shown["silent"]["activeTasks"] == 0
    assert shown["w1"]["tasksProcessed"] == 7 and shown["w1"]["hostname"] == "here"


def test_latest_lays_what_redis_knows_over_the_rows(broker):
    held, unknown_to_the_database = message(), message(priority=100)
    row(held)
    broker.submit_many([held, unknown_to_the_database])
    claim(broker, limit=2)
    broker.start("w1:0:x", [held.id])

    newest, older = snapshot()["latest"]

    assert (newest["id"], newest["status"], newest["priority"]) == (
        unknown_to_the_database.id,
        "assigned",
        10,
    )
    assert (older["id"], older["status"], older["worker"]) == (held.id, "processing", "w1")


def test_latest_believes_the_row_once_redis_is_behind_it(broker):
    finished = message()
    row(finished, status=Status.COMPLETED, version=9, finished_us=now_us(), worker="w1")
    broker.submit(finished)  # as if Redis had been rolled back

    assert [task["status"] for task in snapshot()["latest"]] == ["completed"]


def test_latest_does_without_the_database(broker, monkeypatch):
    def refuse(*args):
        raise DatabaseError("gone")

    monkeypatch.setattr(latest_tasks.TaskRecord.objects, "order_by", refuse)
    submitted = message(args=["x" * 100_000])
    broker.submit(submitted)

    assert [task["id"] for task in snapshot()["latest"]] == [submitted.id]


def test_finished_tasks_are_counted_and_make_the_throughput(broker):
    broker.fleet.keep_sample({"at_ms": now_us() // 1000 - 2000, "completed": 0, "failed": 0,
                              "submitted": 0})  # fmt: skip
    broker.submit_many([message() for _ in range(4)])
    got = claim(broker)
    done = [
        Settlement(id=task.message.id, token=got.token, outcome=outcome)
        for task, outcome in zip(got.claimed, ["completed"] * 3 + ["failed"], strict=True)
    ]
    broker.finish("w1:0:x", done)

    shown = snapshot()

    assert (shown["processed"], shown["failed"], shown["waiting"]) == (3, 1, 0)
    assert shown["throughput"] > 0


def counted(at_ms, completed, failed=0, submitted=0):
    return {"at_ms": at_ms, "completed": completed, "failed": failed, "submitted": submitted}


def test_throughput_is_the_mean_of_the_last_seconds():
    samples = [counted(1000 * n, completed=10 * n) for n in range(20)]

    assert throughput(samples) == 10.0


def test_throughput_falls_to_zero_when_nothing_ends_any_more():
    assert throughput([counted(0, 500), counted(1000, 900), counted(900_000, 900)]) == 0.0


def test_throughput_survives_a_reset_of_the_counters():
    assert throughput([counted(0, 500), counted(4000, 20)]) == 5.0


def test_series_is_the_growth_between_fixed_moments():
    start = STEP_MS * 1000
    samples = [counted(start + 1000 * n, completed=2 * n, submitted=n) for n in range(31)]

    points = series(samples, start + 30_000)

    assert points[-1] == {
        "at": start + 30_000, "submitted": 1.0, "completed": 2.0, "failed": 0.0,
        "ready": None, "slots": None, "busy": None,
    }  # fmt: skip
    assert [point["completed"] for point in points][-11:] == [0.0] + [2.0] * 10


def test_series_never_goes_below_zero_at_a_reset():
    samples = [counted(0, 1000), counted(3000, 1300), counted(6000, 30)]

    assert [point["completed"] for point in series(samples, 6000)[-2:]] == [100.0, 10.0]
