"""cancel: an open task ends wherever it is; a finished one stays as it is."""

import pytest

from tasks_app.broker import keys
from tasks_app.states import Status

from .world import (
    audit,
    claim,
    dump,
    end,
    executor_of,
    held,
    named,
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


# --- orders to who holds one ---


@pytest.mark.parametrize("bring", [assigned, processing])
def test_who_holds_it_is_ordered_to_stop_and_hears_a_bell(broker, bring):
    one = bring(broker)

    broker.cancel([one.id])

    assert broker.link.call("LLEN", keys.bell("w1")) == 1
    order = {"order": "cancel", "executor": "w1:0:x", "tasks": [one.id]}
    assert broker.fleet.orders("w1") == [order]
    assert broker.held_ids("w1:0:x") == {}


def test_each_executor_gets_one_order(broker):
    first, _ = held(broker, "w1:0:x")
    second, third = submitted(broker, 2)
    claim(broker, executor_of(broker, "w1", 1))
    other, _ = held(broker, "w2:0:x")

    broker.cancel([first.id, second.id, third.id, other.id])

    tasks = {order["executor"]: order["tasks"] for order in broker.fleet.orders("w1")}
    assert tasks == {"w1:0:x": [first.id], "w1:1:x": [second.id, third.id]}
    assert broker.fleet.announce("w2", {}).orders == [
        {"order": "cancel", "executor": "w2:0:x", "tasks": [other.id]}
    ]


@pytest.mark.parametrize("bring", [pending, scheduled, retrying])
def test_of_what_nobody_holds_nobody_hears(broker, bring):
    one = bring(broker)

    broker.cancel([one.id])

    assert named(broker, "workers:orders:*") == named(broker, "workers:bell:*") == []


def test_a_worker_that_is_gone_is_ordered_nothing(broker):
    one = assigned(broker)
    broker.link.call("HDEL", keys.key(0, "workers"), "w1")

    assert broker.cancel([one.id]) == {one.id: "assigned"}

    assert named(broker, "workers:orders:*") == []


def test_an_order_of_another_shard_is_fetched_too(broker, options):
    options(SHARDS={"far": 1})
    executor = executor_of(broker)
    (one,) = submitted(broker, queue="far")
    claim(broker, executor, queues=["far"], shard=1)

    broker.cancel([one.id])

    assert broker.fleet.orders("w1") == [
        {"order": "cancel", "executor": executor, "tasks": [one.id]}
    ]


def test_big_tasks_are_cancelled_a_few_at_a_time(broker):
    tasks = [task(args=["x" * 3 * 2**20]) for _ in range(5)]
    for one in tasks:
        broker.submit(one)
    ids = [one.id for one in tasks]

    assert broker.run("cancel", 0, b"{}", *ids) == [b"pending"] * 2
    assert broker.cancel(["unknown", *ids]) == {
        "unknown": None, **dict.fromkeys(ids[:2], "cancelled"), **dict.fromkeys(ids[2:], "pending")
    }  # fmt: skip
    assert places(broker) == {}
