"""The one door: what is refused there, and that nothing of it is stored."""

import time

import pytest

from tasks_app import enqueue, registry, tasks
from tasks_app.backends import RedisBackend
from tasks_app.compat import signals
from tasks_app.enqueue import TaskRequest, message_of, submit
from tasks_app.exceptions import DuplicateTask, InvalidCall, ValueTooLarge
from tasks_app.message import now_us

HOUR_US = 3_600_000_000


def request(name="test", **fields):
    return TaskRequest(type=registry.get(name), **fields)


def is_empty(broker):
    return broker.link.call("DBSIZE") == 0


def test_what_is_not_said_is_taken_from_the_type_and_then_from_the_settings(settings):
    settings.DTPS = {**settings.DTPS, "MAX_ATTEMPTS": 7, "BACKOFF_SECONDS": 9}

    declared = message_of(request("tests.sample.tasks.declared"))
    plain = message_of(request("test"))
    said = message_of(
        request(
            "tests.sample.tasks.declared",
            queue="q", priority=0, max_attempts=1, backoff=0, timeout=0,
        )
    )  # fmt: skip

    def options(message):
        return (
            message.queue,
            message.priority,
            message.max_attempts,
            message.backoff,
            message.timeout,
        )

    assert options(declared) == ("mail", 50, 5, 2.5, 30.0)
    assert options(plain) == ("default", 0, 7, 9.0, 0.0)
    assert options(said) == ("q", 0, 1, 0.0, 0.0)


def test_ids_sort_by_time_unless_one_is_given():
    first, second = (message_of(request()).id for _ in range(2))

    assert first < second
    assert message_of(request(id="my-own_1")).id == "my-own_1"


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("id", ["", "a b", "x" * 65, "ä", "a\n", "a|b", 5]),
        ("queue", ["", "a\0", "x" * 256, 5]),
        ("priority", [-101, 101, 5.5, "high", True, float("nan")]),
        ("max_attempts", [0, -1, 1.5, "3", True, 10**12]),
        ("backoff", [-1, float("nan"), float("inf"), "1", True, 10**12]),
        ("timeout", [-0.1, float("nan"), float("inf"), "1", [], 10**12]),
        ("run_after_us", [10**18, -(10**18), 1.5, None, "now"]),
        ("deadline_us", [10**18, -(10**18), 1.5, None, True]),
        ("expires_us", [10**18, 1, -5, None, "soon"]),
        ("args", [[float("nan")], ["\ud800"], [object()], [10**5000]]),
        ("kwargs", [{"a": float("inf")}, {"\ud800": 1}, {"a": {1, 2}}]),
    ],
)
def test_a_field_that_is_wrong_is_named(field, wrong):
    for value in wrong:
        with pytest.raises(InvalidCall) as raised:
            message_of(request(**{field: value}))

        assert list(raised.value.errors) == [field.removesuffix("_us")], value


def test_all_wrong_fields_are_named_at_once():
    with pytest.raises(InvalidCall) as raised:
        message_of(request(priority=1000, max_attempts=0, args=[object()]))

    assert set(raised.value.errors) == {"priority", "max_attempts", "args"}


def test_a_deadline_may_be_over_and_an_expiry_may_not():
    past, future = now_us() - HOUR_US, now_us() + HOUR_US

    assert message_of(request(deadline_us=past)).deadline_us == past
    assert message_of(request(expires_us=future)).expires_us == future
    with pytest.raises(InvalidCall, match="expires: This moment has passed already"):
        message_of(request(expires_us=past))


def test_arguments_have_a_greatest_size_to_the_byte(settings):
    settings.DTPS = {**settings.DTPS, "MAX_PAYLOAD_BYTES": 1000}
    frame = len('[["",1],{}]')
    fits = "x" * (1000 - frame)

    assert message_of(request(args=[fits, 1])).args == [fits, 1]
    for arguments in (
        {"args": [fits + "x", 1]},
        {"kwargs": {"a": "x" * 1000}},
        {"args": ["é" * 500]},
    ):
        with pytest.raises(ValueTooLarge, match="1,000 are allowed"):
            message_of(request(**arguments))


@pytest.mark.django_db
def test_submit_stores_all_or_nothing(broker):
    with pytest.raises(InvalidCall):
        submit([request(), request(priority=1000)])
    assert is_empty(broker)

    with pytest.raises(DuplicateTask):
        submit([request(id="a"), request(id="b"), request(id="a")])
    assert is_empty(broker)

    submit([request(id="a")])
    with pytest.raises(DuplicateTask):
        submit([request(id="b"), request(id="a")])
    assert set(broker.get_many(["a", "b"])) == {"a"}

    stored = submit([request(args=["x"]), request(kwargs={"payload": 1})])
    found = broker.get_many([message.id for message in stored])
    assert [found[message.id].message for message in stored] == stored


def test_the_caller_may_change_what_he_handed_in(broker):
    payload = {"list": [1]}

    [message] = submit([request(args=[payload])])
    payload["list"].append(2)

    assert message.args == [{"list": [1]}]
    assert broker.get(message.id).message.args == [{"list": [1]}]


def test_a_stored_task_says_when_it_was_submitted():
    before = time.time_ns() // 1000
    message = message_of(request())

    assert before <= message.submitted_us <= time.time_ns() // 1000


def test_moments_reach_from_the_first_to_the_last_year(broker):
    [message] = submit([request(run_after_us=enqueue.LATEST_US, deadline_us=enqueue.EARLIEST_US)])

    stored = broker.get(message.id)

    assert stored.message.run_after_us == enqueue.LATEST_US
    assert stored.message.deadline_us == enqueue.EARLIEST_US
    assert stored.state.status == "scheduled"


def test_who_listens_hears_of_every_task_whichever_way_it_came(broker):
    heard = []

    def receiver(sender, task_result, **kwargs):
        heard.append((sender, task_result.id, task_result.task, task_result.args))

    signals.task_enqueued.connect(receiver)
    try:
        [message] = submit([request(args=["x"])])
    finally:
        signals.task_enqueued.disconnect(receiver)

    assert heard == [(RedisBackend, message.id, tasks.test, ["x"])]
