"""The consistency sweep: repairs what is broken, and leaves alone what only looks so."""

import pytest

from tasks_app.broker import keys
from tasks_app.states import Status
from workers_app.coordinator.repairs import Repairs

from ..lua.world import (
    EditedLink,
    audit,
    claim,
    executor_of,
    held,
    outcome,
    state,
    status,
    submitted,
)

EXECUTOR = "w1:0:x"


@pytest.fixture
def broker(redis_server, broker):
    """A broker on an empty server, whose every key the tests can look at."""
    return type(broker)(EditedLink(redis_server.url))


def sweep(broker, repairs, times=1):
    for _ in range(times):
        repairs.sweep(broker.fleet.workers())


def says(broker, active=0, reserved=0):
    """What a worker says of its executor."""
    one = {"id": EXECUTOR, "active": active, "reserved": reserved}
    broker.fleet.announce("w1", {"executors": [one]}, executors=[EXECUTOR])


def test_a_sound_system_is_left_alone(broker, caplog):
    running, _ = held(broker, EXECUTOR, started=True)
    assigned, _ = held(broker, EXECUTOR)
    waiting, ended = submitted(broker, 2)
    broker.cancel([ended.id])
    says(broker, active=1, reserved=1)
    repairs = Repairs(broker)

    sweep(broker, repairs, times=3)

    assert [status(broker, t) for t in (running, assigned, waiting)] == [
        "processing", "assigned", "pending"
    ]  # fmt: skip
    assert "event=repaired" not in caplog.text


@pytest.mark.parametrize("started", [True, False])
def test_a_task_that_its_executor_does_not_hold_waits_again(broker, started, caplog):
    task, _ = held(broker, EXECUTOR, started=started)
    broker.link.call("HDEL", keys.held(0, EXECUTOR), task.id)
    repairs = Repairs(broker)

    sweep(broker, repairs)

    assert status(broker, task) == Status.PENDING
    assert f"what=unheld task={task.id} done=restored" in caplog.text
    audit(broker)


def test_all_of_many_states_are_looked_at_in_the_end(broker):
    for _ in range(3):
        broker.cancel([task.id for task in submitted(broker, 1000)])
    lost = [held(broker, EXECUTOR)[0] for _ in range(5)]
    broker.link.call("DEL", keys.held(0, EXECUTOR))
    repairs = Repairs(broker)

    sweep(broker, repairs, times=4)

    assert {status(broker, task) for task in lost} == {Status.PENDING}


def test_what_an_executor_holds_that_nobody_announces_comes_back(broker, caplog):
    task, token = held(broker, EXECUTOR, started=True)
    broker.link.call("SREM", keys.key(0, "executors:w1"), EXECUTOR)
    repairs = Repairs(broker)

    sweep(broker, repairs)
    assert status(broker, task) == Status.PROCESSING  # it may be announced at this moment

    sweep(broker, repairs)
    assert state(broker, task).crashes == 1
    assert status(broker, task) == Status.PENDING
    assert broker.finish(EXECUTOR, [outcome(task.id, token)]) == [task.id]
    assert "what=stranger worker=w1 executor=w1:0:x taken_back=1" in caplog.text
    audit(broker)


def test_the_executors_of_a_worker_without_a_lease_are_reaped(broker, caplog):
    task, _ = held(broker, EXECUTOR)
    broker.link.call("ZREM", keys.key(0, "workers:leases"), "w1")
    broker.link.call("HDEL", keys.key(0, "workers"), "w1")  # so that no reaper looks for it

    sweep(broker, Repairs(broker))

    assert status(broker, task) == Status.PENDING
    assert broker.fleet.executors("w1") == []
    assert "what=stranger worker=w1" in caplog.text
    audit(broker)


def test_what_an_executor_says_for_long_that_it_does_not_have_goes_back(broker, caplog):
    task, token = held(broker, EXECUTOR)
    says(broker)
    repairs = Repairs(broker)

    sweep(broker, repairs)
    assert status(broker, task) == Status.ASSIGNED  # it may have claimed it just now

    sweep(broker, repairs)
    assert status(broker, task) == Status.PENDING
    assert state(broker, task).crashes == 0
    assert broker.finish(EXECUTOR, [outcome(task.id, token)]) == [task.id]
    assert "what=forgotten executor=w1:0:x given_back=1" in caplog.text


def test_an_executor_that_is_idle_whenever_one_looks_keeps_what_it_has_claimed_anew(broker):
    repairs = Repairs(broker)
    first, token = held(broker, EXECUTOR)
    says(broker)
    sweep(broker, repairs)
    broker.finish(EXECUTOR, [outcome(first.id, token, "retry", 0)])
    again = claim(broker, executor_of(broker))
    says(broker)

    sweep(broker, repairs)

    assert broker.held_ids(EXECUTOR) == {first.id: again.token}
