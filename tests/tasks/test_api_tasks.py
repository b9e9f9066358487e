"""Looking at tasks and acting on them over HTTP, in every state that they can be in."""

import json
from dataclasses import dataclass

import pytest
from django.test import Client

from tasks_app.broker.answers import Settlement
from tasks_app.message import Attempt, now_us
from tasks_app.note import UNKNOWN_TYPE
from tests.conftest import wait_until
from workers_app.coordinator.services.recorder import Recorder

pytestmark = pytest.mark.django_db

WORKER, EXECUTOR = "host-1", "host-1:0:random"
STATUS_FIELDS = {
    "task_id", "status", "output", "error", "start_time", "end_time", "retry_count", "worker_id",
    "metrics",
}  # fmt: skip
METRICS = {"processing_time", "queue_wait_time", "memory_usage", "cpu_time"}


@pytest.fixture
def api(broker):
    """Somebody at this machine."""
    return Client(headers={"host": "127.0.0.1:8080"})


def submit(api, **task):
    body = json.dumps({"taskType": "test", **task})
    response = api.post("/api/tasks/submit", body, content_type="application/json")
    assert response.status_code == 201, response.content
    return response.json()["taskId"]


def status(api, task_id):
    response = api.get("/api/tasks/status", {"id": task_id})
    assert response.status_code == 200, response.content
    return response.json()


def claim(broker, limit=10):
    """What a worker does, up to holding tasks: id -> token."""
    broker.fleet.announce(WORKER, {"status": "active"}, executors=[EXECUTOR])
    exchange = broker.claim(EXECUTOR, WORKER, ["default", "mail"], limit)
    return {task.message.id: exchange.token for task in exchange.claimed}


def finish(broker, held, outcome, *, pause_ms=0, **attempt):
    line = Attempt(worker=WORKER, number=1, outcome=outcome, **attempt).encode()
    settlements = [
        Settlement(id=i, token=token, outcome=outcome, pause_ms=pause_ms, line=line)
        for i, token in held.items()
    ]
    assert broker.finish(EXECUTOR, settlements) == []


def record(broker):
    """What the coordinator does: rows are written, then Redis forgets the tasks that are over."""
    while broker.stats().unrecorded:
        Recorder(broker).tick()


def test_status_follows_a_task_through_its_life(api, broker):
    task_id = submit(api, payload="hello")
    assert status(api, task_id)["status"] == "pending"
    assert set(status(api, task_id)) >= STATUS_FIELDS

    held = claim(broker)
    assert status(api, task_id)["status"] == "assigned"
    assert status(api, task_id)["worker_id"] == WORKER
    assert status(api, task_id)["start_time"] is None

    broker.start(EXECUTOR, [task_id])
    running = status(api, task_id)
    assert running["status"] == "processing"
    assert running["start_time"] and running["end_time"] is None

    at = now_us()
    finish(
        broker, held, "completed", result={"said": "hello"},
        started_us=at, ended_us=at + 1500, cpu_seconds=0.25, memory_bytes=4096,
    )  # fmt: skip
    done = status(api, task_id)
    record(broker)
    recorded = status(api, task_id)

    assert broker.get(task_id) is None
    assert recorded == done
    assert (done["status"], done["output"], done["error"]) == ("completed", {"said": "hello"}, "")
    assert done["worker_id"] == WORKER
    assert done["start_time"].endswith("Z") and done["end_time"] > done["start_time"]
    assert set(done["metrics"]) == METRICS
    assert done["metrics"]["processing_time"] == 1_500_000
    assert done["metrics"]["queue_wait_time"] > 0
    assert (done["metrics"]["memory_usage"], done["metrics"]["cpu_time"]) == (4096, 0.25)


def test_a_failed_attempt_and_the_retry_after_it_are_told(api, broker):
    task_id = submit(api, deadline="2020-01-01T00:00:00Z")
    attempt = {"error_type": "builtins.ValueError", "error": "no", "traceback": "line 1"}

    finish(broker, claim(broker), "retry", pause_ms=1, **attempt)
    waiting = status(api, task_id)

    assert (waiting["status"], waiting["error"], waiting["retry_count"]) == ("retrying", "no", 1)
    assert waiting["deadline_missed"] is False

    wait_until(lambda: broker.promote() and broker.stats().ready, "the pause")
    finish(broker, claim(broker), "failed", **attempt, ended_us=now_us())
    task = api.get(f"/api/tasks/{task_id}").json()

    assert (task["status"], task["error"], task["retry_count"]) == ("failed", "no", 1)
    assert task["deadline_missed"] is True
    assert [each["outcome"] for each in task["attempts"]] == ["retry", "failed"]
    assert task["attempts"][0]["traceback"] == "line 1"


def test_a_task_that_was_given_back_says_that_no_worker_knows_its_type(api, broker):
    task_id = submit(api)
    assert api.get(f"/api/tasks/{task_id}").json()["note"] == ""

    attempt = {"error_type": UNKNOWN_TYPE, "error": "There is no task type 'test'."}
    line = Attempt(worker=WORKER, outcome="pending", ended_us=now_us(), **attempt).encode()
    for held, token in claim(broker).items():
        given_back = Settlement(
            id=held, token=token, outcome="released", pause_ms=60_000, line=line
        )
        assert broker.finish(EXECUTOR, [given_back]) == []
    task = api.get(f"/api/tasks/{task_id}").json()

    assert task["note"].startswith("No worker knows this type.")
    assert (task["retry_count"], task["attempts"][0]["outcome"]) == (0, "pending")
    schema = api.get("/api/schema").json()["components"]["schemas"]["Task"]
    assert set(schema["properties"]) == set(task)


@pytest.mark.parametrize("task_id", ["unknown", "..", "a b", "%00", "x" * 500, "*", "[id]"])
def test_what_is_no_task_is_not_found(api, task_id):
    assert api.get("/api/tasks/status", {"id": task_id}).status_code == 404
    assert api.get(f"/api/tasks/{task_id}").status_code in (400, 404)
    assert api.post(f"/api/tasks/{task_id}/cancel").status_code in (400, 404)
    assert api.post(f"/api/tasks/{task_id}/retry").status_code in (400, 404)


@pytest.mark.parametrize("query", ["", "?id=", "?id=a&id=b", "?task=a"])
def test_a_status_needs_one_id(api, query):
    response = api.get(f"/api/tasks/status{query}")

    assert response.status_code == 400
    assert list(response.json()) == ["id"]


def test_a_running_task_can_be_cancelled_and_its_result_is_dropped(api, broker):
    task_id = submit(api)
    held = claim(broker)
    broker.start(EXECUTOR, [task_id])

    response = api.post(f"/api/tasks/{task_id}/cancel")

    assert response.json() == {"task_id": task_id, "status": "cancelled", "before": "processing"}
    line = Attempt(result="late").encode()
    late = Settlement(id=task_id, token=held[task_id], outcome="completed", line=line)
    assert broker.finish(EXECUTOR, [late]) == [task_id]
    assert status(api, task_id)["status"] == "cancelled"
    assert "local" in status(api, task_id)["error"]


@pytest.mark.parametrize("is_recorded", [False, True])
def test_a_finished_task_cannot_be_cancelled_but_run_again(api, broker, is_recorded):
    task_id = submit(api, payload=1)
    finish(broker, claim(broker), "completed", result=1)
    if is_recorded:
        record(broker)

    refused = api.post(f"/api/tasks/{task_id}/cancel/")
    retried = api.post(f"/api/tasks/{task_id}/retry/")
    again = api.post(f"/api/tasks/{task_id}/retry")

    assert (refused.status_code, refused.json()["code"]) == (409, "wrong_state")
    assert retried.json() == {"task_id": task_id, "status": "pending", "run": 2}
    assert again.status_code == 409
    assert status(api, task_id)["output"] is None
    finish(broker, claim(broker), "completed", result=2, run=2)
    assert status(api, task_id)["output"] == 2
    assert [each["run"] for each in api.get(f"/api/tasks/{task_id}").json()["attempts"]] == [1, 2]


def test_a_paused_queue_gives_nothing_out(api, broker):
    task_id = submit(api, queue="mail", priority=10)

    assert api.post("/api/queues/mail/pause").json() == {"name": "mail", "paused": True}
    [queue] = api.get("/api/queues").json()
    assert (queue["name"], queue["paused"], queue["ready"]) == ("mail", True, 1)
    assert queue["levels"]["10"] == 1
    assert claim(broker) == {}

    assert api.post("/api/queues/mail/resume/").json() == {"name": "mail", "paused": False}
    assert list(claim(broker)) == [task_id]
    assert api.post("/api/queues/No Such/pause").status_code == 404


def test_task_types_tell_what_a_submit_gets(api):
    types = {each["name"]: each for each in api.get("/api/task-types").json()}

    assert {"test", "wordcount", "primes", "sleep", "sleep_async", "checksum", "flaky"} <= set(
        types
    )
    assert (types["test"]["retries"], types["test"]["priority"]) == (3, 5)
    assert types["sleep_async"]["is_async"] is True


# --- lists ---


@dataclass
class Stock:
    """Tasks in many states: recorded, unrecorded, and recorded in a state that they have left."""

    completed: list[str]
    pending: list[str]
    processing: list[str]
    assigned: list[str]


@pytest.fixture
def stock(api, broker):
    completed = [submit(api, queue="mail", priority=9) for _ in range(3)]
    held = claim(broker)
    finish(broker, {task_id: held[task_id] for task_id in completed[:2]}, "completed")
    running = [submit(api, priority=3) for _ in range(4)]
    pending = [submit(api, priority=1)]
    record(broker)

    finish(broker, {completed[2]: held[completed[2]]}, "completed")
    claim(broker, 4)
    broker.start(EXECUTOR, running[:2])
    pending += [submit(api, priority=1) for _ in range(2)]
    return Stock(completed, pending, running[:2], running[2:])


def listed(api, **query):
    """The ids on all pages, page by page."""
    pages, cursor = [], {}
    while True:
        response = api.get("/api/tasks", {**query, **cursor})
        assert response.status_code == 200, response.content
        page = response.json()
        pages.append([task["task_id"] for task in page["results"]])
        if page["next"] is None:
            return pages
        cursor = {"cursor": page["next"]}


def flat(pages):
    return [task_id for page in pages for task_id in page]


def newest_first(*lists):
    return sorted([task_id for each in lists for task_id in each], reverse=True)


def test_the_list_has_every_task_once_the_newest_first(api, stock):
    everything = newest_first(stock.completed, stock.pending, stock.processing, stock.assigned)

    for limit in (1, 3, 4, 200):
        pages = listed(api, limit=limit)
        assert flat(pages) == everything
        assert {len(page) for page in pages[:-1]} <= {limit}


@pytest.mark.parametrize("name", ["completed", "pending", "processing", "assigned"])
def test_a_status_filter_tells_the_truth_of_this_moment(api, stock, name):
    assert listed(api, status=name) == [newest_first(getattr(stock, name))]
    assert flat(listed(api, status=name, limit=1)) == newest_first(getattr(stock, name))


def test_a_retried_task_leaves_the_list_of_the_failed_at_once(api, broker):
    task_id = submit(api)
    finish(broker, claim(broker), "failed", error="no")
    record(broker)
    assert listed(api, status="failed") == [[task_id]]

    api.post(f"/api/tasks/{task_id}/retry")

    assert listed(api, status="failed") == [[]]
    assert listed(api, status="pending") == [[task_id]]


def test_rows_that_are_true_no_more_make_no_page_end_early(api, broker):
    ids = [submit(api) for _ in range(4)]
    finish(broker, claim(broker), "failed", error="no")
    record(broker)
    for task_id in ids[1:]:
        api.post(f"/api/tasks/{task_id}/retry")

    assert flat(listed(api, status="failed", limit=1)) == ids[:1]


def test_the_other_filters(api, stock):
    held = [stock.processing, stock.assigned]

    assert listed(api, queue="mail") == [newest_first(stock.completed)]
    assert listed(api, priority=1) == [newest_first(stock.pending)]
    assert listed(api, type="test", priority=9, limit=200) == [newest_first(stock.completed)]
    assert listed(api, type="primes") == [[]]
    assert listed(api, worker=WORKER) == [newest_first(*held, stock.completed)]
    assert listed(api, worker=WORKER, status="processing") == [newest_first(stock.processing)]
    assert listed(api, worker="another") == [[]]
    assert listed(api, status="scheduled") == [[]]


def test_a_search_finds_ids_by_their_beginning(api, stock):
    recorded, unrecorded = stock.completed[0], stock.pending[2]

    assert listed(api, search=recorded) == [[recorded]]
    assert listed(api, search=unrecorded.upper()) == [[unrecorded]]
    assert len(listed(api, search=recorded[:8])[0]) == 10
    for nothing in ("ffff", "%", "_", "' OR 1=1", "x"):
        assert listed(api, search=nothing) == [[]]


def test_times_bound_the_list(api, stock):
    middle = stock.processing[0]
    at = api.get(f"/api/tasks/{middle}").json()["submitted_at"]

    before, after = listed(api, submitted_before=at)[0], listed(api, submitted_after=at)[0]

    assert before == newest_first(stock.completed)
    assert after == newest_first(stock.processing, stock.assigned, stock.pending)


@pytest.mark.parametrize(
    ("name", "value"),
    [("status", "queued"), ("status", ""), ("priority", "0"), ("priority", "x"), ("limit", "201"),
     ("limit", "0"), ("limit", "1e9"), ("submitted_after", "today"), ("order_by", "-id"),
     ("status__in", "failed"), ("id__regex", "."), ("_connector", "OR"), ("search", "x" * 65),
     ("type", "a\x00b")],
)  # fmt: skip
def test_a_wrong_filter_is_named(api, name, value):
    response = api.get("/api/tasks", {name: value})

    assert response.status_code == 400
    assert list(response.json()) == [name]
    assert api.get("/api/tasks", {"limit": ["1", "2"]}).status_code == 400


def test_a_list_reads_no_payloads(api, broker, django_assert_num_queries):
    submit(api, payload="x" * 1000)
    finish(broker, claim(broker), "completed", result="y" * 1000)
    record(broker)

    with django_assert_num_queries(1) as queries:
        listed(api)

    assert "definition" not in queries[0]["sql"]


def test_pages_reach_unrecorded_tasks_that_came_in_bulk(api, broker):
    """Nobody records: all there is to go by are the changes, 1,000 tasks in each."""
    tasks = {"tasks": [{"taskType": "test"}] * 1000}
    ids = []
    for _ in range(3):
        response = api.post("/api/tasks/bulk", json.dumps(tasks), content_type="application/json")
        ids += response.json()["taskIds"]

    pages = listed(api, limit=200, status="pending")

    assert flat(pages) == newest_first(ids)
