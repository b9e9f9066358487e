"""bury: a task that nobody has submitted is stored as cancelled, and never runs."""

import pytest

from tasks_app.exceptions import TooLate
from tasks_app.message import now_us
from tasks_app.options.unique import Unique

from .world import audit, claim, executor_of, ids_of, places, state, submitted, task


def bury(broker, tasks, **more):
    broker.bury(tasks, not_after_ms=now_us() // 1000 + 3_600_000, **more)


def claimed(broker, queue="default"):
    executor = executor_of(broker, "w1", 0)
    return ids_of(claim(broker, executor, queues=[queue]))


def test_it_is_over_before_it_began(broker):
    one = task(queue="mail", run_after_us=10**16, expires_us=10**16)

    bury(broker, [one], by="ann")

    after = state(broker, one)
    assert (after.status, after.version, after.starts) == ("cancelled", 2, 0)
    assert [(a.outcome, a.error, a.number) for a in after.attempts] == [
        ("cancelled", "Cancelled by ann.", 0)
    ]
    assert broker.get(one.id).message == one
    assert places(broker) == {}
    assert claimed(broker, "mail") == []
    assert (broker.stats().count("submitted"), broker.stats().count("cancelled")) == (1, 1)
    audit(broker)


def test_one_call_is_one_change_and_a_repeated_one_is_none(broker):
    tasks = [task() for _ in range(3)]
    for _ in range(2):
        bury(broker, tasks)

    assert broker.stats().unrecorded == 1
    assert broker.changes(10).ids == [one.id for one in tasks]
    assert broker.stats().count("cancelled") == 3


def test_one_that_redis_knows_stays_as_it_is(broker):
    there, new = submitted(broker)[0], task()

    bury(broker, [there, new])

    assert (state(broker, there).status, state(broker, new).status) == ("pending", "cancelled")
    assert claimed(broker) == [there.id]
    audit(broker)


def test_a_call_that_comes_too_late_changes_nothing(broker):
    one = task()

    with pytest.raises(TooLate):
        broker.bury([one], not_after_ms=1)

    assert broker.get(one.id) is None
    assert broker.stats().unrecorded == 0


def test_a_key_is_still_free_and_no_other_is_replaced(broker):
    fields = {"unique_key": "k", "unique": Unique(), "idempotency_key": "i"}
    bury(broker, [task(**fields)])

    (one,) = submitted(broker, **fields)

    assert state(broker, one).status == "pending"


def test_it_may_be_retried(broker):
    one = task()
    bury(broker, [one])

    broker.retry(one.again(), state(broker, one))

    assert claimed(broker) == [one.id]
