"""What drain() runs, and what a task finds when it runs there."""

import asyncio

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import TestCase

from tasks_app.broker import broker
from tasks_app.compat import TaskResultStatus, signals
from tasks_app.lookup import find_remarks
from tasks_app.models import Outbox, TaskRecord
from tasks_app.operations.orders import begin
from tasks_app.operations.words import Action
from tasks_app.testing import StillBusy, kit
from tasks_app.workflows import chain

from ..postgres import ALIAS
from ..sample import orders

WAYS = ["outbox", "on_commit", "direct"]


@pytest.fixture(params=WAYS)
def way(request, settings):
    """Each way in which an enqueue in a transaction can be stored."""
    alias = settings.TASKS["default"]
    settings.TASKS = {"default": {**alias, "OPTIONS": {"ENQUEUE": request.param}}}
    return request.param


def test_what_is_enqueued_in_the_tests_transaction_is_run(dtps, way):
    result = orders.sign_up.enqueue("ada")
    assert not User.objects.exists()

    (ran,) = dtps.drain()

    assert ran.id == result.id
    assert (ran.status, ran.return_value) == (TaskResultStatus.SUCCESSFUL, 1)
    assert User.objects.get().username == "ada"


@pytest.mark.django_db(transaction=True)
def test_so_is_what_is_enqueued_without_a_transaction(dtps, way):
    orders.sign_up.enqueue("ada")
    with transaction.atomic():
        orders.sign_up.enqueue("eve")

    assert len(dtps.drain(check=True)) == 2
    assert not connection.in_atomic_block
    assert set(User.objects.values_list("username", flat=True)) == {"ada", "eve"}


def test_what_a_savepoint_took_back_is_not_run(dtps, way):
    with pytest.raises(RuntimeError), transaction.atomic():
        orders.sign_up.enqueue("ada")
        raise RuntimeError

    assert len(dtps.drain()) == (way == "direct")


def test_what_tasks_enqueue_is_run_too_and_once(dtps, way):
    orders.sign_up.enqueue("ada", ["eve", "bob"])

    with TestCase.captureOnCommitCallbacks(execute=True):
        ran = dtps.drain(check=True)

    assert [each.args[0] for each in ran] == ["ada", "eve", "bob"]
    assert dtps.drain() == []
    assert not Outbox.objects.exists()


def test_the_callbacks_of_the_test_itself_are_left_to_it(dtps, way):
    called = []
    with TestCase.captureOnCommitCallbacks(execute=True) as callbacks:
        transaction.on_commit(lambda: called.append(1))
        orders.sign_up.enqueue("ada")
        transaction.on_commit(lambda: called.append(2))
        assert len(dtps.drain(check=True)) == 1
        assert called == []

    assert called == [1, 2]
    assert dtps.drain() == []
    assert len(callbacks) == (2 if way == "direct" else 3)


def test_what_a_task_wants_to_be_called_on_commit_is_called(dtps):
    orders.greet_when_stored.enqueue("ada")

    with TestCase.captureOnCommitCallbacks(execute=True):
        dtps.drain(check=True)

    dtps.assert_nothing_enqueued()  # it was called once
    assert User.objects.filter(username="greeter of ada").exists()


def test_a_coroutine_finds_the_tests_transaction(dtps):
    User.objects.create(username="ada")
    orders.sign_up_in_a_coroutine.enqueue("eve")

    (ran,) = dtps.drain(check=True)

    assert ran.return_value == 2
    assert User.objects.filter(username="eve").exists()


def test_what_a_failing_task_has_written_stays_as_in_a_worker(dtps):
    orders.sign_up_then_fail.enqueue("ada")

    (ran,) = dtps.drain()

    assert ran.status == TaskResultStatus.FAILED
    assert "Broken on purpose." in ran.errors[0].traceback
    assert User.objects.get().username == "ada"


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_a_task_left_open_is_rolled_back(dtps):
    orders.leave_a_transaction_open.enqueue("ada")

    dtps.drain(check=True)

    assert connection.get_autocommit()
    assert User.objects.get().username == "ada"


def test_a_statement_that_is_refused_spoils_nothing_for_the_test(dtps):
    orders.break_the_transaction.enqueue("ada")

    (ran,) = dtps.drain()

    assert ran.errors[0].exception_class_path.startswith("django.db.utils.")
    User.objects.create(username="eve")


@pytest.mark.django_db(databases=["default", ALIAS])
def test_nor_does_one_that_postgres_refuses(in_postgres, dtps):
    """There a transaction takes nothing more after it."""
    orders.break_the_transaction.enqueue("ada")
    orders.sign_up.enqueue("eve")

    broken, signed_up = dtps.drain()

    assert broken.errors[0].exception_class_path.startswith("django.db.utils.")
    assert signed_up.return_value == 1
    assert list(User.objects.using(ALIAS).values_list("username", flat=True)) == ["eve"]


@pytest.mark.parametrize(
    "is_real",
    [
        pytest.param(True, marks=pytest.mark.django_db(transaction=True)),
        pytest.param(False, marks=pytest.mark.django_db),
    ],
    ids=["real transactions", "one transaction"],
)
def test_a_database_that_the_test_may_not_use_is_left_alone(postgres, settings, dtps, is_real):
    alias = settings.TASKS["default"]
    other = {**alias, "OPTIONS": {"DATABASE": ALIAS}}
    settings.TASKS = {"default": {**alias, "OPTIONS": {}}, "other": other}
    orders.sign_up.enqueue("ada")

    dtps.assert_enqueued(orders.sign_up)
    dtps.drain(check=True)


def test_the_most_urgent_is_run_first(dtps):
    for name, priority in (("low", -50), ("high", 50), ("middle", 0)):
        orders.sign_up.using(priority=priority).enqueue(name)

    assert [each.args[0] for each in dtps.drain()] == ["high", "middle", "low"]


def test_only_some_queues_are_run_if_they_are_named(dtps):
    orders.sign_up.using(queue_name="mail").enqueue("ada")
    orders.sign_up.enqueue("eve")

    assert [each.args[0] for each in dtps.drain(["mail"])] == ["ada"]
    assert [each.args[0] for each in dtps.drain()] == ["eve"]


def test_a_paused_queue_is_left_alone(dtps):
    orders.sign_up.enqueue("ada")
    dtps.drain(most=0)
    broker().pause("default")
    assert dtps.drain() == []

    broker().resume("default")
    assert len(dtps.drain()) == 1


def test_up_to_so_many_attempts_are_run(dtps):
    for name in "abc":
        orders.sign_up.enqueue(name)

    assert [each.args[0] for each in dtps.drain(most=2)] == ["a", "b"]
    assert len(dtps.drain()) == 1


def test_a_chain_is_run_to_its_end(dtps):
    chain(orders.sign_up.part("ada"), orders.sign_up.part("eve"), orders.fail.part()).enqueue()
    dtps.assert_enqueued(orders.sign_up, times=2)

    ran = dtps.drain()

    assert [each.args for each in ran] == [["ada"], ["eve"], []]
    dtps.assert_nothing_enqueued()


def test_what_waits_for_a_task_that_failed_is_cancelled(dtps):
    workflow = chain(orders.fail.part(), orders.sign_up.part("ada")).enqueue()

    assert len(dtps.drain()) == 1
    assert workflow.progress().statuses == {"failed": 1, "cancelled": 1}


def test_a_bulk_operation_is_done(dtps):
    result = orders.fail.enqueue()
    dtps.drain()
    begin(Action.RETRY, {"status": "failed"}, {}, who="a test")

    assert [each.id for each in dtps.drain()] == [result.id]
    assert TaskRecord.objects.get().stored.state.run == 2


def test_a_task_that_enqueues_itself_ends_the_drain(dtps, monkeypatch):
    monkeypatch.setattr("tasks_app.testing.drain.MOST_ATTEMPTS", 20)
    orders.go_on_for_ever.enqueue()

    with pytest.raises(StillBusy, match="After 20 attempts"):
        dtps.drain()


def test_a_failed_task_fails_the_test_if_that_is_asked_for(dtps):
    orders.fail.enqueue()

    with pytest.raises(AssertionError, match=r"(?s)1 of 1 tasks failed.*Broken on purpose"):
        dtps.drain(check=True)


def test_what_was_run_is_in_the_history_and_gone_from_redis(dtps):
    result = orders.sign_up.enqueue("ada")
    dtps.drain()

    assert TaskRecord.objects.get(id=result.id).status == "completed"
    assert broker().get(result.id) is None
    result.refresh()
    assert result.return_value == 1


def test_what_a_task_says_of_itself_is_kept(dtps):
    result = orders.say_much.enqueue()

    dtps.drain(check=True)

    said = find_remarks(result.id)
    assert said.progress.note == "half"
    assert [line.text for line in said.log] == ["by the context", "by logging"]


def test_a_time_limit_ends_an_attempt(dtps):
    orders.run_without_end.enqueue()

    (ran,) = dtps.drain()

    assert ran.errors[0].exception_class_path == "tasks_app.exceptions.TaskTimeout"


def test_the_signals_of_django_are_sent(dtps):
    heard = []

    def hear(signal, **kwargs):
        heard.append(signal)

    every = [signals.task_enqueued, signals.task_started, signals.task_finished]
    for signal in every:
        signal.connect(hear)
    try:
        orders.sign_up.enqueue("ada")
        dtps.drain()
    finally:
        for signal in every:
            signal.disconnect(hear)

    assert heard == every


def test_ctrl_c_ends_the_tests_and_not_the_task(dtps, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    result = orders.sign_up.enqueue("ada")
    monkeypatch.setattr(User.objects, "create", interrupt)
    with pytest.raises(KeyboardInterrupt):
        dtps.drain()
    monkeypatch.undo()

    assert [each.id for each in dtps.drain(check=True)] == [result.id]


def test_an_asynchronous_test_drains_too(dtps, transactional_db):
    async def sign_up():
        await orders.sign_up_in_a_coroutine.aenqueue("ada")
        return await dtps.adrain(check=True)

    assert len(asyncio.run(sign_up())) == 1


def test_a_test_leaves_no_key_behind(dtps):
    before = set(broker().link.client().keys())
    with kit() as inner, inner.frozen():
        orders.sign_up.enqueue("ada")
        inner.drain()
        orders.sign_up.enqueue("eve")
        assert set(broker().link.client().keys()) > before

    assert set(broker().link.client().keys()) == before


def test_two_kits_do_not_meet(dtps):
    with kit() as other:
        orders.sign_up.enqueue("ada")
        assert len(other.enqueued()) == 1
    assert dtps.enqueued() == []
