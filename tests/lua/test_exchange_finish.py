"""exchange, the finish part: only who holds a task under its token decides what becomes of it."""

import pytest
from redis.exceptions import ResponseError

from tasks_app.broker.answers import Settlement
from tasks_app.message import Attempt
from tasks_app.states import Status

from .world import (
    CRASH,
    claim,
    dump,
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

ME = "w1:0:x"


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("final", ["completed", "failed"])
def test_an_end_is_kept_with_its_attempt(broker, final, started):
    one, token = held(broker, started=started)
    attempt = Attempt(number=1, worker="w1", outcome=final, started_us=1, result={"n": 2**63 - 1})

    said = Settlement(id=one.id, token=token, outcome=final, line=attempt.encode())
    assert broker.finish(ME, [said]) == []

    after = state(broker, one)
    assert (after.status, after.owner, after.starts) == (final, "", 1)
    assert after.failures == (1 if final == "failed" else 0)
    assert after.attempts == [attempt]
    assert after.version == (4 if started else 3)
    assert places(broker) == {}
    assert broker.stats().count(final) == 1


def test_a_retry_with_a_pause_waits_and_keeps_its_rank(broker, clock):
    old, token = held(broker, submitted_us=1_000_000)
    broker.finish(ME, [outcome(old.id, token, "retry", pause_ms=500)])
    assert status(broker, old) == Status.RETRYING
    assert places(broker)[old.id] == [("q:default:scheduled", float(clock.now_ms + 500))]
    submitted(broker, 2)

    clock.advance(500)
    broker.promote()

    assert ids_of(claim(broker, ME, limit=1)) == [old.id]
    assert (state(broker, old).failures, state(broker, old).starts) == (1, 1)
    assert broker.stats().count("retried") == 1


def test_a_retry_without_a_pause_is_pending_at_once(broker):
    one, token = held(broker, started=True)

    broker.finish(ME, [outcome(one.id, token, "retry")])

    assert status(broker, one) == Status.PENDING
    assert ids_of(claim(broker, ME)) == [one.id]


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("pause_ms", [0, 500])
def test_a_released_task_is_not_charged(broker, clock, pause_ms, started):
    one, token = held(broker, started=started)

    broker.finish(ME, [outcome(one.id, token, "released", pause_ms=pause_ms)])

    after = state(broker, one)
    assert after.status == (Status.SCHEDULED if pause_ms else Status.PENDING)
    assert (after.failures, after.crashes, after.owner) == (0, 0, "")
    clock.advance(pause_ms)
    broker.promote()
    assert ids_of(claim(broker, ME)) == [one.id]


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("pause_ms", [0, 500])
def test_a_task_that_was_turned_away_has_not_started_whatever_was_published(
    broker, clock, pause_ms, started
):
    one, token = held(broker, started=started)

    broker.finish(ME, [outcome(one.id, token, "turned_away", pause_ms=pause_ms)])

    after = state(broker, one)
    assert after.status == (Status.SCHEDULED if pause_ms else Status.PENDING)
    assert (after.starts, after.failures, after.crashes, after.owner) == (0, 0, 0, "")
    clock.advance(pause_ms)
    broker.promote()
    assert ids_of(claim(broker, ME)) == [one.id]


def test_what_expires_expires_after_a_retry_too(broker, clock):
    one, token = held(broker, expires_us=clock.in_us(1000))
    broker.promote()
    clock.advance(1000)
    broker.promote()
    assert status(broker, one) == Status.ASSIGNED  # begun in time

    broker.finish(ME, [outcome(one.id, token, "retry")])
    broker.promote()

    assert status(broker, one) == Status.EXPIRED
    assert places(broker) == {}


def stale_by_token(broker, one, token):
    return ME, "not the token"


def stale_by_executor(broker, one, token):
    return executor_of(broker, "w2"), token


def stale_after_reap(broker, one, token):
    broker.reap("w1", ME, reason=CRASH)
    return ME, token


def stale_after_reap_and_another_claim(broker, one, token):
    broker.reap("w1", ME, reason=CRASH)
    executor_of(broker)
    claim(broker, ME)  # the same executor holds it again, under another token
    return ME, token


def stale_after_cancel(broker, one, token):
    broker.cancel([one.id])
    return ME, token


def stale_after_release(broker, one, token):
    broker.release(ME, {one.id: token})
    return ME, token


def stale_after_finish(broker, one, token):
    broker.finish(ME, [outcome(one.id, token, "failed")])
    return ME, token


def stale_after_it_was_forgotten(broker, one, token):
    broker.finish(ME, [outcome(one.id, token)])
    broker.forget({one.id: state(broker, one).version})
    return ME, token


CASES = [
    stale_by_token,
    stale_by_executor,
    stale_after_reap,
    stale_after_reap_and_another_claim,
    stale_after_cancel,
    stale_after_release,
    stale_after_finish,
    stale_after_it_was_forgotten,
]


@pytest.mark.parametrize("lose", CASES)
@pytest.mark.parametrize("said", ["completed", "failed", "retry", "released", "turned_away"])
def test_a_stale_outcome_is_counted_and_leaves_no_other_trace(broker, lose, said):
    executor, token = lose(broker, *held(broker, started=True))
    (one,) = places(broker) or broker.changes(10).ids
    before = dump(broker)

    assert broker.finish(executor, [outcome(one, token, said, error="late")]) == [one]

    assert dump(broker) == before
    assert broker.stats().count("stale") == 1


def test_a_batch_is_judged_one_by_one(broker):
    good, token = held(broker)
    stranger = task()

    stale = broker.finish(
        ME,
        [
            outcome(stranger.id, token),
            outcome(good.id, token),
            outcome(good.id, token, "failed"),  # named twice: the first word counts
        ],
    )

    assert stale == [stranger.id, good.id]
    assert status(broker, good) == Status.COMPLETED
    assert state(broker, good).failures == 0


def test_one_exchange_writes_one_change_for_what_it_finished(broker):
    tasks = submitted(broker, 5)
    executor = executor_of(broker)
    token = claim(broker, executor).token
    assert len(broker.changes(10).ids) == 5

    broker.finish(executor, [outcome(one.id, token) for one in tasks])

    assert broker.stats().unrecorded == 2  # the submit and this; a claim is no news for the history


def test_a_repeated_finish_is_not_stale(broker):
    one, token = held(broker)
    call = {"limit": 0, "settlements": [outcome(one.id, token)], "request": "r1"}

    first = claim(broker, ME, **call)
    before = dump(broker, without=())
    again = claim(broker, ME, **call)

    assert (first.stale, again) == ([], first)
    assert dump(broker, without=()) == before


def test_an_outcome_that_is_none_is_refused_before_anything_is_written(broker):
    one, token = held(broker)
    other, other_token = held(broker)
    before = dump(broker, without=())

    with pytest.raises(ResponseError, match="no such outcome: retrying"):
        broker.finish(ME, [outcome(one.id, token), outcome(other.id, other_token, "retrying")])

    assert dump(broker, without=()) == before


def test_more_outcomes_than_a_call_takes(broker):
    tasks = submitted(broker, 1000) + submitted(broker, 1000)
    executor = executor_of(broker)
    tokens = [claim(broker, executor, limit=1000).token for _ in range(2)]
    settlements = [outcome(t.id, tokens[n // 1000], "retry") for n, t in enumerate(tasks)]

    with pytest.raises(ValueError, match="1000"):
        claim(broker, executor, settlements=settlements)
    assert broker.finish(executor, settlements) == []

    assert broker.stats().ready == 2000
    assert broker.held_ids(executor) == {}


def test_attempts_that_grow_too_long_lose_the_oldest(broker):
    one, token = held(broker)
    for number in range(1, 4):
        long = outcome(one.id, token, "retry", number=number, traceback="x" * 2_000_000)
        assert broker.finish(ME, [long]) == []
        token = claim(broker, ME).token

    assert [attempt.number for attempt in state(broker, one).attempts] == [2, 3]
