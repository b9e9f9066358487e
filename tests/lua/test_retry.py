"""retry: an operator opens the next run of a finished task."""

import pytest

from tasks_app.exceptions import WrongState
from tasks_app.message import Attempt, State
from tasks_app.states import Status

from .world import (
    CRASH,
    audit,
    claim,
    dump,
    end,
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


@pytest.mark.parametrize("final", ["completed", "failed", "cancelled"])
def test_a_finished_task_begins_anew_with_its_history(broker, final):
    (one,) = submitted(broker)
    end(broker, one, final)
    before = state(broker, one)

    broker.retry(one, before)

    after = state(broker, one)
    assert (after.status, after.run, after.version) == ("pending", 2, before.version + 1)
    assert (after.starts, after.failures, after.crashes) == (0, 0, 0)
    assert after.attempts == before.attempts
    assert ids_of(claim(broker, executor_of(broker))) == [one.id]
    assert one.id in broker.changes(10).ids


def test_an_expired_task_can_be_given_more_time(broker, clock):
    one = task(expires_us=clock.in_us(10))
    broker.submit(one)
    clock.advance(10)
    broker.promote()
    assert status(broker, one) == Status.EXPIRED

    again = task(id=one.id, queue="other", priority=3)
    broker.retry(again, state(broker, one))

    assert broker.get(one.id).message == again
    assert ids_of(claim(broker, executor_of(broker), queues=["other"])) == [one.id]
    assert [queue.name for queue in broker.stats().queues] == ["default", "other"]


@pytest.mark.parametrize("started", [None, False, True])
def test_an_open_task_is_refused(broker, started):
    one = submitted(broker)[0] if started is None else held(broker, started=started)[0]
    before = dump(broker, without=())

    with pytest.raises(WrongState, match=status(broker, one)):
        broker.retry(one, State(status=Status.FAILED))

    assert dump(broker, without=()) == before


def test_a_forgotten_task_continues_from_its_record(broker):
    one, token = held(broker)
    broker.finish("w1:0:x", [outcome(one.id, token, "failed", error="no")])
    recorded = state(broker, one)
    assert broker.forget({one.id: recorded.version}) == 1

    broker.retry(one, recorded)

    after = state(broker, one)
    assert (after.status, after.run, after.version) == ("pending", 2, recorded.version + 1)
    assert after.attempts == [Attempt(error="no")]
    audit(broker)


def test_a_task_that_redis_lost_while_it_was_open_is_not_taken_for_finished(broker):
    with pytest.raises(WrongState, match="processing"):
        broker.retry(task(), State(status=Status.PROCESSING, run=1, version=3))

    assert dump(broker, without=()) == {}


def test_a_retried_task_has_all_its_crashes_before_it(broker):
    one, _ = held(broker, started=True)
    broker.reap("w1", "w1:0:x", reason=CRASH)
    broker.cancel([one.id])

    broker.retry(one, state(broker, one))

    assert state(broker, one).crashes == 0


def test_idle_executors_hear_of_it(broker):
    (one,) = submitted(broker)
    broker.cancel([one.id])
    idle = executor_of(broker)
    claim(broker, idle, idle_ms=60_000)

    broker.retry(one, state(broker, one))

    assert named(broker, "wake:*") == [f"wake:{idle}"]


def test_the_epoch_of_the_record_goes_on_if_redis_has_forgotten_the_task(broker):
    one = task()
    recorded = State(status=Status.FAILED, epoch=3, run=2, version=9)

    broker.retry(one, recorded)

    after = state(broker, one)
    assert (after.epoch, after.run, after.version) == (3, 3, 10)
    claim(broker, executor_of(broker))
    assert state(broker, one).epoch == 3
