"""Attempts that are lost as by a killed worker: what a task's author sees of his task then."""

import pytest
from django.contrib.auth.models import User

from tasks_app.broker import broker
from tasks_app.compat import TaskResultStatus
from tasks_app.models import TaskRecord

from ..sample import orders

LOST = "tasks_app.exceptions.WorkerLost"


def test_a_crash_at_the_start_leaves_nothing_and_the_task_runs_again(dtps):
    orders.sign_up.enqueue("ada")
    dtps.crash_next(orders.sign_up)

    (ran,) = dtps.drain(check=True)

    assert ran.return_value == 1
    assert [error.exception_class_path for error in ran.errors] == [LOST]
    assert ran.attempts == 2
    assert TaskRecord.objects.get().stored.state.crashes == 1


def test_a_crash_at_the_finish_runs_it_twice(dtps):
    """Who makes a user without a look whether he is there learns of it here."""
    orders.sign_up.enqueue("ada")
    dtps.crash_next(at="finish")

    (ran,) = dtps.drain()

    assert User.objects.count() == 1
    assert [error.exception_class_path for error in ran.errors] == [
        LOST,
        "django.db.utils.IntegrityError",
    ]


def test_a_crash_after_a_checkpoint_lets_the_task_resume_there(dtps):
    orders.count_in_steps.enqueue(3)
    dtps.crash_next(at="checkpoint")

    (ran,) = dtps.drain(check=True)

    assert ran.return_value == 1
    assert ran.attempts == 2


def test_the_third_crash_is_the_last(dtps):
    with dtps.frozen("2026-03-01 12:00") as clock:
        orders.sign_up.enqueue("ada")
        with dtps.crashing(orders.sign_up):
            (ran,) = dtps.drain()
            assert ran.status == TaskResultStatus.READY and len(ran.errors) == 2
            assert dtps.drain() == []
            clock.tick(minutes=1)
            (ran,) = dtps.drain()

    assert ran.status == TaskResultStatus.FAILED
    assert "it crashed too often" in ran.errors[-1].traceback
    assert not User.objects.exists()


def test_only_what_is_named_crashes_and_only_meanwhile(dtps):
    with dtps.crashing(orders.fail):
        orders.sign_up.enqueue("ada")
        assert dtps.drain(check=True)[0].attempts == 1
    orders.fail.enqueue()

    (ran,) = dtps.drain()

    assert "on purpose" in ran.errors[-1].traceback and ran.attempts == 1


def test_so_many_crash_as_are_asked_for(dtps):
    with dtps.frozen():
        for name in "abc":
            orders.sign_up.enqueue(name)
        dtps.crash_next(times=2)

        assert sorted(each.attempts for each in dtps.drain_for(minutes=1)) == [1, 1, 3]


def test_a_wrong_moment_is_refused(dtps):
    with pytest.raises(ValueError, match="Did you mean 'finish'"):
        dtps.crash_next(at="finsh")


def test_after_a_drain_no_worker_is_left(dtps):
    orders.sign_up.enqueue("ada")
    dtps.crash_next()
    dtps.drain()

    assert broker().fleet.workers() == {}
    assert broker().fleet.executors("tests") == []
