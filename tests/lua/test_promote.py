"""promote: what is due becomes pending, what is over expires, and no queue is forgotten."""

from tasks_app.broker import keys
from tasks_app.states import Status

from .world import (
    audit,
    claim,
    end,
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


def due(broker):
    flat = broker.link.call("ZRANGE", keys.key(0, "due"), 0, -1, "WITHSCORES")
    return {q.decode(): int(at) for q, at in zip(flat[::2], flat[1::2], strict=True)}


def test_what_is_due_becomes_pending_and_not_a_millisecond_earlier(broker, clock):
    one, later = task(run_after_us=clock.in_us(100)), task(run_after_us=clock.in_us(300))
    broker.submit_many([one, later])

    clock.advance(99)
    assert broker.promote() == (0, 1)
    assert status(broker, one) == Status.SCHEDULED

    clock.advance(1)
    assert broker.promote() == (1, 200)
    assert (status(broker, one), state(broker, one).version) == (Status.PENDING, 2)
    assert status(broker, later) == Status.SCHEDULED
    assert ids_of(claim(broker, executor_of(broker))) == [one.id]
    clock.advance(200)
    assert broker.promote() == (1, -1)


def test_nothing_waits_anywhere(broker):
    submitted(broker)

    assert broker.promote() == (0, -1)


def test_what_is_over_expires_without_any_worker(broker, clock):
    waiting = task(expires_us=clock.in_us(100))
    scheduled = task(expires_us=clock.in_us(100), run_after_us=clock.in_us(500))
    both = task(expires_us=clock.in_us(100), run_after_us=clock.in_us(50))
    broker.submit_many([waiting, scheduled, both])
    retrying, token = held(broker, expires_us=clock.in_us(100), queue="other")
    broker.finish("w1:0:x", [outcome(retrying.id, token, "retry", pause_ms=1000)])

    clock.advance(100)
    broker.promote()

    for one in (waiting, scheduled, both, retrying):
        assert status(broker, one) == Status.EXPIRED
    assert (places(broker), due(broker)) == ({}, {})
    assert broker.stats().count("expired") == 4
    assert {waiting.id, scheduled.id, both.id, retrying.id} <= set(broker.changes(10).ids)


def test_what_is_held_does_not_expire(broker, clock):
    one, token = held(broker, expires_us=clock.in_us(100), started=True)

    clock.advance(100)
    broker.promote()

    assert status(broker, one) == Status.PROCESSING
    assert broker.finish("w1:0:x", [outcome(one.id, token)]) == []
    assert broker.promote() == (0, -1)
    assert status(broker, one) == Status.COMPLETED


def test_a_retried_task_does_not_expire_by_what_its_earlier_run_said(broker, clock):
    one = task(expires_us=clock.in_us(100))
    broker.submit(one)
    end(broker, one, "failed")
    again = task(id=one.id)  # without a bound
    broker.retry(again, state(broker, one))

    clock.advance(100)
    broker.promote()

    assert status(broker, one) == Status.PENDING
    audit(broker)


def test_idle_executors_hear_of_what_is_due(broker, clock):
    idle = executor_of(broker)
    broker.submit(task(run_after_us=clock.in_us(10)))
    claim(broker, idle, idle_ms=60_000)
    assert named(broker, "wake:*") == []

    clock.advance(10)
    broker.promote()

    assert named(broker, "wake:*") == [f"wake:{idle}"]


def test_a_flood_in_one_queue_does_not_keep_the_others_waiting(broker, clock):
    for _ in range(5):
        submitted(broker, 1000, queue="flood", run_after_us=clock.in_us(1))
        submitted(broker, 1000, queue="stale flood", expires_us=clock.in_us(1))
    (urgent,) = submitted(broker, queue="urgent", run_after_us=clock.in_us(2))
    mixed = task(queue="stale flood", run_after_us=clock.in_us(2))
    broker.submit(mixed)
    clock.advance(2)

    looked_at, next_ms = broker.promote()

    assert (looked_at <= 1000, next_ms) == (True, 0)
    assert status(broker, urgent) == status(broker, mixed) == Status.PENDING


def test_a_backlog_is_worked_off_in_slices(broker, clock):
    for _ in range(2):
        submitted(broker, 1000, run_after_us=clock.in_us(1), expires_us=clock.in_us(1000))
        submitted(broker, 1000, queue="b", expires_us=clock.in_us(1))
    clock.advance(1)

    rounds = 0
    while broker.promote(limit=5000)[1] == 0:
        rounds += 1
        audit(broker)

    assert rounds >= 4
    assert (broker.stats().ready, broker.stats().scheduled) == (2000, 0)
    assert broker.stats().count("expired") == 2000
    assert due(broker) == {"default": clock.now_ms - 1 + 1000}


def test_a_queue_is_looked_at_again_after_its_first_tasks_are_gone(broker, clock):
    first, second = task(run_after_us=clock.in_us(10)), task(run_after_us=clock.in_us(20))
    broker.submit_many([first, second])
    broker.cancel([first.id])

    clock.advance(10)
    assert broker.promote() == (0, 10)
    broker.purge("default")
    broker.submit(task(run_after_us=clock.in_us(30)))
    clock.advance(20)
    assert broker.promote() == (0, 10)
    audit(broker)


def test_big_tasks_become_pending_a_few_at_a_time(broker, clock):
    for _ in range(5):
        broker.submit(task(run_after_us=clock.in_us(10), args=["x" * 3 * 2**20]))
    clock.advance(10)

    assert [broker.promote() for _ in range(3)] == [(2, 0), (2, 0), (1, -1)]
    assert broker.stats().ready == 5
    audit(broker)


def test_big_tasks_of_one_queue_do_not_keep_the_others_waiting_for_ever(broker, clock):
    for queue in ("a", "b", "c"):
        broker.submit(task(queue=queue, run_after_us=clock.in_us(10), args=["x" * 7 * 2**20]))
    clock.advance(10)

    while broker.promote()[1] == 0:
        pass

    assert broker.stats().ready == 3
