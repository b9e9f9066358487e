"""The options of a task at all their doors: a type, ``.using``, REST and TaskRequest."""

import copy
import json
import pickle
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client, override_settings

from tasks_app import registry
from tasks_app.compat import InvalidTask, task
from tasks_app.enqueue import TaskRequest, message_of
from tasks_app.exceptions import InvalidCall
from tasks_app.models import TaskRecord
from tasks_app.options.backoff import DECLARED, Backoff
from tasks_app.options.table import MOST_CLASSES, MOST_TAGS
from tasks_app.results import task_of
from tests.sample import tasks

from .executing import Hands, record

pytestmark = pytest.mark.django_db(transaction=True)

EVERY = {
    "max_attempts": 4,
    "backoff": Backoff.linear(2, most=9),
    "retry_on": [OSError, tasks.Overloaded, "some.where.Error"],
    "give_up_on": [FileNotFoundError],
    "timeout": 1.5,
    "deadline": timedelta(minutes=1),
    "expires": 3600,
    "tags": ["a", "b"],
}


@pytest.fixture
def api(broker):
    return Client(headers={"host": "localhost:8080"})


def submit(api, **more):
    body = json.dumps({"taskType": "test", **more})
    return api.post("/api/tasks/submit", body, content_type="application/json")


def message_by_rest(api, broker, **more):
    answer = submit(api, **more)
    assert answer.status_code == 201, answer.content
    return broker.must_get(answer.json()["taskId"]).message


def message_by_using(broker, **more):
    return broker.must_get(tasks.echo.using(**more).enqueue().id).message


def message_by_type(broker, **more):
    declared = task(**more)(tasks.echo.func)
    return broker.must_get(declared.enqueue().id).message


# --- in Python ---


@pytest.mark.parametrize("door", [message_by_type, message_by_using])
def test_every_option_reaches_the_message_from_python(broker, door):
    message = door(broker, **EVERY)

    assert (message.max_attempts, message.timeout, message.tags) == (4, 1.5, ("a", "b"))
    assert message.backoff == Backoff(kind="linear", seconds=2, most=9)
    assert message.retry_on == (
        "builtins.OSError", "tests.sample.tasks.Overloaded", "some.where.Error",
    )  # fmt: skip
    assert message.give_up_on == ("builtins.FileNotFoundError",)
    assert message.deadline_us == message.submitted_us + 60_000_000
    assert message.expires_us == message.submitted_us + 3_600_000_000


def test_a_span_counts_from_when_the_task_may_begin(broker):
    start = datetime(2100, 1, 1, tzinfo=UTC)

    message = message_by_using(broker, run_after=start, deadline=10, expires=timedelta(seconds=20))

    assert message.deadline_us == message.run_after_us + 10_000_000
    assert message.expires_us == message.run_after_us + 20_000_000


def test_a_moment_is_that_moment_and_comes_back(broker):
    due, bound = datetime(2100, 1, 1, 0, 0, 0, 7, tzinfo=UTC), datetime(2101, 1, 1, tzinfo=UTC)

    result = tasks.echo.using(deadline=due, expires=bound).enqueue()

    found = tasks.echo.get_result(result.id).task
    assert (found.deadline, found.expires) == (due, bound)


def test_a_type_may_name_a_moment_too(broker):
    due = datetime(2100, 1, 1, tzinfo=UTC)
    kind = registry.TaskType.of(task(deadline=due)(tasks.echo.func))

    message = message_of(TaskRequest(type=kind))

    assert message.deadline_us == due.timestamp() * 1_000_000


@pytest.mark.parametrize("name", ["deadline", "expires"])
def test_a_naive_moment_is_refused_where_django_refuses_one(broker, name):
    naive = datetime(2100, 1, 1)
    with pytest.raises(InvalidTask, match=f"{name} must be an aware datetime"):
        tasks.echo.using(**{name: naive})

    with override_settings(USE_TZ=False, TIME_ZONE="Asia/Kathmandu"):
        result = tasks.echo.using(**{name: naive}).enqueue()
    assert getattr(broker.must_get(result.id).message, f"{name}_us") % 3_600_000_000 != 0


def test_none_leaves_an_option_as_it_is_and_empty_ones_undo_it():
    declared = replace(tasks.echo, **EVERY)

    assert declared.using(**dict.fromkeys(EVERY)) == declared
    assert declared.using(retry_on=[], give_up_on=(), tags=[]).tags == ()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"max_attempts": 0}, "whole number from 1 to 1,000,000"),
        ({"max_attempts": True}, "whole number"),
        ({"backoff": -1}, "number of seconds from 0"),
        ({"backoff": "soon"}, "number of seconds from 0"),
        ({"backoff": []}, "1 to 100"),
        ({"backoff": [1, -1]}, "1 to 100"),
        ({"backoff": [0] * 101}, "1 to 100"),
        ({"backoff": Backoff.list()}, "1 to 100"),
        ({"backoff": Backoff(kind="random")}, "exponential, linear, fixed, list"),
        ({"backoff": Backoff.fixed(float("nan"))}, "number of seconds"),
        ({"retry_on": OSError}, "exception classes"),
        ({"retry_on": "OSError"}, "exception classes"),
        ({"retry_on": [int]}, "exception classes"),
        ({"give_up_on": ["no path"]}, "dotted paths"),
        ({"give_up_on": [OSError] * (MOST_CLASSES + 1)}, "at most 50"),
        ({"timeout": -1}, "number of seconds"),
        ({"deadline": timedelta(seconds=-1)}, "number of seconds"),
        ({"expires": "tomorrow"}, "number of seconds"),
        ({"tags": "a"}, "at most 20 printable texts"),
        ({"tags": [""]}, "1 to 64 characters"),
        ({"tags": ["x" * 65]}, "1 to 64 characters"),
        ({"tags": ["a\nb"]}, "printable"),
        ({"tags": ["a"] * (MOST_TAGS + 1)}, "at most 20"),
    ],
)
def test_a_wrong_option_is_refused_with_its_name_and_what_is_allowed(wrong, said):
    (name,) = wrong
    for refused in (lambda: tasks.echo.using(**wrong), lambda: task(**wrong)(tasks.echo.func)):
        with pytest.raises(InvalidTask) as raised:
            refused()
        assert str(raised.value).startswith(f"{name}: ") and said in str(raised.value)

    with pytest.raises(InvalidCall) as raised:
        message_of(TaskRequest(type=registry.get("test"), **wrong))
    assert said in raised.value.errors[name][0]


def test_a_task_with_every_option_is_hashed_copied_pickled_and_compared():
    first, second = (replace(tasks.echo, **copy.deepcopy(EVERY)) for _ in range(2))

    assert first == second and hash(first) == hash(second)
    assert first != tasks.echo and len({first, second, tasks.echo}) == 2
    for again in (copy.copy(first), copy.deepcopy(first), pickle.loads(pickle.dumps(first))):
        assert again == first and hash(again) == hash(first)


def test_a_task_with_a_function_for_its_pauses_too():
    odd = tasks.fail_with_an_odd_backoff

    assert copy.deepcopy(odd) == pickle.loads(pickle.dumps(odd)) == odd
    assert hash(odd) == hash(copy.deepcopy(odd))


def test_a_function_stays_where_the_code_is_and_comes_back_from_there(broker):
    result = tasks.fail_with_an_odd_backoff.enqueue()

    assert broker.must_get(result.id).message.backoff == DECLARED
    found = tasks.fail_with_an_odd_backoff.get_result(result.id)
    assert found.task.backoff is tasks.odd_backoff
    assert task_of(broker.must_get(result.id).message) == tasks.fail_with_an_odd_backoff


def test_what_an_earlier_submit_asked_for_is_not_what_the_next_one_gets(broker):
    twice = [message_by_using(broker, max_attempts=n, tags=[str(n)]) for n in (1, 2, 1)]

    assert [(m.max_attempts, m.tags) for m in twice] == [(1, ("1",)), (2, ("2",)), (1, ("1",))]


# --- over HTTP ---


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (0.5, 0.5),
        ([1, 2.5], Backoff.list(1, 2.5)),
        ({"kind": "fixed", "seconds": 3}, Backoff.fixed(3)),
        ({"kind": "linear", "seconds": 3, "most": 10}, Backoff.linear(3, most=10)),
        ({"kind": "exponential", "seconds": 2}, Backoff.exponential(2)),
        ({"kind": "list", "steps": [1, 60]}, Backoff.list(1, 60)),
    ],
)
def test_a_backoff_is_a_number_a_list_or_an_object(api, broker, given, stored):
    message = message_by_rest(api, broker, backoff=given)

    assert message.backoff == stored
    shown = api.get(f"/api/tasks/{message.id}").json()["backoff"]
    assert message_by_rest(api, broker, backoff=shown).backoff == stored  # as a submit gives it


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"retries": -1}, "greater than or equal to 0"),
        ({"backoff": "1"}, "number of seconds from 0"),
        ({"backoff": None}, "may not be null"),
        ({"backoff": []}, "1 to 100"),
        ({"backoff": [1, "2"]}, "1 to 100"),
        ({"backoff": {"kind": "declared"}}, "one of exponential, linear, fixed, list"),
        ({"backoff": {"seconds": 1}}, "one of exponential, linear, fixed, list"),
        ({"backoff": {"kind": "list"}}, "A list has steps"),
        ({"backoff": {"kind": "list", "steps": []}}, "1 to 100"),
        ({"backoff": {"kind": "fixed", "steps": [1]}}, "A list has steps"),
        ({"backoff": {"kind": "fixed", "seconds": "1"}}, "seconds"),
        ({"backoff": {"kind": "fixed", "pause": 1}}, "kind, one of"),
        ({"retryOn": ["no path"]}, "dotted paths"),
        ({"giveUpOn": ["a.b"] * 51}, "at most 50"),
        ({"tags": ["x" * 65]}, "1 to 64 characters"),
        ({"tags": ["a"] * 21}, "at most 20"),
    ],
)
def test_rest_names_the_field_as_it_was_sent_and_what_is_allowed(api, broker, wrong, said):
    answer = submit(api, **wrong)

    (name,) = wrong
    assert answer.status_code == 400
    assert list(answer.json()) == [name] and said in answer.json()[name][0]
    assert broker.stats().count("submitted") == 0


def test_a_task_shows_all_of_its_options(api, broker):
    options = {"retryOn": ["builtins.OSError"], "giveUpOn": ["a.B"], "tags": ["x", "y"]}
    message = message_by_rest(api, broker, **options)

    shown = api.get(f"/api/tasks/{message.id}").json()

    assert (shown["retry_on"], shown["give_up_on"]) == (["builtins.OSError"], ["a.B"])
    assert shown["tags"] == ["x", "y"]


def test_the_admin_shows_the_tags_of_a_recorded_task(admin_client, broker):
    task_id = tasks.echo.using(tags=["billing", "<b>"]).enqueue().id
    Hands(broker).claim()
    record(broker, task_id, forget=False)
    assert TaskRecord.objects.filter(pk=task_id).exists()

    page = admin_client.get(f"/admin/tasks_app/taskrecord/{task_id}/change/").content.decode()

    assert "billing, &lt;b&gt;" in page
