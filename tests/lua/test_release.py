"""release: what has not started goes back to its place, uncharged."""

import pytest

from tasks_app.states import Status

from .world import claim, dump, executor_of, held, ids_of, named, state, submitted, task


def test_it_goes_back_to_its_old_place_in_the_line(broker):
    tasks = submitted(broker, 3)
    executor = executor_of(broker)
    token = claim(broker, executor, limit=2).token

    back = broker.release(executor, {one.id: token for one in tasks[:2]})

    assert sorted(back) == sorted(one.id for one in tasks[:2])
    assert ids_of(claim(broker, executor)) == [one.id for one in tasks]


@pytest.mark.parametrize("started", [False, True])
def test_nothing_is_charged(broker, started):
    one, token = held(broker, started=started)

    broker.release("w1:0:x", {one.id: token})

    now = state(broker, one)
    assert (now.status, now.failures, now.crashes, now.owner) == (Status.PENDING, 0, 0, "")
    assert (now.starts, now.version) == ((1, 4) if started else (0, 3))


def test_idle_executors_hear_of_it(broker):
    one, token = held(broker)
    idle = executor_of(broker, "w2")
    claim(broker, idle, idle_ms=60_000)

    broker.release("w1:0:x", {one.id: token})

    assert named(broker, "wake:*") == [f"wake:{idle}"]


def test_only_what_is_held_under_the_token_goes_back(broker):
    one, token = held(broker)
    (waiting,) = submitted(broker)
    other = executor_of(broker, "w2")
    before = dump(broker, without=())

    assert broker.release("w1:0:x", {one.id: "wrong", waiting.id: token, task().id: token}) == []
    assert broker.release(other, {one.id: token}) == []

    assert dump(broker, without=()) == before


def test_more_than_a_call_takes(broker):
    submitted(broker, 1000, expires_us=10**16)
    submitted(broker, 500)
    executor = executor_of(broker)
    held = {i: e.token for e in [claim(broker, executor, 1000) for _ in "ab"] for i in ids_of(e)}

    assert len(broker.release(executor, held)) == 1500
    assert broker.stats().ready == 1500


def test_big_tasks_go_back_a_few_at_a_time(broker):
    tasks = [task(args=["x" * 3 * 2**20]) for _ in range(5)]
    for one in tasks:
        broker.submit(one)
    executor = executor_of(broker)
    token = claim(broker, executor).token
    flat = [word for one in tasks for word in (one.id, token)]

    looked_at, back = broker.run("release", 0, executor, *flat)
    assert (looked_at, len(back)) == (2, 2)
    assert len(broker.release(executor, {one.id: token for one in tasks})) == 3
    assert broker.stats().ready == 5
    assert broker.release(executor, {one.id: token for one in tasks}) == []


def test_a_task_that_is_bigger_than_what_one_call_takes_goes_back_too(broker):
    big, small = task(args=["x" * 9 * 2**20]), task()
    broker.submit(big)
    broker.submit(small)
    executor = executor_of(broker)
    held = {i: e.token for e in [claim(broker, executor) for _ in "ab"] for i in ids_of(e)}
    assert held.keys() == {big.id, small.id}

    flat = [word for pair in held.items() for word in pair]
    assert broker.run("release", 0, executor, *flat)[0] == 1
    assert len(broker.release(executor, held)) == 1
