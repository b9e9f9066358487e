"""What a test may ask of the queue, and what it is told."""

from datetime import UTC, datetime

import pytest
from django.db import transaction

from ..sample import orders
from .test_drain import way  # noqa: F401  a fixture


def test_what_is_enqueued_is_found_wherever_it_is(dtps, way):  # noqa: F811
    with transaction.atomic():
        orders.sign_up.enqueue("ada")
        (found,) = dtps.assert_enqueued(orders.sign_up)
    orders.sign_up.using(priority=5, queue_name="mail").enqueue(name="eve", friends=["bob"])

    assert found.args == ["ada"]
    assert found.id in [each.id for each in dtps.enqueued()]
    dtps.assert_enqueued(orders.sign_up, args=["ada"], kwargs={}, queue="default", priority=0)
    dtps.assert_enqueued(orders.sign_up, kwargs={"name": "eve", "friends": ("bob",)}, times=1)
    dtps.assert_enqueued("tests.sample.orders.sign_up", queue="mail", priority=5, times=1)
    dtps.assert_enqueued(orders.sign_up, times=2)
    dtps.assert_enqueued(orders.fail, times=0)


def test_what_is_over_is_not_enqueued_any_more(dtps):
    orders.sign_up.enqueue("ada")
    dtps.drain()

    dtps.assert_nothing_enqueued()
    assert dtps.enqueued(orders.sign_up) == []


def test_what_is_sensitive_can_be_looked_for_and_is_not_shown(dtps):
    orders.sign_up.using(sensitive=["name"]).enqueue("ada lovelace")

    (found,) = dtps.assert_enqueued(orders.sign_up, args=["ada lovelace"])
    with pytest.raises(AssertionError) as caught:
        dtps.assert_nothing_enqueued()

    assert found.args == ["[redacted]"]
    assert "sign_up('[redacted]')" in str(caught.value) and "ada" not in str(caught.value)


@pytest.mark.parametrize(
    "wanted",
    [
        {"task": orders.fail},
        {"args": ["eve"]},
        {"kwargs": {"name": "ada"}},
        {"queue": "mail"},
        {"priority": 1},
        {"times": 2},
        {"times": 0},
    ],
    ids=lambda wanted: next(iter(wanted)),
)
def test_what_is_otherwise_fails_the_test(dtps, wanted):
    orders.sign_up.enqueue("ada")

    with pytest.raises(AssertionError):
        dtps.assert_enqueued(**{"task": orders.sign_up, **wanted})


def test_the_message_says_what_is_there(dtps):
    later = datetime(2999, 1, 2, 3, 4, 5, tzinfo=UTC)
    orders.sign_up.using(priority=7).enqueue("ada", friends=["x" * 100])
    orders.fail.using(run_after=later).enqueue()

    with pytest.raises(AssertionError) as caught:
        dtps.assert_enqueued(orders.sign_up, args=["eve"], queue="mail", times=2)

    first, header, *lines = str(caught.value).split("\n")
    assert first == (
        "tests.sample.orders.sign_up with args=['eve'], queue='mail' should be enqueued 2 times, "
        "and is not."
    )
    assert header == "Enqueued are:"
    assert lines[0].startswith("  tests.sample.orders.sign_up('ada', friends=['xxxxxxxxx")
    assert lines[0].endswith("…)  queue default, priority 7, pending")
    assert lines[1] == (
        "  tests.sample.orders.fail()  queue default, priority 0, scheduled, "
        "not before 2999-01-02 03:04:05 UTC"
    )


def test_the_message_says_that_nothing_is_there_or_too_much(dtps):
    with pytest.raises(AssertionError, match=r"at least once, and is not\.\nNothing is enq"):
        dtps.assert_enqueued(orders.fail)
    for _ in range(25):
        orders.fail.enqueue()

    with pytest.raises(AssertionError, match=r"(?s)Nothing should be.*… and 5 more"):
        dtps.assert_nothing_enqueued()
    with pytest.raises(AssertionError, match="should not be enqueued, and is 25 times"):
        dtps.assert_enqueued(orders.fail, times=0)
