"""read: what Redis knows of tasks; and the changes that wait for the recorder."""

import pytest

from tasks_app.broker.answers import Changes
from tasks_app.exceptions import TaskNotFound
from tasks_app.states import Status

from .world import claim, end, executor_of, held, ids_of, state, submitted, task


def test_many_are_read_at_once_and_the_unknown_are_left_out(broker):
    tasks = submitted(broker, 1500 - 500) + submitted(broker, 500)
    end(broker, tasks[0], "cancelled")

    found = broker.get_many([*(one.id for one in tasks), "unknown", "", "a b"])

    assert list(found) == [one.id for one in tasks]
    assert [found[one.id].message for one in tasks] == tasks
    assert found[tasks[0].id].state.status == Status.CANCELLED
    assert found[tasks[1].id].state.status == Status.PENDING


def test_one_that_must_be_there(broker):
    (one,) = submitted(broker)

    assert broker.must_get(one.id).message == one
    with pytest.raises(TaskNotFound, match="unknown"):
        broker.must_get("unknown")


def test_lists_of_what_waits_and_what_is_held(broker):
    low, high = (submitted(broker, 2, priority=p) for p in (-80, 100))
    late = task(run_after_us=10**16)
    broker.submit_many([late, task(id="soon", run_after_us=10**16 - 10**6)])

    assert broker.ready_ids("default", 1, 10) == [one.id for one in low]
    assert broker.ready_ids("default", 10, 1) == [high[0].id]
    assert broker.ready_ids("default", 5, 10) == []
    assert broker.scheduled_ids("default", 10) == ["soon", late.id]
    assert broker.scheduled_ids("default", 1) == ["soon"]
    executor = executor_of(broker)
    token = claim(broker, executor, limit=1).token
    assert broker.held_ids(executor) == {high[0].id: token}


def test_changes_come_in_order_and_each_task_once(broker):
    tasks = submitted(broker, 3)
    broker.cancel([tasks[2].id, tasks[0].id])
    late = submitted(broker)

    assert broker.changes(100).ids == [one.id for one in tasks + late]
    assert broker.changes(1).ids == [one.id for one in tasks]


def test_what_changed_after_the_look_is_still_there_after_the_acknowledgement(broker):
    submitted(broker)
    seen = broker.changes(100)
    (later,) = submitted(broker)

    broker.acknowledge(seen)

    assert broker.changes(100).ids == [later.id]
    broker.acknowledge(broker.changes(100))
    nothing = broker.changes(100)
    assert nothing == Changes("", [])
    broker.acknowledge(nothing)
    assert broker.stats().unrecorded == 0
    submitted(broker)
    assert broker.changes(1).last > seen.last


def test_a_claim_and_what_it_expires_are_read_at_one_moment(broker, clock):
    one = task(expires_us=clock.in_us(1))
    broker.submit(one)
    running, _ = held(broker, queue="other", started=True)
    clock.advance(1)

    assert ids_of(claim(broker, executor_of(broker))) == []
    assert {i: t.state.status for i, t in broker.get_many([one.id, running.id]).items()} == {
        one.id: Status.EXPIRED,
        running.id: Status.PROCESSING,
    }
    assert state(broker, running).worker == "w1"
