"""Workers directed over HTTP: what is ordered, what makes no sense, and what they answer."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.test import Client

from tasks_app.exceptions import UnknownOutcome
from tasks_app.message import TaskMessage, now_us
from workers_app.agent import fleet_control
from workers_app.api import steering
from workers_app.control import PoolConfig

from ..conftest import PATIENCE_SECONDS, wait_until
from ..lua.peers import Swallowing

pytestmark = pytest.mark.django_db

WORKER, EXECUTOR = "host-1", "host-1:0:random"
ORDERS = ["pause", "resume", "restart"]


@pytest.fixture
def api(broker):
    """Somebody at this machine."""
    return Client(headers={"host": "localhost:8080"})


def post(api, path, body=None):
    text = "" if body is None else json.dumps(body)
    return api.post(path, text, content_type="application/json")


def announce(broker, **said):
    broker.fleet.announce(WORKER, {"status": "active", **said}, executors=[EXECUTOR])


def fall_silent(broker):
    """What is left of a worker whose lease is over."""
    announce(broker)
    broker.link.call("ZADD", "dtps:{s0}:workers:leases", "1", WORKER)


def look(api, order):
    """Ask for something of the worker that needs it to be there."""
    if order == "stacks":
        return api.get(f"/api/workers/stacks?id={WORKER}")
    body = {"slots": 3} if order == "scale" else None
    return post(api, f"/api/workers/{order}?id={WORKER}", body)


# --- orders ---


@pytest.mark.parametrize(
    ("order", "status"),
    [
        ("pause", "Worker paused"),
        ("resume", "Worker resumed"),
        ("restart", "Worker restarts"),
    ],
)
def test_an_order_is_left_for_the_worker(api, broker, order, status):
    announce(broker)

    answer = post(api, f"/api/workers/{order}?id={WORKER}")

    assert answer.json() == {"status": status, "id": WORKER}
    assert broker.fleet.orders(WORKER) == [{"order": order}]


def test_the_number_of_slots_is_left_for_the_worker(api, broker):
    announce(broker, bounds=[2, 6])

    answer = post(api, f"/api/workers/scale?id={WORKER}", {"slots": 7})

    assert answer.json() == {"status": "Worker scaled", "id": WORKER, "slots": 7}
    assert broker.fleet.orders(WORKER) == [{"order": "scale", "slots": 7}]


WRONG = [
    ("slots", {}), ("slots", {"slots": 0}), ("slots", {"slots": "5"}), ("slots", {"slots": True}),
    ("slots", {"slots": 2.0}), ("slots", {"slots": None}), ("slots", {"slots": 10**9}),
]  # fmt: skip


@pytest.mark.parametrize(("field", "body"), WRONG, ids=repr)
def test_a_wrong_number_of_slots_is_named(api, broker, field, body):
    announce(broker)

    response = post(api, f"/api/workers/scale?id={WORKER}", body)

    assert response.status_code == 400
    assert list(response.json()) == [field]
    assert broker.fleet.orders(WORKER) == []


def test_a_misspelt_field_is_named_with_what_was_meant(api, broker):
    announce(broker)

    scale = post(api, f"/api/workers/scale?id={WORKER}", {"slot": 3}).json()
    pause = post(api, f"/api/workers/pause?id={WORKER}", {"for": 3}).json()

    assert scale["slot"] == ["There is no such field. Did you mean slots?"]
    assert pause == {"for": ["There is no such field."]}
    assert broker.fleet.orders(WORKER) == []


@pytest.mark.parametrize("order", [*ORDERS, "scale", "stacks"])
def test_an_unknown_worker_is_not_found_and_none_is_asked_for(api, broker, order):
    call = api.get if order == "stacks" else api.post
    body = {} if order == "stacks" else {"data": '{"slots": 3}' if order == "scale" else ""}
    body |= {} if order == "stacks" else {"content_type": "application/json"}

    assert call(f"/api/workers/{order}?id=unknown", **body).status_code == 404
    for query in ("", "?id=", "?id=a&id=b"):
        response = call(f"/api/workers/{order}{query}", **body)
        assert (response.status_code, list(response.json())) == (400, ["id"])


@pytest.mark.parametrize("order", [*ORDERS, "scale", "stacks"])
def test_a_silent_worker_is_told_nothing(api, broker, order):
    fall_silent(broker)

    response = look(api, order)

    assert response.status_code == 409
    assert "is silent" in response.json()["detail"]
    assert broker.fleet.orders(WORKER) == []


@pytest.mark.parametrize("order", [*ORDERS, "scale"])
def test_a_worker_that_stops_is_told_nothing_more(api, broker, order):
    announce(broker, status="stopping")

    response = look(api, order)

    assert (response.status_code, response.json()["code"]) == (409, "wrong_state")
    assert "is stopping" in response.json()["detail"]


# --- stacks ---


@pytest.fixture
def answers(broker):
    """A worker that answers the first question after its stacks with what it is given here."""
    threads = []

    def answer(value):
        def play():
            (order,) = wait_until(lambda: broker.fleet.orders(WORKER), "the order")
            assert order["order"] == "stacks"
            broker.fleet.answer(order["request"], value)

        threads.append(threading.Thread(target=play))
        threads[0].start()

    yield answer
    for thread in threads:
        thread.join()


def test_stacks_are_what_the_worker_answers(api, broker, answers):
    announce(broker, status="stopping")  # what holds it up is worth a look
    task = TaskMessage(id="0198-task", type="resize", submitted_us=now_us())
    broker.submit(task)
    answers(
        {
            "worker": WORKER,
            "tasks": [
                {"id": task.id, "executor": EXECUTOR, "thread": 7, "seconds": 1.5, "stack": "line"},
                {"id": "gone", "executor": EXECUTOR, "seconds": None, "stack": None},
                "odd",
            ],
            "others": "MainThread",
        }
    )

    answer = api.get(f"/api/workers/stacks?id={WORKER}")

    assert answer.status_code == 200, answer.content
    assert answer.json() == {
        "id": WORKER,
        "stacks": [
            {"task_id": task.id, "task_type": "resize", "executor": EXECUTOR, "seconds": 1.5,
             "stack": "line"},
            {"task_id": "gone", "task_type": "", "executor": EXECUTOR, "seconds": 0.0, "stack": ""},
        ],
        "others": "MainThread",
    }  # fmt: skip


def test_a_worker_that_shows_no_stacks_is_said_to_be_silent(api, broker, monkeypatch):
    monkeypatch.setattr(steering, "ANSWER_SECONDS", 0.1)
    announce(broker)

    answer = api.get(f"/api/workers/stacks?id={WORKER}")

    assert (answer.status_code, answer.json()["code"]) == (503, "no_answer")
    assert answer.json()["detail"] == f"The worker {WORKER} did not answer within 0.1 s."
    assert answer.headers["Retry-After"] == "1"


@pytest.fixture
def line(redis_server, settings, broker):
    """The way to a server, which may fall silent; and a thread for who waits meanwhile."""
    pool = ThreadPoolExecutor(1)
    with Swallowing(redis_server, cuts=False) as peer:
        settings.DTPS = {**settings.DTPS, "REDIS_URL": peer.url, "SOCKET_TIMEOUT_SECONDS": 1.0}
        yield peer, pool
    pool.shutdown()


def test_stacks_are_not_waited_for_once_redis_is_silent(broker, line, monkeypatch):
    monkeypatch.setattr(steering, "ANSWER_SECONDS", 3600)
    announce(broker)
    peer, pool = line
    asked = pool.submit(steering.stacks, WORKER)
    wait_until(lambda: broker.fleet.orders(WORKER), "the order")

    peer.answers = False

    assert isinstance(asked.exception(PATIENCE_SECONDS), UnknownOutcome)


def test_a_start_is_not_waited_for_once_redis_is_silent(broker, line, monkeypatch):
    monkeypatch.setattr(fleet_control, "LONGEST_WAIT_SECONDS", 3600)
    broker.fleet.announce_agent("host", {"workers": []})
    peer, pool = line
    asked = pool.submit(fleet_control.start_worker, PoolConfig())
    wait_until(lambda: broker.fleet.announce_agent("host", {"workers": []}), "the order")

    peer.answers = False

    assert isinstance(asked.exception(PATIENCE_SECONDS), UnknownOutcome)


# --- decisions ---


def decided(broker, worker, at_ms, before, after, **more):
    decision = {
        "at_ms": at_ms, "from": before, "to": after, "reason": f"{after} are enough.",
        "numbers": {"backlog": 7}, "worker": worker,
    }  # fmt: skip
    broker.fleet.keep_decision(decision | more)


def test_decisions_are_listed_the_newest_first(api, broker):
    decided(broker, "w1", 1000, 3, 6)
    decided(broker, "w2", 2000, 1, 2)
    decided(broker, "w1", 3000, 6, 5)

    everyone = api.get("/api/workers/decisions").json()
    of_one = api.get("/api/workers/decisions?id=w1&limit=1").json()

    assert [(each["worker"], each["from"], each["to"]) for each in everyone] == [
        ("w1", 6, 5), ("w2", 1, 2), ("w1", 3, 6),
    ]  # fmt: skip
    assert of_one == [
        {
            "at": "1970-01-01T00:00:03.000+00:00", "worker": "w1", "from": 6, "to": 5,
            "reason": "5 are enough.", "numbers": {"backlog": 7},
        }
    ]  # fmt: skip
    assert api.get("/api/workers/decisions?id=nobody").json() == []
    schema = api.get("/api/schema").json()["components"]["schemas"]
    assert set(schema["Decision"]["properties"]) == set(of_one[0])


def test_an_odd_decision_hides_no_other(api, broker):
    decided(broker, "w1", 1000, 3, 6)
    decided(broker, None, "noon", -1, 10**30, reason=["why"], numbers="none")

    odd, good = api.get("/api/workers/decisions").json()

    assert (odd["worker"], odd["from"], odd["to"], odd["numbers"]) == ("", 0, 0, {})
    assert good["reason"] == "6 are enough."


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "worker=a", "id=a&id=b"])
def test_a_wrong_question_for_decisions_is_refused(api, query):
    name = query.partition("=")[0]

    response = api.get(f"/api/workers/decisions?{query}")

    assert response.status_code == 400
    assert list(response.json()) == [name]


# --- what workers say of themselves ---


def test_everything_that_a_worker_says_is_told_and_described(api, broker):
    executor = {"id": EXECUTOR, "pid": 7, "active": 1, "reserved": 4, "memoryBytes": 5_000_000}
    announce(
        broker, status="paused", kind="threads", slots=3, bounds=[1, 6], reserved=4, stolen=5,
        stolenFrom=6, crashed=1, recycled=2, types=9, executors=[executor],
    )  # fmt: skip

    worker = api.get("/api/workers").json()[WORKER]

    assert (worker["status"], worker["kind"], worker["bounds"]) == ("paused", "threads", [1, 6])
    assert (worker["reserved"], worker["stolen"], worker["stolenFrom"]) == (4, 5, 6)
    assert (worker["crashed"], worker["recycled"], worker["types"]) == (1, 2, 9)
    assert worker["executors"] == [executor]
    schema = api.get("/api/schema").json()["components"]["schemas"]["Worker"]
    assert set(schema["properties"]) == set(worker)


def test_a_worker_of_an_older_version_has_every_field(api, broker):
    announce(broker, config={"minWorkers": 2, "maxWorkers": 4})

    worker = api.get("/api/workers").json()[WORKER]

    assert (worker["kind"], worker["bounds"], worker["executors"]) == ("", [2, 4], [])
    assert (worker["stolen"], worker["stolenFrom"], worker["reserved"]) == (0, 0, 0)


SAID = (
    "status processed failed active reserved stolen stolenFrom kind executors bounds types "
    "recycled crashed slots queues hostname pid started_us config version"
)
ODD = [None, "x", -1, 1.5, True, 10**30, [], {}, [None], {"a": 1}, "\u202e" * 5000]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd)[:20])
def test_odd_claims_of_a_worker_break_nothing(api, broker, odd):
    announce(broker, **dict.fromkeys(SAID.split(), odd))

    for path in ("/api/workers", "/api/metrics", "/"):
        assert api.get(path).status_code == 200, path
    worker = api.get("/api/workers").json()[WORKER]
    assert isinstance(worker["queues"], list) and isinstance(worker["executors"], list)
    assert worker["slots"] == worker["stolen"] == 0 and worker["config"] in ({}, {"a": 1})


def test_of_a_silent_worker_nothing_is_held_or_running(api, broker):
    fall_silent(broker)

    worker = api.get("/api/workers").json()[WORKER]

    assert (worker["status"], worker["activeTasks"], worker["reserved"]) == ("inactive", 0, 0)
    assert worker["executors"] == []


def test_stolen_and_stale_are_counted(api, broker):
    announce(broker, slots=4)
    broker.link.call("HSET", "dtps:{s0}:counters", "stolen", 8, "stale", 2)

    numbers = api.get("/api/metrics").json()

    assert (numbers["stolenTasks"], numbers["staleResults"], numbers["slots"]) == (8, 2, 4)
