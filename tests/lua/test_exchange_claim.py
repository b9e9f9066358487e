"""exchange, the claim part: who gets what, in which order, and only once."""

import random

import pytest

from tasks_app.broker import keys
from tasks_app.states import Status

from .world import (
    CRASH,
    audit,
    claim,
    dump,
    executor_of,
    held,
    ids_of,
    named,
    outcome,
    state,
    status,
    submitted,
    task,
)

HOUR_US = 3_600_000_000


def test_priority_then_deadline_then_first_come(broker):
    now = task().submitted_us
    low = task(priority=-100, submitted_us=now, deadline_us=now)
    late = task(submitted_us=now, deadline_us=now - HOUR_US)
    soon = task(submitted_us=now, deadline_us=now + HOUR_US // 2)
    first, second = task(submitted_us=now), task(submitted_us=now)
    far = task(submitted_us=now, deadline_us=now + 2 * HOUR_US)  # undated work is due in an hour
    high = task(priority=1, submitted_us=now, deadline_us=now + 10**6 * HOUR_US)
    wanted = [high, late, soon, first, second, far, low]
    broker.submit_many(random.Random(1).sample(wanted, len(wanted)))

    exchange = claim(broker, executor_of(broker), limit=1000)

    assert ids_of(exchange) == [one.id for one in wanted]
    assert [stored.message for stored in exchange.claimed] == wanted


def test_all_priorities_are_strict(broker):
    now = task().submitted_us
    tasks = {p: task(priority=p, submitted_us=now) for p in range(-100, 101)}
    broker.submit_many(random.Random(2).sample(list(tasks.values()), len(tasks)))

    exchange = claim(broker, executor_of(broker), limit=1000)

    assert [stored.message.priority for stored in exchange.claimed] == list(range(100, -101, -1))


def test_several_queues_are_one_line(broker):
    a = [task(queue="a", priority=p) for p in (3, 1)]
    b = [task(queue="b", priority=p) for p in (4, 2)]
    broker.submit_many([*a, *b, task(queue="c", priority=9)])
    executor = executor_of(broker)

    first = claim(broker, executor, limit=3, queues=["a", "b"])
    second = claim(broker, executor, limit=3, queues=["a", "b"])

    assert ids_of(first) == [b[0].id, a[0].id, b[1].id]
    assert ids_of(second) == [a[1].id]


def test_a_queue_named_twice_does_not_give_twice(broker):
    submitted(broker, 3)

    exchange = claim(broker, executor_of(broker), queues=["default", "other", "default"])

    assert len(exchange.claimed) == 3


def test_no_queues_give_nothing(broker):
    submitted(broker)

    assert claim(broker, executor_of(broker), queues=[]).claimed == []


def test_queue_names_are_only_names(broker):
    names = ["a b", "x|y\n", "q:default:ready", "{s1}", "Ünï ☃", "%41", "*", "default:ready"]
    tasks = {name: submitted(broker, queue=name)[0] for name in names}
    executor = executor_of(broker)

    for name in names:
        assert ids_of(claim(broker, executor, queues=[name])) == [tasks[name].id]
    assert [queue.name for queue in broker.stats().queues] == sorted(names)


def test_a_paused_queue_gives_nothing_and_the_others_do(broker):
    (paused,) = submitted(broker, queue="paused")
    (other,) = submitted(broker, queue="open")
    broker.pause("paused")
    executor = executor_of(broker)

    assert ids_of(claim(broker, executor, queues=["paused", "open"])) == [other.id]
    assert ids_of(claim(broker, executor, queues=["paused"])) == []
    broker.resume("paused")
    assert ids_of(claim(broker, executor, queues=["paused", "open"])) == [paused.id]


@pytest.mark.parametrize("limit", [1, 3, 1000, 5000])
def test_never_more_than_asked_for(broker, limit):
    submitted(broker, 1000)
    executor = executor_of(broker)

    exchange = claim(broker, executor, limit=limit)

    assert len(exchange.claimed) == min(limit, 1000)
    assert set(broker.held_ids(executor).values()) == {exchange.token}
    assert broker.stats().ready == 1000 - len(exchange.claimed)


@pytest.mark.parametrize("queues", [["default"], ["default", "other"]])
def test_big_tasks_come_in_smaller_numbers_and_none_is_lost(broker, queues):
    tasks = [task(args=["x" * 300_000], priority=n % 3) for n in range(40)]
    broker.submit_many(tasks)
    executor = executor_of(broker)

    claims = [claim(broker, executor, limit=1000, queues=queues) for _ in range(2)]

    assert 0 < len(claims[0].claimed) < 40
    in_order = sorted(tasks, key=lambda one: (one.rank, one.id))
    assert [i for each in claims for i in ids_of(each)] == [one.id for one in in_order]
    audit(broker)


def test_what_is_claimed_is_assigned_to_one_executor(broker):
    (one,) = submitted(broker)
    mine, other = executor_of(broker, "w1"), executor_of(broker, "w2")

    exchange = claim(broker, mine)

    assert claim(broker, other).claimed == []
    assert exchange.claimed[0].state == state(broker, one)
    assert (state(broker, one).status, state(broker, one).owner) == (Status.ASSIGNED, mine)
    assert (state(broker, one).version, state(broker, one).starts) == (2, 0)
    assert state(broker, one).worker == "w1"


def test_what_has_expired_is_not_given_out(broker, clock):
    expired = task(expires_us=clock.in_us(10))
    at_the_last_moment = task(expires_us=clock.in_us(11))
    broker.submit_many([expired, at_the_last_moment])
    clock.advance(10)

    exchange = claim(broker, executor_of(broker))

    assert ids_of(exchange) == [at_the_last_moment.id]
    assert status(broker, expired) == Status.EXPIRED
    assert broker.stats().count("expired") == 1
    assert expired.id in broker.changes(10).ids


def test_only_announced_executors_of_a_known_worker_are_given_work(broker):
    (one,) = submitted(broker)
    before = dump(broker)

    unknown = claim(broker, "w1:0:x")
    assert (unknown.claimed, unknown.has_lease) == ([], False)
    assert dump(broker) == before

    # No reaper would look for what one holds that nobody announced: it would be lost.
    broker.fleet.announce("w1", {}, executors=["w1:1:y"])
    assert not claim(broker, "w1:0:x").has_lease
    assert ids_of(claim(broker, "w1:1:y")) == [one.id]


def test_a_reaped_executor_is_given_nothing_before_it_is_announced_again(broker, clock, options):
    options(LEASE_SECONDS=10)
    executor = executor_of(broker)
    clock.advance(10_001)
    broker.reap("w1", reason=CRASH)
    submitted(broker)

    assert not claim(broker, executor).has_lease
    broker.fleet.announce("w1", {}, executors=[executor])
    assert len(claim(broker, executor).claimed) == 1


def test_repeated_claim_answers_the_same_and_changes_nothing(broker):
    now = task().submitted_us
    tasks = [
        task(submitted_us=now, priority=n % 201 - 100) for n in range(700)
    ]  # beyond a listpack
    broker.submit_many(tasks)
    executor = executor_of(broker)
    (mine,) = submitted(broker, queue="first")
    token = claim(broker, executor, queues=["first"]).token
    settlements = [outcome(mine.id, token), outcome("not-mine", token)]

    first = claim(broker, executor, limit=600, settlements=settlements, request="r1")
    before = dump(broker, without=())
    again = claim(broker, executor, limit=600, settlements=settlements, request="r1")

    assert again == first
    assert (first.stale, len(first.claimed)) == (["not-mine"], 600)
    assert dump(broker, without=()) == before


def test_an_executor_with_a_free_slot_is_idle_for_a_while(broker, clock):
    executor = executor_of(broker)
    claim(broker, executor, queues=["a", "b"], idle_ms=2500)
    claim(broker, executor_of(broker, number=1), queues=["a"], idle_ms=0)

    for queue in "ab":
        idle = broker.link.call("ZRANGE", keys.key(0, f"q:{queue}:idle"), 0, -1, "WITHSCORES")
        assert idle == [executor.encode(), b"%d" % (clock.now_ms + 2500)]


def test_exactly_the_idle_executors_of_the_queue_are_woken(broker, clock):
    here, elsewhere, gone = (executor_of(broker, number=n) for n in range(3))
    claim(broker, gone, queues=["here"], idle_ms=10)
    clock.advance(11)
    claim(broker, here, queues=["here"], idle_ms=2500)
    claim(broker, elsewhere, queues=["elsewhere"], idle_ms=2500)

    submitted(broker, 5, queue="here")

    assert named(broker, "wake:*") == [f"wake:{here}"]
    assert broker.link.call("LLEN", keys.wake(0, here)) == 1
    assert broker.wait(here, 60)
    assert broker.link.call("EXISTS", keys.key(0, "q:here:idle")) == 0


def test_one_task_wakes_one_executor_and_many_at_most_ten(broker):
    for number in range(12):
        claim(broker, executor_of(broker, number=number), idle_ms=60_000)

    submitted(broker)
    assert len(named(broker, "wake:*")) == 1
    submitted(broker, 100)
    assert len(named(broker, "wake:*")) == 11


def test_an_executor_without_a_free_slot_is_not_woken_in_place_of_an_idle_one(broker):
    idle, busy = executor_of(broker, number=0), executor_of(broker, number=1)
    claim(broker, idle, queues=["a", "b"], idle_ms=60_000)
    claim(broker, busy, queues=["a", "b"], idle_ms=61_000)
    broker.pause("a")  # what comes wakes nobody whose turn it is not
    broker.submit_many([task(queue="a")])
    assert broker.wait(busy, 60)
    broker.resume("a")

    assert claim(broker, busy, limit=1, queues=["a", "b"]).claimed  # all that it has room for
    submitted(broker, queue="b")

    assert named(broker, "wake:*") == [f"wake:{idle}"]


def test_a_held_task_is_given_to_nobody_else(broker):
    one, _ = held(broker, started=True)

    assert claim(broker, executor_of(broker, "w2"), limit=1000).claimed == []
    assert status(broker, one) == Status.PROCESSING
