"""Unique, debounced and repeatable tasks, through every door."""

import asyncio
import json
import threading
from datetime import timedelta

import pytest
from django.db import transaction
from django.test import Client

from tasks_app import registry
from tasks_app.compat import InvalidTask, signals
from tasks_app.enqueue import TaskRequest, message_of, submit
from tasks_app.exceptions import DuplicateTask, InvalidCall, KeyReused
from tasks_app.options.unique import Unique, key_of
from tests.sample import tasks

from .executing import Hands, record

pytestmark = pytest.mark.django_db(transaction=True)

ECHO = "tests.sample.tasks.echo"


@pytest.fixture(autouse=True)
def _empty(broker):
    """Each test begins on an empty server."""


@pytest.fixture
def heard():
    """The ids of the tasks that were announced."""
    ids = []

    def receiver(sender, task_result, **kwargs):
        ids.append(task_result.id)

    signals.task_enqueued.connect(receiver)
    yield ids
    signals.task_enqueued.disconnect(receiver)


@pytest.fixture
def api(broker):
    return Client(headers={"host": "localhost:8080"})


def post(api, path="submit", headers=None, **body):
    body = body if path == "bulk" else {"taskType": ECHO, **body}
    return api.post(
        f"/api/tasks/{path}", json.dumps(body), content_type="application/json", headers=headers
    )


def submitted(broker):
    return broker.stats().count("submitted")


def request(name=ECHO, **fields):
    return TaskRequest(type=registry.get(name), **fields)


def ended(broker, task_id):
    hands = Hands(broker)
    hands.claim()
    hands.settle(task_id, "completed", number=1, result=None)


# --- which tasks are the same ---


def key(*args, on=(), task=tasks.echo, **kwargs):
    return key_of("t", task, Unique(on=on), list(args), kwargs)


def test_arguments_are_the_same_however_they_are_handed_in():
    def told(*args, **kwargs):
        return key(*args, task=tasks.raise_error, **kwargs)

    assert told() == told("Broken on purpose.") == told(message="Broken on purpose.")
    assert told() != told("Broken.")
    assert key(task=tasks.context_attempt) == key(task=tasks.context_attempt)


def test_all_arguments_count_unless_some_are_chosen():
    assert key(1, user=2) != key(1, user=3)
    assert key(1, user=2, on=["user"]) == key(9, user=2, extra=0, on=["user"])
    assert key(1, user=2, on=["user"]) != key(1, user=3, on=["user"])
    assert key({"b": 1, "a": 2}) == key({"a": 2, "b": 1})


def test_a_part_of_an_argument_can_be_chosen():
    def told(payload):
        return key(task=tasks.async_echo, on=["value.order.id"], value=payload)

    assert told({"order": {"id": 1}, "at": 5}) == told({"order": {"id": 1}})
    assert told({"order": {"id": 1}}) != told({"order": {"id": 2}})
    assert told("no dict") == told({"order": None})


def test_a_call_that_will_fail_has_a_key_too():
    assert key(1, 2, 3, task=tasks.async_echo) != key(1, 2, task=tasks.async_echo)


def test_types_do_not_share_keys():
    one, other = (message_of(request(n, unique=Unique(key="k"))) for n in (ECHO, "test"))

    assert one.unique_key != other.unique_key


# --- django's door ---


def test_enqueue_returns_the_task_that_is_there(broker, heard):
    unique = tasks.echo.using(unique=["user_id"])
    first = unique.enqueue(user_id=1, note="first")

    second = unique.enqueue(user_id=1, note="second")

    assert second.id == first.id
    assert second.kwargs == {"user_id": 1, "note": "first"}
    other = unique.enqueue(user_id=2)
    assert heard == [first.id, other.id]
    assert asyncio.run(unique.aenqueue(user_id=1)).id == first.id


def test_enqueue_tells_the_status_of_a_finished_task_within_the_period(broker):
    unique = tasks.echo.using(unique=Unique(on=["user_id"], period=timedelta(hours=1)))
    first = unique.enqueue(user_id=1)
    ended(broker, first.id)
    record(broker, first.id)
    assert broker.get(first.id) is None

    second = unique.enqueue(user_id=1)

    assert (second.id, second.status) == (first.id, "SUCCESSFUL")


def test_a_task_that_is_nowhere_any_more_still_has_its_key_for_the_period(broker):
    unique = tasks.echo.using(unique=Unique(period=3600))
    first = unique.enqueue()
    ended(broker, first.id)
    state = broker.get(first.id).state
    broker.forget({first.id: state.version})

    assert unique.enqueue().id == first.id


def test_many_are_enqueued_at_once_and_some_are_there(broker, heard):
    unique = tasks.echo.using(unique=True)
    first = unique.enqueue(1)

    one, two, three = unique.enqueue_many([[1], [2], [2]])

    assert one.id == first.id and two.id == three.id != first.id
    assert heard == [first.id, two.id]


def test_a_refusal_tells_who_is_there(broker, heard):
    refusing = tasks.echo.using(unique=Unique(on_duplicate="refuse"))
    first = refusing.enqueue(1)

    with pytest.raises(DuplicateTask) as caught:
        refusing.enqueue(1)

    assert caught.value.task_id == first.id
    assert heard == [first.id]


def test_a_type_is_unique_unless_a_submit_says_otherwise(api, broker):
    name = "tests.sample.tasks.once_a_doc"
    first = tasks.once_a_doc.enqueue(1, text="a")

    assert tasks.once_a_doc.enqueue(doc=1, text="b").id == first.id
    assert post(api, taskType=name, args=[1]).json()["taskId"] == first.id
    other = tasks.once_a_doc.using(unique=False).enqueue(1)
    assert other.id != first.id
    assert tasks.once_a_doc.get_result(other.id).task.unique is False
    assert post(api, taskType=name, args=[1], unique=False).status_code == 201


def test_twenty_threads_that_enqueue_the_same_get_one_task(broker):
    ids, barrier = [], threading.Barrier(20)
    unique = tasks.echo.using(unique=True)

    def enqueue():
        barrier.wait()
        ids.append(unique.enqueue("same").id)

    threads = [threading.Thread(target=enqueue) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(ids) == 20 and len(set(ids)) == 1
    assert submitted(broker) == 1


def test_a_debounced_task_becomes_the_newest(broker):
    debounced = tasks.echo.using(unique=["doc"], debounce=timedelta(seconds=60))
    first, second = debounced.enqueue(doc=1, text="a"), debounced.enqueue(doc=1, text="b")

    first.refresh()

    assert first.status == "FAILED"
    assert first.errors[0].exception_class_path == "tasks_app.exceptions.TaskCancelled"
    assert second.id in first.errors[0].traceback
    message = broker.get(second.id).message
    assert (message.debounce, message.debounce_most) == (60.0, 600.0)
    assert broker.get(second.id).state.status == "scheduled"


def test_a_repeated_enqueue_with_an_idempotency_key_is_the_first_one(broker, heard):
    paying = tasks.echo.using(idempotency_key="order-17")
    first = paying.enqueue(1)

    assert paying.enqueue(1).id == first.id
    with pytest.raises(KeyReused):
        paying.enqueue(2)
    assert heard == [first.id]


def test_a_restored_task_has_its_options_again(broker):
    how = Unique(on=["a"], on_duplicate="replace")
    found = tasks.echo.get_result(tasks.echo.using(unique=how).enqueue(a=1).id)
    assert found.task.unique == how
    assert tasks.echo.get_result(tasks.echo.enqueue().id).task.unique is None
    waiting = tasks.echo.using(debounce=5, debounce_most=7).enqueue()
    found = tasks.echo.get_result(waiting.id).task
    assert (found.debounce, found.debounce_most) == (5, 7)


@pytest.mark.parametrize("way", ["outbox", "on_commit"])
def test_in_a_transaction_the_task_that_came_too_late_is_told_to_be_cancelled(
    broker, settings, way
):
    settings.TASKS = {"default": {**settings.TASKS["default"], "OPTIONS": {"ENQUEUE": way}}}
    unique = tasks.echo.using(unique=True)
    first = unique.enqueue(1)

    with transaction.atomic():
        second = unique.enqueue(1)
        other = tasks.echo.enqueue(2)

    assert second.id != first.id
    second.refresh()
    other.refresh()
    assert (second.status, other.status) == ("FAILED", "READY")
    assert first.id in second.errors[0].traceback


WRONG = [
    {"unique": "user_id"},
    {"unique": []},
    {"unique": [1]},
    {"unique": ["user\x00"]},
    {"unique": Unique(key="k", on=["a"])},
    {"unique": Unique(period=-1)},
    {"unique": Unique(period=float("nan"))},
    {"unique": Unique(on_duplicate="ignore")},
    {"unique": Unique(on="user_id")},
    {"unique": Unique(on_duplicate="refuse"), "debounce": 5},
    {"unique": Unique(period=5), "debounce": 5},
    {"debounce": -1},
    {"debounce": "soon"},
    {"debounce_most": 5},
    {"idempotency_key": ""},
    {"idempotency_key": 5},
    {"idempotency_key": "x" * 256},
    {"idempotency_key": "\ud800"},
]


@pytest.mark.parametrize("options", WRONG, ids=repr)
def test_what_makes_no_sense_is_refused_at_every_door(broker, options):
    with pytest.raises(InvalidTask):
        tasks.echo.using(**options)
    with pytest.raises(InvalidCall) as caught:
        submit([request(**options)])

    assert set(caught.value.errors) <= set(options)
    assert submitted(broker) == 0


def test_an_argument_that_the_function_does_not_have_is_refused(broker):
    with pytest.raises(InvalidTask, match=r"unique: .*'user'.*message"):
        tasks.raise_error.using(unique=["user"])
    with pytest.raises(InvalidCall):
        message_of(request("tests.sample.tasks.raise_error", unique=["user"]))

    tasks.raise_error.using(unique=["message"])
    tasks.echo.using(unique=["anything"])  # it takes any


# --- ids that callers choose ---


def test_an_id_is_taken_once_also_when_redis_has_forgotten_it(broker):
    (message,) = submit([request(id="order-17")])
    with pytest.raises(DuplicateTask):
        submit([request(id="order-17")])
    ended(broker, message.id)
    record(broker, message.id)
    assert broker.get(message.id) is None

    with pytest.raises(DuplicateTask, match="order-17"):
        submit([request(), request(id="order-17")])

    assert submitted(broker) == 1


def test_only_who_chooses_an_id_asks_the_database(broker, django_assert_num_queries):
    with django_assert_num_queries(0):
        submit([request(), request()])


def test_a_submit_tells_the_id_of_what_is_there(broker, heard):
    one, two = submit([request(unique=True), request(unique=True)])

    assert one.id == two.id
    assert heard == [one.id]


# --- REST ---


def test_rest_answers_with_the_task_that_is_there(api, broker):
    body = {"kwargs": {"user": 1}, "unique": ["user"]}
    first = post(api, **body)

    second = post(api, **body)

    assert (first.status_code, second.status_code) == (201, 200)
    assert set(first.json()) == {"taskId", "status"}
    assert second.json() == {**first.json(), "duplicate": True}
    assert post(api, kwargs={"user": 2}, unique=["user"]).status_code == 201


@pytest.mark.parametrize("how", [True, {"key": "k"}, {"on": ["user"]}, {"seconds": 60}, {}])
def test_rest_takes_every_form_of_unique(api, broker, how):
    first = post(api, kwargs={"user": 1}, unique=how)
    assert post(api, kwargs={"user": 1}, unique=how).json()["taskId"] == first.json()["taskId"]

    shown = api.get(f"/api/tasks/{first.json()['taskId']}").json()["unique"]
    given = how if isinstance(how, dict) else {}
    assert shown == {
        **({"key": "k"} if "key" in given else {"on": given.get("on", [])}),
        "seconds": given.get("seconds", 0), "duplicate": "existing",
    }  # fmt: skip


def test_rest_refuses_with_the_id_of_the_task_that_is_there(api, broker):
    how = {"key": "k", "duplicate": "refuse"}
    first = post(api, unique=how).json()["taskId"]

    refused = post(api, unique=how)

    assert refused.status_code == 409
    assert (refused.json()["code"], refused.json()["taskId"]) == ("duplicate", first)


def test_rest_replaces(api, broker):
    how = {"key": "k", "duplicate": "replace"}
    first, second = (post(api, unique=how) for _ in range(2))

    assert second.status_code == 201
    assert broker.get(first.json()["taskId"]).state.status == "cancelled"


def test_rest_debounces(api, broker):
    first, second = (post(api, args=[1], debounce=60, debounceMost=90) for _ in range(2))

    assert second.status_code == 201
    assert broker.get(first.json()["taskId"]).state.status == "cancelled"
    assert api.get(f"/api/tasks/{second.json()['taskId']}").json()["debounce"] == 60


@pytest.mark.parametrize("where", ["field", "header", "quoted"])
def test_rest_repeats_a_call(api, broker, where):
    field = {"idempotencyKey": "order 17"} if where == "field" else {}
    header = {"header": "order 17", "quoted": '"order 17"'}.get(where)
    headers = {"Idempotency-Key": header} if header else {}
    first = post(api, args=[1], headers=headers, **field)
    ended(broker, first.json()["taskId"])

    again = post(api, args=[1], headers=headers, **field)

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == {**first.json(), "duplicate": True}
    other = post(api, args=[2], headers=headers, **field)
    assert other.status_code == 409
    assert (other.json()["code"], other.json()["taskId"]) == ("key_reused", first.json()["taskId"])
    assert submitted(broker) == 1
    shown = api.get(f"/api/tasks/{first.json()['taskId']}").json()
    assert shown["idempotency_key"] == "order 17"


def test_rest_repeats_a_bulk_call(api, broker):
    tasks = [{"taskType": ECHO, "args": [n]} for n in range(3)]
    headers = {"Idempotency-Key": "import-5"}
    first = post(api, "bulk", headers, tasks=tasks)

    again = post(api, "bulk", headers, tasks=tasks)

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == {**first.json(), "duplicates": [0, 1, 2]}
    assert submitted(broker) == 3


def test_rest_tells_which_tasks_of_a_bulk_were_there(api, broker):
    tasks = [{"taskType": ECHO, "args": [n], "unique": True} for n in (1, 2, 1)]

    answer = post(api, "bulk", tasks=tasks)

    assert answer.status_code == 201
    one, two, three = answer.json()["taskIds"]
    assert one == three != two
    assert answer.json()["duplicates"] == [2]


def test_rest_refuses_a_whole_bulk(api, broker):
    tasks = [{"taskType": ECHO, "unique": {"key": "k", "duplicate": "refuse"}}] * 2

    answer = post(api, "bulk", tasks=[{"taskType": ECHO}, *tasks])

    assert answer.status_code == 409
    assert submitted(broker) == 0


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("unique", {"unique": "user"}),
        ("unique", {"unique": None}),
        ("unique", {"unique": 5}),
        ("unique", {"unique": {"period": 5}}),
        ("unique", {"unique": {"seconds": "5"}}),
        ("unique", {"unique": {"duplicate": "ignore"}}),
        ("unique", {"unique": {"key": 5}}),
        ("unique", {"taskType": "tests.sample.tasks.raise_error", "unique": ["user"]}),
        ("debounce", {"debounce": "5"}),
        ("debounceMost", {"debounceMost": 5}),
        ("idempotencyKey", {"idempotencyKey": ""}),
        ("idempotencyKey", {"idempotencyKey": "a\nb"}),
    ],
)
def test_rest_names_the_field_that_is_wrong(api, broker, field, body):
    answer = post(api, **body)

    assert answer.status_code == 400, answer.content
    assert list(answer.json()) == [field]
    assert submitted(broker) == 0


def test_rest_refuses_a_header_that_is_no_key(api, broker):
    answer = post(api, headers={"Idempotency-Key": ""})

    assert (answer.status_code, list(answer.json())) == (400, ["Idempotency-Key"])
