"""cancel: an open task ends wherever it is; a finished one stays as it is."""

import pytest

from tasks_app.states import Status

from .world import (
    audit,
    claim,
    dump,
    end,
    executor_of,
    held,
    outcome,
    places,
    state,
    status,
    submitted,
    task,
)


def pending(broker):
    return submitted(broker, expires_us=10**16)[0]


def scheduled(broker):
    return submitted(broker, run_after_us=10**16)[0]


def assigned(broker):
    return held(broker)[0]


def processing(broker):
    return held(broker, started=True)[0]


def retrying(broker):
    one, token = held(broker)
    broker.finish("w1:0:x", [outcome(one.id, token, "retry", pause_ms=10**9, error="first")])
    return one


@pytest.mark.parametrize("bring", [pending, scheduled, assigned, processing, retrying])
def test_an_open_task_is_cancelled(broker, bring):
    one = bring(broker)
    before = state(broker, one)

    assert broker.cancel([one.id], by="ann") == {one.id: before.status}

    after = state(broker, one)
    assert before.status == bring.__name__
    assert (after.status, after.owner, after.version) == ("cancelled", "", before.version + 1)
    assert after.attempts[-1].error == "Cancelled by ann."
    assert len(after.attempts) == len(before.attempts) + 1
    assert places(broker) == {}
    assert broker.stats().count("cancelled") == 1
    assert one.id in broker.changes(10).ids
    assert claim(broker, executor_of(broker)).claimed == []
    audit(broker)


@pytest.mark.parametrize("final", ["completed", "failed", "cancelled"])
def test_a_finished_task_stays_as_it_is(broker, final):
    (one,) = submitted(broker)
    end(broker, one, final)
    before = dump(broker, without=())

    assert broker.cancel([one.id]) == {one.id: final}

    assert dump(broker, without=()) == before


def test_what_is_unknown_is_told(broker):
    (one,) = submitted(broker)
    strange = ["", "unknown", "a b", "*", "x" * 10_000, task().id]

    assert broker.cancel([*strange, one.id]) == {**dict.fromkeys(strange), one.id: "pending"}


def test_named_twice_is_cancelled_once(broker):
    (one,) = submitted(broker)

    broker.cancel([one.id, one.id])

    assert broker.stats().count("cancelled") == 1
    assert len(state(broker, one).attempts) == 1


def test_more_than_a_call_takes(broker):
    tasks = submitted(broker, 1000, expires_us=10**16) + submitted(broker, 500)

    before = broker.cancel([one.id for one in tasks])

    assert set(before.values()) == {Status.PENDING} and len(before) == 1500
    assert broker.stats().ready == 0
    assert status(broker, tasks[-1]) == Status.CANCELLED
