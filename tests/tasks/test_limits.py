"""Whose limits a task has, through every door."""

import json

import pytest
from django.test import Client

from tasks_app import registry
from tasks_app.compat import InvalidTask
from tasks_app.enqueue import TaskRequest, message_of
from tasks_app.exceptions import InvalidCall
from tests.sample import tasks

pytestmark = pytest.mark.django_db

TENANT = "tests.sample.effects.effect_of_tenant"
ECHO = "tests.sample.tasks.echo"


@pytest.fixture(autouse=True)
def _empty(broker):
    """Each test begins on an empty server."""


def message(*args, name=TENANT, options=None, **kwargs):
    return message_of(TaskRequest(registry.get(name), args, kwargs, **(options or {})))


def test_the_key_is_the_same_however_the_argument_is_handed_in():
    assert message("a").limit == message(tenant="a").limit
    assert message("a").limit != message("b").limit
    assert message("a", 1.0).limit == message("a").limit


def test_values_of_other_types_are_other_keys():
    assert message(1).limit != message("1").limit


def test_with_a_key_and_no_limit_there_is_one_all_the_same(settings):
    assert message("a").concurrency == 10
    settings.DTPS = {**settings.DTPS, "PER_CONCURRENCY": 3}
    assert message("a").concurrency == 3
    assert message("a", options={"rate": "5/s"}).concurrency == 0


def test_the_label_is_for_people():
    assert message("a").limit_label == f"{TENANT} tenant=a"
    assert message("x" * 200).limit_label.endswith("x…")
    assert message('a\nb"c').limit_label == f"{TENANT} tenant=a?b?c"


def test_a_template_makes_the_key():
    options = {"per": "shop {order.shop}", "concurrency": 2}
    first = message(name=ECHO, options=options, order={"shop": 7, "n": 1})
    second = message(name=ECHO, options=options, order={"shop": 7, "n": 2})
    other = message(name=ECHO, options=options, order={"shop": 8})

    assert first.limit == second.limit != other.limit
    assert first.limit_label == f"{ECHO} shop 7"
    assert message(name=ECHO, options=options).limit_label == f"{ECHO} shop None"


def test_a_callable_makes_the_key_of_what_is_submitted():
    options = {"per": lambda args, kwargs: args[0] % 2, "rate": "1/s"}

    limits = [message(n, name=ECHO, options=options).limit for n in range(4)]

    assert limits[0] == limits[2] != limits[1] == limits[3]


def test_types_share_a_limit_by_its_name():
    options = {"concurrency": 2, "limit_key": "mail"}
    one = message(name=ECHO, options=options)
    other = message("a", options={**options, "per": ()})

    assert one.limit == other.limit
    assert one.limit_label == "mail"
    assert message(name=ECHO, options={"concurrency": 2}).limit != one.limit
    named_so = message(name=ECHO, options={"concurrency": 2, "limit_key": ECHO})
    assert named_so.limit != message(name=ECHO, options={"concurrency": 2}).limit


def test_a_submit_may_turn_a_limit_off():
    off = message("a", options={"per": (), "concurrency": 0})

    assert (off.limit, off.marks()) == ("", b"")


def test_what_cannot_be_called_so_is_limited_too():
    assert message().limit == message(1, 2, 3, 4).limit


def test_lua_is_told_what_it_needs():
    one = message("a", options={"rate": "5/30s", "concurrency": 2, "priority": 3})
    mark = json.loads(one.marks())["l"]

    assert mark == {
        "k": one.limit, "t": f"{TENANT} tenant=a", "c": 2, "n": 5, "ms": 30_000, "p": 1,
        "q": "default", "r": one.rank - one.submitted_us // 1000,
    }  # fmt: skip
    dated = message("a", options={"deadline_us": 10**16})
    assert json.loads(dated.marks())["l"]["d"] == 1


@pytest.mark.parametrize(
    "options",
    [
        {"rate": "often"},
        {"rate": "0/s"},
        {"rate": 5},
        {"concurrency": -1},
        {"concurrency": True},
        {"concurrency": 1.5},
        {"per": "no such"},
        {"per": "{}"},
        {"per": ["tenant", 1]},
        {"per": "shop"},
        {"per": "{shop.id}"},
        {"per": 5},
        {"limit_key": ""},
        {"limit_key": "a\n", "concurrency": 1},
    ],
)
def test_a_wrong_limit_is_refused(options):
    with pytest.raises(InvalidCall):
        message("a", options=options)


def test_a_name_without_a_limit_is_refused():
    with pytest.raises(InvalidCall):
        message(name=ECHO, options={"limit_key": "mail"})


def test_a_wrong_limit_is_refused_where_it_is_declared():
    with pytest.raises(InvalidTask, match="rate: A rate is"):
        tasks.echo.using(rate="often")
    with pytest.raises(InvalidTask, match="no argument 'shop'"):
        tasks.raise_error.using(per="shop")


def test_a_declared_list_is_taken():
    limited = tasks.raise_error.using(per=["message"], concurrency=2)

    assert limited.enqueue("a").task.concurrency == 2
    assert hash(limited)


def test_django_tasks_and_rest_submit_it(broker):
    first = tasks.raise_error.using(concurrency=1).enqueue()
    api = Client(headers={"host": "localhost:8080"})
    body = {"taskType": "tests.sample.tasks.raise_error", "concurrency": 1, "args": ["x"]}
    answer = api.post("/api/tasks/submit", json.dumps(body), content_type="application/json")

    second = answer.json()["taskId"]
    shown = api.get(f"/api/tasks/{second}").json()

    assert broker.must_get(first.id).state.status == "pending"
    assert (shown["status"], shown["concurrency"], shown["rate"]) == ("waiting", 1, "")
    assert shown["limit"] == "tests.sample.tasks.raise_error"
    assert tasks.raise_error.get_result(second).status == "READY"


def test_rest_takes_all_of_it(broker):
    api = Client(headers={"host": "localhost:8080"})
    body = {
        "taskType": ECHO, "rate": "5/m", "per": ["a", "b.c"], "limitKey": "shared",
        "kwargs": {"a": 1, "b": {"c": 2}},
    }  # fmt: skip
    answer = api.post("/api/tasks/submit", json.dumps(body), content_type="application/json")

    stored = broker.must_get(answer.json()["taskId"]).message
    assert (stored.rate, stored.limit_label) == ("5/m", "shared a=1, b.c=2")

    for wrong in ({"rate": "x"}, {"concurrency": -1}, {"per": {}}, {"limitKey": "x"}):
        answer = api.post(
            "/api/tasks/submit",
            json.dumps({"taskType": ECHO, **wrong}),
            content_type="application/json",
        )
        assert answer.status_code == 400, wrong
        assert list(answer.json()) == list(wrong)
