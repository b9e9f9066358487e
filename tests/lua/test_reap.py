"""reap: what a dead process held comes back, and only what it had started is charged."""

import pytest
from msgspec.structs import replace

from tasks_app.broker import keys
from tasks_app.message import WORKER_LOST
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
    places,
    state,
    status,
    submitted,
    task,
)

LEASE_MS = 10_000


@pytest.fixture(autouse=True)
def _lease(options):
    options(LEASE_SECONDS=LEASE_MS / 1000, MAX_CRASHES=3, BACKOFF_SECONDS=2)


def test_a_worker_with_a_lease_keeps_everything(broker, clock):
    held(broker, started=True)
    clock.advance(LEASE_MS - 1)
    before = dump(broker, without=())

    assert broker.reap("w1", reason=CRASH) == 0

    assert dump(broker, without=()) == before


def test_a_lease_that_was_renewed_meanwhile_counts(broker, clock):
    one, _ = held(broker, started=True)
    clock.advance(LEASE_MS + 1)
    broker.fleet.announce("w1", {}, executors=["w1:0:x"])  # after the reaper saw that it was over

    assert broker.reap("w1", reason=CRASH) == 0
    assert status(broker, one) == Status.PROCESSING


def test_all_executors_of_a_silent_worker_lose_their_tasks(broker, clock):
    first, second = held(broker, "w1:0:x"), held(broker, "w1:1:x")
    other, _ = held(broker, "w2:0:x")
    clock.advance(LEASE_MS - 1)
    broker.fleet.announce("w2", {})
    clock.advance(1)

    assert broker.reap("w1", reason=CRASH) == 2

    assert status(broker, first[0]) == status(broker, second[0]) == Status.PENDING
    assert {place for ((place, _),) in places(broker).values()} == {
        "q:default:ready",
        "held:w2:0:x",
    }
    assert status(broker, other) == Status.ASSIGNED
    assert broker.fleet.executors("w1") == []
    assert not broker.fleet.workers()["w1"].is_alive
    assert broker.reap("w1", reason=CRASH) == 0


def test_only_what_had_started_is_charged(broker):
    published, _ = held(broker, started=True)
    just_started, _ = held(broker)
    unstarted, _ = held(broker)

    assert broker.reap("w1", "w1:0:x", reason=CRASH, started=[just_started.id]) == 3

    for one, charged in ((published, 1), (just_started, 1), (unstarted, 0)):
        now = state(broker, one)
        assert (now.status, now.crashes, now.starts) == (Status.PENDING, charged, charged)
        assert now.attempts == [replace(CRASH, number=1)] * charged
        assert (now.failures, now.owner) == (0, "")
    assert broker.stats().count("crashed") == 2


def test_a_crash_in_a_later_run_is_told_of_that_run(broker):
    one, _ = held(broker, started=True)
    broker.cancel([one.id])
    broker.retry(one, state(broker, one))
    executor = executor_of(broker)
    claim(broker, executor)

    broker.reap("w1", executor, reason=CRASH, started=[one.id])

    cancelled, crashed = state(broker, one).attempts
    assert (cancelled.run, cancelled.number, cancelled.outcome) == (1, 1, Status.CANCELLED)
    assert crashed == replace(CRASH, run=2, number=1)


def test_the_first_crash_is_re_run_at_once_the_second_later_the_third_is_poison(broker, clock):
    one, _ = held(broker, started=True)
    broker.reap("w1", "w1:0:x", reason=CRASH)
    assert status(broker, one) == Status.PENDING

    executor = executor_of(broker)
    assert ids_of(claim(broker, executor)) == [one.id]
    broker.reap("w1", executor, reason=CRASH, started=[one.id])
    assert status(broker, one) == Status.RETRYING
    assert places(broker)[one.id] == [("q:default:scheduled", clock.now_ms + 2000.0)]

    clock.advance(2000)
    broker.promote()
    executor = executor_of(broker)
    assert ids_of(claim(broker, executor)) == [one.id]
    broker.reap("w1", executor, reason=CRASH, started=[one.id])
    now = state(broker, one)
    assert (now.status, now.crashes, now.failures, now.starts) == (Status.FAILED, 3, 0, 3)
    last = replace(CRASH, number=3, error=f"Poison: it crashed too often. {CRASH.error}")
    assert now.attempts == [replace(CRASH, number=1), replace(CRASH, number=2), last]
    assert places(broker) == {}
    assert broker.stats().count("failed") == 1


def test_a_dead_child_is_reaped_in_spite_of_its_workers_lease_and_alone(broker):
    mine, _ = held(broker, "w1:0:x")
    sisters, token = held(broker, "w1:1:x")

    assert broker.reap("w1", "w1:0:x", reason=CRASH) == 1

    assert status(broker, mine) == Status.PENDING
    assert broker.fleet.executors("w1") == ["w1:1:x"]
    assert broker.held_ids("w1:1:x") == {sisters.id: token}


def test_nobody_wakes_the_dead(broker):
    dead, idle = executor_of(broker, "w1"), executor_of(broker, "w2")
    claim(broker, idle, idle_ms=60_000, queues=["a", "b"])
    claim(broker, dead, idle_ms=61_000, queues=["a", "b"])
    submitted(broker, queue="b")
    assert named(broker, "wake:*") == [f"wake:{dead}"]

    broker.reap("w1", dead, reason=CRASH, queues=["a", "b"])
    submitted(broker, queue="a")

    assert named(broker, "wake:*") == [f"wake:{idle}"]


def test_the_living_hear_of_what_came_back(broker):
    held(broker)
    idle = executor_of(broker, "w2")
    claim(broker, idle, idle_ms=60_000)

    broker.reap("w1", "w1:0:x", reason=CRASH)

    assert named(broker, "wake:*") == [f"wake:{idle}"]


def test_more_than_a_call_takes(broker, clock):
    for number in range(3):
        executor = executor_of(broker, number=number)
        submitted(broker, 600, expires_us=10**16)
        broker.start(executor, ids_of(claim(broker, executor, 600)))
    clock.advance(LEASE_MS)

    assert broker.reap("w1", reason=CRASH) == 1800

    assert broker.stats().ready == 1800
    audit(broker)


def test_an_executor_that_was_reaped_first_cannot_claim_behind_the_reapers_back(broker, clock):
    """The lease of a big worker goes only with its last executor."""
    for number in range(2):
        executor = executor_of(broker, number=number)
        submitted(broker, 1000)
        claim(broker, executor, 1000)
    clock.advance(LEASE_MS)
    # One step of reap(), which took the first executor's tasks.
    taken, done = broker.run("reap", 0, 0, "w1", "", 3, 1000, CRASH.encode(), b"", 1000, 0)
    assert (taken, done) == (1000, 0)
    (left,) = broker.fleet.executors("w1")

    for executor in {"w1:0:x", "w1:1:x"} - {left}:
        assert not claim(broker, executor).has_lease
    assert broker.reap("w1", reason=CRASH) == 1000
    assert broker.stats().ready == 2000


# --- suspects ---


def test_what_a_lost_worker_may_have_begun_is_suspect_and_uncharged(broker, clock):
    one, _ = held(broker)
    clock.advance(LEASE_MS)
    assert not state(broker, one).is_suspect

    broker.reap("w1", reason=CRASH)

    now = state(broker, one)
    assert (now.status, now.starts, now.failures, now.crashes) == (Status.PENDING, 0, 0, 0)
    (doubt,) = now.attempts
    assert (doubt.number, doubt.outcome, doubt.error_type) == (0, "pending", WORKER_LOST)
    assert "may have begun" in doubt.error
    assert now.is_suspect
    assert broker.stats().count("crashed") == 0


def test_what_a_dead_child_had_not_begun_is_not_suspect(broker):
    one, _ = held(broker)

    broker.reap("w1", "w1:0:x", reason=CRASH)

    assert state(broker, one).attempts == []
    assert not state(broker, one).is_suspect


def test_a_suspect_that_ran_and_failed_for_itself_is_none_any_more(broker, clock):
    one, _ = held(broker)
    clock.advance(LEASE_MS)
    broker.reap("w1", reason=CRASH)
    executor = executor_of(broker)
    found = claim(broker, executor)
    assert found.claimed[0].state.is_suspect

    broker.release(executor, {one.id: found.token})  # it did not even begin
    assert state(broker, one).is_suspect
    token = claim(broker, executor).token
    broker.finish(executor, [outcome(one.id, token, "retry", number=1, error="its own")])

    assert not state(broker, one).is_suspect


def test_a_suspect_of_a_second_run_is_told_of_that_run(broker, clock):
    one, _ = held(broker)
    broker.cancel([one.id])
    broker.retry(one, state(broker, one))
    claim(broker, executor_of(broker))
    clock.advance(LEASE_MS)

    broker.reap("w1", reason=CRASH)

    assert [attempt.run for attempt in state(broker, one).attempts] == [1, 2]


# --- bounds ---


def test_big_tasks_come_back_a_few_at_a_time(broker, clock):
    executor = executor_of(broker)
    tasks = [task(args=["x" * 3 * 2**20]) for _ in range(5)]
    for one in tasks:
        broker.submit(one)
    token = claim(broker, executor).token
    assert set(broker.held_ids(executor)) == {one.id for one in tasks}
    arguments = (executor, 3, 1000, CRASH.encode(), b"", 1000, 0)

    assert broker.run("reap", 0, 0, "w1", *arguments) == [2, 0]
    assert broker.held_ids(executor).items() <= {one.id: token for one in tasks}.items()
    assert broker.reap("w1", executor, reason=CRASH) == 3
    assert broker.stats().ready == 5
    audit(broker)


def test_what_is_held_and_unknown_does_not_keep_the_others(broker):
    one, token = held(broker)
    broker.link.call("HSET", keys.held(0, "w1:0:x"), "unknown", token)

    assert broker.reap("w1", "w1:0:x", reason=CRASH) == 2

    assert status(broker, one) == Status.PENDING
    assert list(places(broker)) == [one.id]
