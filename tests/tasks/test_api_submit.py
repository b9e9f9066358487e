"""Submitting over HTTP: what is accepted, what is refused, and that a refusal stores nothing."""

import json

import pytest
from django.test import Client

from tasks_app.broker import connection
from tasks_app.message import now_us
from tasks_app.normalize import MOST_DEEP
from tests.lua.peers import Swallowing

pytestmark = pytest.mark.django_db

MIB = 1024 * 1024


@pytest.fixture
def api(broker):
    """Somebody at this machine."""
    return Client(headers={"host": "localhost:8080"})


def post(api, path, body, content_type="application/json"):
    if not isinstance(body, str | bytes):
        body = json.dumps(body)
    return api.post(path, body, content_type=content_type)


def submit(api, **task):
    return post(api, "/api/tasks/submit", {"taskType": "test", **task})


def stored(broker, response):
    assert response.status_code == 201, response.content
    return broker.must_get(response.json()["taskId"]).message


def is_empty(broker):
    return broker.stats().queues == [] and broker.stats().count("submitted") == 0


def test_submit_stores_what_was_asked_for(api, broker):
    response = post(
        api,
        "/api/tasks/submit",
        {
            "priority": 8,
            "deadline": "2030-01-30T15:04:05Z",
            "retries": 2,
            "taskType": "test",
            "payload": {"any": ["JSON", None, 1.5]},
            "queue": "mail",
            "expires": "2030-01-30T15:04:05.123456+01:00",
            "runAfter": "2030-01-01T00:00",
            "backoff": 0.5,
            "timeout": 30,
        },
    )

    assert set(response.json()) == {"taskId", "status"}
    assert response.json()["status"] == "queued"
    message = stored(broker, response)
    assert message.args == [{"any": ["JSON", None, 1.5]}]
    assert (message.queue, message.priority, message.max_attempts) == ("mail", 60, 3)
    assert message.deadline_us == 1_896_015_845_000_000
    assert message.expires_us == 1_896_012_245_123_456
    assert message.run_after_us == 1_893_456_000_000_000
    assert (message.backoff, message.timeout) == (0.5, 30)


def test_submit_fills_in_the_defaults_of_the_original(api, broker):
    message = stored(broker, submit(api))

    assert (message.priority, message.max_attempts, message.queue) == (0, 4, "default")
    assert (message.args, message.deadline_us, message.expires_us) == ([], 0, 0)


def test_submit_takes_arguments_instead_of_a_payload(api, broker):
    message = stored(broker, submit(api, args=[1, "two"], kwargs={"three": 3}))

    assert (message.args, message.kwargs) == ([1, "two"], {"three": 3})


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_form_field_is_no_deadline(api, broker, empty):
    assert stored(broker, submit(api, deadline=empty)).deadline_us == 0


def test_a_deadline_in_the_past_is_accepted(api, broker):
    message = stored(broker, submit(api, deadline="2020-01-01T00:00:00Z"))

    assert 0 < message.deadline_us < now_us()


@pytest.mark.parametrize(
    "deadline",
    ["2030-01-30T15:04", "2030-01-30t15:04:05z", "2030-01-30T15:04:05.123456789Z",
     "2030-01-30 15:04:05-07:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"],
)  # fmt: skip
def test_every_form_of_a_moment_is_accepted(api, broker, deadline):
    assert stored(broker, submit(api, deadline=deadline)).deadline_us != 0


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", ""])
def test_the_body_is_json_whatever_its_type_says(api, broker, content_type):
    response = post(api, "/api/tasks/submit/", {"taskType": "test", "payload": "a&b"}, content_type)

    assert stored(broker, response).args == ["a&b"]


REFUSED = [
    ("priority", {"priority": 0}),
    ("priority", {"priority": 11}),
    ("priority", {"priority": "high"}),
    ("priority", {"priority": "5"}),
    ("priority", {"priority": 5.5}),
    ("priority", {"priority": 5.0}),
    ("priority", {"priority": True}),
    ("priority", {"priority": None}),
    ("retries", {"retries": -1}),
    ("retries", {"retries": 1001}),
    ("retries", {"retries": "3"}),
    ("retries", {"retries": 10**4000}),
    ("deadline", {"deadline": "tomorrow"}),
    ("deadline", {"deadline": "2030-02-30T00:00:00Z"}),
    ("deadline", {"deadline": "2030-01-30T15:04:60Z"}),
    ("deadline", {"deadline": "2030-01-30T15:04:05+99:00"}),
    ("deadline", {"deadline": "0001-01-01T00:00:00+23:00"}),
    ("deadline", {"deadline": "\uff12030-01-30T15:04:05Z"}),
    ("deadline", {"deadline": 1_896_015_845}),
    ("expires", {"expires": "2020-01-01T00:00:00Z"}),
    ("expires", {"expires": "2030-01-01T00:00:00Z", "runAfter": "2031-01-01T00:00:00Z"}),
    ("runAfter", {"runAfter": []}),
    ("taskType", {"taskType": "no.such.type"}),
    ("taskType", {"taskType": "os.system"}),
    ("taskType", {"taskType": ""}),
    ("taskType", {"taskType": None}),
    ("taskType", {"taskType": ["test"]}),
    ("taskType", {"taskType": "te\x00st"}),
    ("taskType", {"taskType": "\ud800"}),
    ("taskType", {"taskType": "t" * 256}),
    ("queue", {"queue": "Mail"}),
    ("queue", {"queue": ""}),
    ("queue", {"queue": "q" * 65}),
    ("queue", {"queue": "q\n"}),
    ("queue", {"queue": "q}:{*"}),
    ("queue", {"queue": "../q"}),
    ("queue", {"queue": None}),
    ("payload", {"payload": "a\x00b"}),
    ("payload", {"payload": ["\ud800"]}),
    ("payload", {"payload": {"\udfff": 1}}),
    ("payload", {"payload": 10**4250}),
    ("payload", {"payload": json.loads("[" * MOST_DEEP + "]" * MOST_DEEP)}),
    ("payload", {"payload": 1, "args": []}),
    ("args", {"args": {}}),
    ("kwargs", {"kwargs": []}),
    ("kwargs", {"kwargs": {"a": "\x00"}}),
    ("backoff", {"backoff": -1}),
    ("backoff", {"backoff": 10**400}),
    ("timeout", {"timeout": "1"}),
    ("timeout", {"timeout": True}),
    ("prioritty", {"prioritty": 5}),
    ("\\ud800", {"\ud800": 5}),
]


@pytest.mark.parametrize(("field", "task"), REFUSED, ids=lambda value: ascii(value)[:40])
def test_a_wrong_field_is_named_and_nothing_is_stored(api, broker, field, task):
    response = submit(api, **task)

    assert response.status_code == 400
    assert list(response.json()) == [field]
    assert all(isinstance(said, str) for said in response.json()[field])
    assert is_empty(broker)


def test_an_unknown_type_is_answered_with_the_known_ones(api):
    said = submit(api, taskType="wordcont").json()["taskType"][0]

    assert said.index("wordcount") < said.index("test")


NO_JSON = [
    b"", b"{", b"null", b"[]", b'"test"', b"5", b"taskType=test", b"\xff\xfe", b"\xef\xbb\xbf{}",
    b'{"taskType":"test","payload":NaN}', b'{"taskType":"test","payload":-Infinity}',
    b'{"taskType":"test","payload":1e999}',
    b'{"taskType":"test","taskType":"test"}',
    b'{"taskType":"test","payload":{"a":1,"a":2}}',
    b'{"taskType":"test","payload":' + b"9" * 5000 + b"}",
    b'{"taskType":"test","payload":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"taskType":"test","payload":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
    b"[" * 1_000_000,
]  # fmt: skip


@pytest.mark.parametrize("body", NO_JSON, ids=lambda body: repr(body[:40]))
def test_a_body_that_is_no_sound_json_is_refused(api, broker, body):
    response = post(api, "/api/tasks/submit", body)

    assert response.status_code == 400
    assert response.json()
    assert is_empty(broker)


def test_the_deepest_accepted_payload_can_be_read_again(api):
    levels = MOST_DEEP - 1  # the list of arguments is one, too
    deep = "[" * levels + "]" * levels
    response = post(api, "/api/tasks/submit", f'{{"taskType":"test","payload":{deep}}}')
    assert response.status_code == 201

    task = api.get(f"/api/tasks/{response.json()['taskId']}")

    assert json.dumps(task.json()["args"]) == f"[{deep}]"


def test_a_payload_over_the_limit_is_too_large(api, broker):
    assert submit(api, payload="x" * (MIB - 10)).status_code == 201
    broker.link.call("FLUSHALL")

    for size in (MIB, 10_000_000):
        response = submit(api, payload="x" * size)

        assert response.status_code == 413
        assert response.json()["detail"]
        assert is_empty(broker)


@pytest.mark.parametrize("length", [None, "10", "99999999999"])
def test_a_body_over_the_limit_is_not_even_parsed(api, broker, settings, length):
    settings.DTPS = {**settings.DTPS, "MAX_BODY_BYTES": 1000}
    headers = {} if length is None else {"CONTENT_LENGTH": length}
    body = b'{"taskType":"test","payload":"' + b"x" * 1000 + b'"}'

    response = api.post("/api/tasks/submit", body, "application/json", **headers)

    assert response.status_code == (400 if length == "10" else 413)
    assert is_empty(broker)


def test_bulk_stores_all_in_order(api, broker):
    tasks = [{"taskType": "test", "payload": n, "priority": 1 + n % 10} for n in range(1000)]

    response = post(api, "/api/tasks/bulk", {"tasks": tasks})

    assert response.status_code == 201
    ids = response.json()["taskIds"]
    found = broker.get_many(ids)
    assert [found[task_id].message.args for task_id in ids] == [[n] for n in range(1000)]
    assert ids == sorted(ids)


def test_bulk_names_the_wrong_ones_by_index_and_stores_none(api, broker):
    good = {"taskType": "test"}
    tasks = [good, {"taskType": "tst"}, good, {"taskType": "test", "priority": 11}, 5]
    tasks.append({"taskType": "test", "payload": 10**4250})

    response = post(api, "/api/tasks/bulk", {"tasks": tasks[:5]})
    late = post(api, "/api/tasks/bulk", {"tasks": [good, tasks[5]]})

    assert response.status_code == late.status_code == 400
    errors = response.json()["tasks"]
    assert {index: list(said) for index, said in errors.items()} == {
        "1": ["taskType"], "3": ["priority"], "4": ["non_field_errors"],
    }  # fmt: skip
    assert list(late.json()["tasks"]) == ["1"]
    assert is_empty(broker)


@pytest.mark.parametrize(
    "body",
    [{}, [], {"tasks": []}, {"tasks": {}}, {"tasks": None},
     {"tasks": [{"taskType": "test"}] * 1001},
     {"tasks": [{"taskType": "test"}], "more": 1}],
    ids=lambda body: repr(body)[:30],
)  # fmt: skip
def test_bulk_refuses_what_is_no_list_of_tasks(api, broker, body):
    response = post(api, "/api/tasks/bulk", body)

    assert response.status_code == 400
    assert is_empty(broker)


def test_a_full_queue_is_named_and_worth_another_try(api, broker, settings):
    settings.DTPS = {**settings.DTPS, "MAX_QUEUE_DEPTH": 2}
    two = {"tasks": [{"taskType": "test", "queue": "mail"}] * 2}
    assert post(api, "/api/tasks/bulk", two).status_code == 201

    response = submit(api, queue="mail")

    assert response.status_code == 503
    assert "mail" in response.json()["detail"]
    assert response.headers["Retry-After"] == "1"


def test_without_redis_a_submit_is_unavailable(api, settings, tmp_path):
    settings.DTPS = {**settings.DTPS, "REDIS_URL": f"unix://{tmp_path}/none.sock"}

    for response in (submit(api), api.get("/api/metrics"), api.get("/api/tasks/status?id=a")):
        assert response.status_code == 503
        assert response.json()["code"] == "unavailable"
        assert response.headers["Retry-After"]
    assert api.get("/healthz").status_code == 503


def test_a_lost_answer_is_told_with_the_id_to_look_for(api, broker, redis_server, settings):
    with Swallowing(redis_server) as peer:
        settings.DTPS = {**settings.DTPS, "REDIS_URL": peer.url}
        assert submit(api).status_code == 201

        peer.answers = False
        response = submit(api, payload="perhaps")
        peer.answers = True

        assert response.status_code == 503
        assert response.json()["code"] == "unknown"
        assert response.headers["Retry-After"]
        found = api.get(f"/api/tasks/{response.json()['taskId']}").json()
        assert found["args"] == ["perhaps"]
        connection.link().close()


def test_a_durability_that_the_server_lacks_is_refused_and_nothing_is_stored(api, broker, settings):
    settings.DTPS = {**settings.DTPS, "SUBMIT_DURABILITY": "replicated"}
    bulk = {"tasks": [{"taskType": "test"}], "durability": "fsync"}

    for refused in (
        submit(api), submit(api, durability="fsync"), post(api, "/api/tasks/bulk", bulk)
    ):  # fmt: skip
        assert (refused.status_code, refused.json()["code"]) == (503, "not_durable")
    assert is_empty(broker)

    assert stored(broker, submit(api, durability="fast"))


def test_a_durability_is_said_once_for_a_bulk_and_by_its_name(api, broker):
    bulk = post(api, "/api/tasks/bulk", {"tasks": [{"taskType": "test", "durability": "fast"}]})

    assert bulk.status_code == 400
    assert "durability" in bulk.json()["tasks"]["0"]
    assert "durability" in submit(api, durability="high").json()
    assert is_empty(broker)
