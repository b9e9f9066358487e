"""admit: tasks that wait for others, until somebody decides on them."""

import json

import pytest

from tasks_app.broker.answers import Decision, Recorded
from tasks_app.exceptions import LostLead, WrongState
from tasks_app.message import Attempt, State
from tasks_app.options.unique import Unique
from tasks_app.states import Status

from .world import (
    audit,
    claim,
    dump,
    end,
    executor_of,
    ids_of,
    named,
    state,
    status,
    submitted,
    task,
)

CANCELLED = Attempt(outcome="cancelled", error="Its parent failed.").encode()


def waiting(broker, count=1, **fields):
    return submitted(broker, count, has_parents=True, **fields)


def decision(broker, one, **more):
    return Decision(one.id, state(broker, one).version, **more)


def let_go(broker, *tasks, **more):
    return broker.admit([decision(broker, one, **more) for one in tasks])


def taken(broker, **more):
    return ids_of(claim(broker, executor_of(broker), 100, idle_ms=0, **more))


def test_a_task_with_parents_waits_and_is_not_given_out(broker):
    (child,) = waiting(broker)
    (other,) = submitted(broker)

    assert status(broker, child) == Status.WAITING
    assert named(broker, "q:default:*") == ["q:default:ready", "q:default:waiting"]
    assert taken(broker) == [other.id]
    assert child.id in broker.changes(10).ids
    assert broker.stats().queues[0].waiting == 1
    audit(broker)


def test_it_is_let_go_once(broker):
    (child,) = waiting(broker)
    seen = decision(broker, child)

    assert broker.admit([seen]) == [child.id]
    after = dump(broker)
    assert broker.admit([seen]) == []

    assert dump(broker) == after
    assert (status(broker, child), state(broker, child).version) == ("pending", 2)
    assert taken(broker) == [child.id]
    assert named(broker, "q:default:waiting") == []
    audit(broker)


def test_what_is_let_go_wakes_an_idle_executor(broker):
    executor = executor_of(broker)
    claim(broker, executor)
    (child,) = waiting(broker)
    assert named(broker, "wake:*") == []

    let_go(broker, child)

    assert broker.wait(executor, 1) is not None


def test_a_moment_that_is_still_to_come_is_waited_for(broker, clock):
    (child,) = waiting(broker, run_after_us=clock.in_us(100))
    assert status(broker, child) == Status.WAITING

    let_go(broker, child, not_before_ms=clock.now_ms + 100)

    assert status(broker, child) == Status.SCHEDULED
    clock.advance(100)
    broker.promote()
    assert taken(broker) == [child.id]
    audit(broker)


def test_one_that_is_cancelled_says_why(broker):
    (child,) = waiting(broker, expires_us=2**50)

    assert broker.admit([decision(broker, child, line=CANCELLED)]) == [child.id]

    after = state(broker, child)
    assert (after.status, after.attempts[-1].error) == ("cancelled", "Its parent failed.")
    assert broker.stats().count("cancelled") == 1
    assert [name for name in named(broker, "*") if name.startswith("q:")] == []
    assert let_go(broker, child) == []
    audit(broker)


def test_one_that_moved_on_since_it_was_looked_at_is_left_alone(broker):
    (child,) = waiting(broker)
    old = decision(broker, child)
    broker.cancel([child.id])
    broker.retry(child, state(broker, child), waits=True)
    assert status(broker, child) == Status.WAITING

    assert broker.admit([old]) == []

    assert status(broker, child) == Status.WAITING
    assert let_go(broker, child) == [child.id]
    audit(broker)


def test_one_whose_reason_is_open_again_is_left_alone(broker):
    (child,) = waiting(broker)
    (parent,) = submitted(broker)
    broker.cancel([parent.id])
    seen = decision(broker, child, line=CANCELLED, reason=parent.id)
    broker.retry(parent, state(broker, parent))

    assert broker.admit([seen]) == []

    assert status(broker, child) == Status.WAITING
    broker.cancel([parent.id])
    assert broker.admit([seen]) == [child.id]
    audit(broker)


def test_a_reason_that_redis_does_not_know_is_one(broker):
    (child,) = waiting(broker)

    assert broker.admit([decision(broker, child, line=CANCELLED, reason="forgotten")]) == [child.id]


def test_what_waits_for_nothing_is_left_alone(broker):
    (one,) = submitted(broker)
    limited = submitted(broker, 2, concurrency=1, limit="0" * 24, limit_label="x")
    assert status(broker, limited[1]) == Status.WAITING  # for its limit
    before = dump(broker)

    assert let_go(broker, one, *limited) == []
    assert broker.admit([Decision("unknown", 1)]) == []

    assert dump(broker) == before


def test_a_former_leader_decides_nothing(broker):
    (child,) = waiting(broker)
    seen = decision(broker, child)
    broker.under(2).promote()

    with pytest.raises(LostLead):
        broker.under(1).admit([seen])

    assert status(broker, child) == Status.WAITING


def test_a_limit_comes_after_that(broker):
    children = waiting(broker, 3, concurrency=1, limit="0" * 24, limit_label="x")
    audit(broker)
    stored = broker.link.call("HVALS", "dtps:{s0}:marks")
    assert [json.loads(text).keys() for text in stored] == [{"l"}] * 3

    let_go(broker, *children)

    assert [status(broker, one) for one in children] == ["pending", "waiting", "waiting"]
    audit(broker)
    broker.cancel([children[0].id])
    assert [status(broker, one) for one in children] == ["cancelled", "pending", "waiting"]
    audit(broker)


def test_it_expires_while_it_waits(broker, clock):
    (child,) = waiting(broker, expires_us=clock.in_us(10))
    clock.advance(10)

    broker.promote()

    assert status(broker, child) == Status.EXPIRED
    audit(broker)


def test_a_cancel_and_a_purge_end_it(broker):
    one, other = waiting(broker, 2)

    assert broker.cancel([one.id]) == {one.id: Status.WAITING}
    audit(broker)
    assert broker.purge("default") == 1
    assert let_go(broker, other) == []  # it is put aside to be cancelled
    assert broker.sweep() == (1, False)

    assert [status(broker, each) for each in (one, other)] == ["cancelled"] * 2
    audit(broker)


def test_a_unique_key_is_taken_by_one_that_waits(broker):
    unique = {"unique": Unique(), "unique_key": "k" * 32}
    (child,) = waiting(broker, **unique)

    assert broker.submit(task(**unique)) == child.id

    broker.cancel([child.id])
    (new,) = waiting(broker, **unique)
    replaced = task(unique=Unique(on_duplicate="replace"), unique_key="k" * 32)
    broker.submit(replaced)
    assert status(broker, new) == Status.CANCELLED
    audit(broker)


def test_a_purge_frees_the_unique_key_of_one_that_waits(broker):
    unique = {"unique": Unique(), "unique_key": "k" * 32}
    waiting(broker, **unique)
    broker.purge("default")

    new = task(**unique)

    assert broker.submit(new) == new.id


def test_a_full_queue_counts_it(broker, options):
    options(MAX_QUEUE_DEPTH=2)
    waiting(broker, 2)

    with pytest.raises(Exception, match="holds all the tasks"):
        submitted(broker)


@pytest.mark.parametrize("final", ["completed", "failed", "cancelled"])
def test_a_retry_waits_again_or_does_not(broker, final):
    (child,) = waiting(broker)
    if final != "cancelled":
        let_go(broker, child)
    end(broker, child, final)

    broker.retry(child, state(broker, child), waits=True)

    assert (status(broker, child), state(broker, child).run) == ("waiting", 2)
    with pytest.raises(WrongState):
        broker.retry(child, state(broker, child))
    audit(broker)
    broker.cancel([child.id])
    broker.retry(child, state(broker, child))
    assert (status(broker, child), state(broker, child).run) == ("pending", 3)
    assert taken(broker) == [child.id]
    audit(broker)


@pytest.mark.parametrize("was", ["waiting", "pending"])
def test_a_wiped_server_lets_it_wait_again_only_if_it_did(broker, was):
    (child,) = waiting(broker)
    if was == "pending":
        let_go(broker, child)
    definition, raw = broker.read([child.id])[child.id]
    broker.link.call("FLUSHALL")

    broker.reconcile(2, [Recorded(child.id, definition, raw, False)])

    after = state(broker, child)
    assert (after.status, after.epoch) == (was, 2)
    assert after.version == State.decode(raw).version + 1
    assert child.id in broker.changes(10).ids
    audit(broker)
