"""purge and sweep: what waits is put aside at once and cancelled in slices."""

import pytest

from tasks_app.states import Status

from .world import (
    audit,
    claim,
    end,
    executor_of,
    held,
    ids_of,
    outcome,
    places,
    state,
    status,
    submitted,
    task,
)


def swept(broker):
    """Sweep to the end; return how many were cancelled."""
    total, more = 0, True
    while more:
        cancelled, more = broker.sweep()
        total += cancelled
    return total


def test_all_that_waits_is_cancelled_and_nothing_else(broker, clock):
    running, token = held(broker, started=True)
    waiting = submitted(broker, 3, expires_us=clock.in_us(10**6))
    later = submitted(broker, 2, run_after_us=clock.in_us(1000))
    (other,) = submitted(broker, queue="other")

    assert broker.purge("default") == 5
    assert (broker.stats().ready, broker.stats().scheduled) == (1, 0)
    assert claim(broker, executor_of(broker, "w2")).claimed == []
    audit(broker)
    assert swept(broker) == 5

    for one in waiting + later:
        assert status(broker, one) == Status.CANCELLED
        assert state(broker, one).attempts[-1].error == "Purged."
        assert one.id in broker.changes(100).ids
    assert status(broker, other) == Status.PENDING
    assert broker.finish("w1:0:x", [outcome(running.id, token)]) == []
    assert broker.stats().count("cancelled") == 5
    clock.advance(10**6)
    broker.promote()
    assert broker.sweep() == (0, False)
    audit(broker)


def test_an_empty_queue_has_nothing_to_purge(broker):
    assert broker.purge("default") == 0
    assert broker.sweep() == (0, False)


def test_what_comes_after_a_purge_lives(broker):
    submitted(broker)
    broker.purge("default")
    (one,) = submitted(broker)

    assert swept(broker) == 1
    assert ids_of(claim(broker, executor_of(broker))) == [one.id]


@pytest.mark.parametrize("then", ["waits", "is held", "is retrying", "is completed"])
def test_a_task_that_was_retried_before_the_sweep_lives(broker, then):
    (one,) = submitted(broker)
    broker.purge("default")
    broker.cancel([one.id])
    broker.retry(one, state(broker, one))
    if then != "waits":
        token = claim(broker, executor_of(broker)).token
    if then == "is retrying":
        broker.finish("w1:0:x", [outcome(one.id, token, "retry", pause_ms=1000)])
    if then == "is completed":
        broker.finish("w1:0:x", [outcome(one.id, token)])
    before = state(broker, one)
    audit(broker)

    assert swept(broker) == 0

    assert state(broker, one) == before
    audit(broker)


def test_a_task_of_a_later_run_is_purged_like_any_other(broker):
    (one,) = submitted(broker)
    end(broker, one, "failed")
    broker.retry(one, state(broker, one))
    broker.purge("default")

    assert swept(broker) == 1
    assert (status(broker, one), places(broker)) == (Status.CANCELLED, {})


def test_a_task_that_expired_or_was_forgotten_before_the_sweep(broker, clock):
    expiring = task(expires_us=clock.in_us(10))
    broker.submit(expiring)
    (forgotten,) = submitted(broker)
    broker.purge("default")
    broker.cancel([forgotten.id])
    broker.forget({forgotten.id: 2})
    clock.advance(10)
    broker.promote()
    assert status(broker, expiring) == Status.EXPIRED

    assert swept(broker) == 0
    assert status(broker, expiring) == Status.EXPIRED
    assert places(broker) == {}


def test_a_big_purge_goes_in_slices(broker):
    for _ in range(3):
        submitted(broker, 1000, expires_us=10**16)
    broker.purge("default")
    submitted(broker, 5, queue="other")
    broker.purge("other")

    assert broker.sweep(limit=10**6) == (1000, True)
    audit(broker)
    assert swept(broker) == 2005


def test_big_tasks_are_swept_a_few_at_a_time(broker):
    for _ in range(5):
        broker.submit(task(args=["x" * 3 * 2**20]))
    broker.purge("default")

    assert [broker.sweep() for _ in range(3)] == [(2, True), (2, True), (1, False)]
    assert places(broker) == {}
