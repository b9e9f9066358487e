"""An enqueue in a transaction: stored with it, never without it, pushed when it has committed."""

from contextlib import contextmanager, suppress

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connections, transaction
from django.test import TestCase, override_settings
from django.test.utils import CaptureQueriesContext

from tasks_app import enqueue_many, outbox
from tasks_app.broker import connection as redis_connection
from tasks_app.compat import TaskResultDoesNotExist, TaskResultStatus, signals
from tasks_app.exceptions import PartlyStored, QueueFull, QueueUnavailable
from tasks_app.models import Outbox
from tests.sample.tasks import declared, echo
from workers_app.coordinator.services.recorder import Recorder
from workers_app.coordinator.services.sweeper import Sweeper

from ..postgres import ALIAS, on_both_databases
from ..redis_server import RedisServer
from .executing import Hands

BACKEND = "tasks_app.backends.RedisBackend"
READY = TaskResultStatus.READY


def backend(database, **options):
    given = {"DATABASE": database, **options}
    return {"default": {"BACKEND": BACKEND, "QUEUES": [], "OPTIONS": given}}


@pytest.fixture(autouse=True)
def _alias(request, settings):
    """The alias whose transactions count is that of the database that the test is about."""
    if "database" in request.fixturenames:
        settings.TASKS = backend(request.getfixturevalue("database"))


@pytest.fixture
def heard():
    """The ids that ``task_enqueued`` told of."""
    ids = []

    def receiver(task_result, **kwargs):
        ids.append(task_result.id)

    signals.task_enqueued.connect(receiver)
    yield ids
    signals.task_enqueued.disconnect(receiver)


@contextmanager
def rolled_back(database, **options):
    """A block whose transaction, or savepoint, does not commit."""
    with suppress(ZeroDivisionError), transaction.atomic(using=database, **options):
        yield
        raise ZeroDivisionError


def submitted(broker):
    return broker.stats().count("submitted")


def rows(database):
    return Outbox.objects.using(database).count()


@on_both_databases
def test_a_task_is_there_for_who_enqueued_it_and_for_workers_after_the_commit(broker, database):
    with transaction.atomic(using=database):
        result = echo.enqueue(1, two=2)

        assert submitted(broker) == 0
        found = echo.get_result(result.id)
        assert (found.status, found.args, found.kwargs) == (READY, [1], {"two": 2})
        assert found.enqueued_at == result.enqueued_at

    assert broker.get(result.id).message.args == [1]
    assert rows(database) == 0
    assert echo.get_result(result.id).status == READY


@on_both_databases
def test_what_is_rolled_back_never_was(broker, database):
    with rolled_back(database):
        result = echo.enqueue()

    assert submitted(broker) == rows(database) == 0
    with pytest.raises(TaskResultDoesNotExist):
        echo.get_result(result.id)


@on_both_databases
def test_outside_of_a_transaction_a_task_is_in_redis_at_once_and_the_database_is_not_asked(
    broker, database
):
    with CaptureQueriesContext(connections[database]) as asked:
        result = echo.enqueue()

    assert broker.get(result.id)
    assert len(asked) == 0


@on_both_databases
def test_of_savepoints_those_count_that_are_kept_whichever_comes_first(broker, database):
    with transaction.atomic(using=database, durable=True):
        with rolled_back(database):
            echo.enqueue("a")
        kept = [echo.enqueue("b")]
        with transaction.atomic(using=database):
            kept.append(echo.enqueue("c"))
            with rolled_back(database):
                echo.enqueue("d")
            kept.append(echo.enqueue("e"))

    assert set(broker.get_many([result.id for result in kept])) == {r.id for r in kept}
    assert (submitted(broker), rows(database)) == (3, 0)


@on_both_databases
def test_all_tasks_of_a_transaction_are_pushed_in_one_call(broker, database):
    with transaction.atomic(using=database):
        ids = [echo.enqueue(n).id for n in range(20)]

    assert broker.changes(100).ids == ids
    assert broker.link.call("XLEN", "dtps:{s0}:changes") == 1


@on_both_databases
def test_what_a_transaction_before_rolled_back_is_not_pushed_with_the_next_one(broker, database):
    with rolled_back(database):
        echo.enqueue("never")
    with transaction.atomic(using=database):
        echo.enqueue("surely")

    assert (submitted(broker), rows(database)) == (1, 0)


@on_both_databases
def test_with_autocommit_off_a_row_is_committed_with_the_rest_and_left_to_the_sweeper(
    broker, database
):
    transaction.set_autocommit(False, using=database)
    try:
        echo.enqueue("never")
        transaction.rollback(using=database)
        result = echo.enqueue("later")
        transaction.commit(using=database)
    finally:
        transaction.set_autocommit(True, using=database)

    assert submitted(broker) == 0
    assert list(Outbox.objects.using(database).values_list("id", flat=True)) == [result.id]
    assert echo.get_result(result.id).status == READY


@on_both_databases
def test_a_push_that_comes_after_its_turn_takes_another_one(broker, database, monkeypatch):
    monkeypatch.setattr(outbox, "TURN_US", -60_000_000)  # as if the transaction had been so long
    with transaction.atomic(using=database):
        echo.enqueue(1), echo.enqueue(2)
        monkeypatch.undo()

    assert (submitted(broker), rows(database)) == (2, 0)


@on_both_databases
def test_a_row_whose_turn_somebody_else_has_is_left_to_him(broker, database, monkeypatch):
    monkeypatch.setattr(outbox, "TURN_US", -60_000_000)
    with transaction.atomic(using=database):
        mine, his = echo.enqueue("mine"), echo.enqueue("his")
        Outbox.objects.using(database).filter(id=his.id).update(turn_us=2**60 + 1)
        monkeypatch.undo()

    assert broker.get(mine.id) and not broker.get(his.id)
    assert rows(database) == 1


@on_both_databases
def test_without_redis_a_transaction_commits_and_its_rows_wait(
    broker, database, settings, caplog, heard
):
    gone = RedisServer()
    gone.start()
    settings.DTPS = {**settings.DTPS, "REDIS_URL": gone.url}
    try:
        gone.kill()
        with transaction.atomic(using=database):
            result = echo.enqueue()
    finally:
        redis_connection.close_all()
        gone.close()

    assert list(Outbox.objects.using(database).values_list("id", flat=True)) == [result.id]
    assert "event=outbox_waits tasks=1" in caplog.text
    assert heard == [result.id]


@on_both_databases
def test_the_signal_is_sent_once_as_soon_as_the_row_is_written(broker, database, heard):
    with transaction.atomic(using=database):
        result = echo.enqueue()
        assert heard == [result.id]

    assert heard == [result.id]


@on_both_databases
def test_another_database_s_transactions_do_not_count(broker, database):
    other = "default" if database == ALIAS else ALIAS

    with rolled_back(other):
        echo.enqueue()
        assert submitted(broker) == 1


@on_both_databases
def test_each_alias_has_its_own_database_and_way(broker, database, settings):
    other = "default" if database == ALIAS else ALIAS
    here, there = backend(database), backend(other)
    settings.TASKS = {"default": here["default"], "other": there["default"]}

    with transaction.atomic(using=database), rolled_back(other):
        kept = echo.enqueue("kept")
        gone = echo.using(backend="other").enqueue("gone")
        assert echo.get_result(kept.id) and echo.get_result(gone.id)

    assert broker.get(kept.id) and not broker.get(gone.id)


@on_both_databases
def test_direct_stores_at_once_whatever_becomes_of_the_transaction(broker, database, settings):
    settings.TASKS = backend(database, ENQUEUE="direct")

    with rolled_back(database):
        echo.enqueue()
        assert submitted(broker) == 1


@on_both_databases
def test_on_commit_writes_no_row_and_stores_and_tells_after_the_commit(
    broker, database, settings, heard
):
    settings.TASKS = backend(database, ENQUEUE="on_commit")

    with rolled_back(database):
        echo.enqueue()
    with transaction.atomic(using=database):
        result = echo.enqueue()
        assert (submitted(broker), rows(database), heard) == (0, 0, [])

    assert broker.get(result.id)
    assert heard == [result.id]


@on_both_databases
def test_async_code_enqueues_in_the_transaction_of_the_thread_that_it_runs_for(broker, database):
    def in_transaction():
        with rolled_back(database):
            gone = async_to_sync(echo.aenqueue)("gone")
        with transaction.atomic(using=database):
            kept = async_to_sync(echo.aenqueue)("kept")
            assert submitted(broker) == 0
        return gone, kept

    async def from_a_loop():
        return await sync_to_async(in_transaction)()

    for run in (in_transaction, async_to_sync(from_a_loop)):
        gone, kept = run()
        assert broker.get(kept.id) and not broker.get(gone.id)
        broker.link.call("FLUSHALL")


@on_both_databases
def test_ten_thousand_are_all_or_none_and_come_back_in_their_order(broker, database):
    with transaction.atomic(using=database):
        inside = echo.enqueue_many([(n,) for n in range(1500)])
        assert (submitted(broker), rows(database)) == (0, 1500)
    outside = enqueue_many([(echo, [n], {"n": n}) for n in range(10_000)])

    assert (submitted(broker), rows(database)) == (11_500, 0)
    assert [result.args for result in inside] == [[n] for n in range(1500)]
    assert [result.kwargs for result in outside] == [{"n": n} for n in range(10_000)]
    assert broker.get(outside[-1].id).message.kwargs == {"n": 9999}


@on_both_databases
def test_many_with_a_wrong_one_store_none_and_say_which(broker, database, heard):
    calls = [(echo, [1], {}), (echo, [object()], {}), (echo, [3], {})]

    with pytest.raises(TypeError) as raised:
        enqueue_many(calls)

    assert "call 1 of" in raised.value.__notes__[0]
    assert (submitted(broker), rows(database), heard) == (0, 0, [])


@on_both_databases
def test_many_of_several_aliases_and_types_go_where_they_belong(broker, database, settings):
    other = "default" if database == ALIAS else ALIAS
    here, there = backend(database), backend(other)
    settings.TASKS = {"default": here["default"], "other": there["default"]}

    results = enqueue_many(
        [(echo, [], {"a": 1}), (declared.using(backend="other"), [], {}), (echo, [2], {})]
    )

    assert [(r.task.name, r.backend) for r in results] == [
        ("echo", "default"), ("declared", "other"), ("echo", "default"),
    ]  # fmt: skip
    assert set(broker.get_many([r.id for r in results])) == {r.id for r in results}


@on_both_databases
def test_many_without_an_outbox_tell_which_were_stored_if_not_all(
    broker, database, settings, heard
):
    settings.TASKS = backend(database, ENQUEUE="direct")
    settings.DTPS = {**settings.DTPS, "MAX_QUEUE_DEPTH": 1500}

    with pytest.raises(PartlyStored) as raised:
        echo.enqueue_many([(n,) for n in range(2500)])

    assert isinstance(raised.value.__cause__, QueueFull)
    assert len(raised.value.ids) == submitted(broker) == 1000
    assert heard == raised.value.ids
    with pytest.raises(QueueFull):
        echo.enqueue_many([(n,) for n in range(600)])
    assert submitted(broker) == 1000


def test_a_text_is_no_list_of_arguments(settings):
    with pytest.raises(TypeError, match="A call is a list of arguments"):
        echo.enqueue_many(["ab"])


@pytest.mark.django_db
def test_in_a_test_case_nothing_is_pushed_unless_its_callbacks_are_executed(broker, settings):
    settings.TASKS = backend("default")
    assert connections["default"].in_atomic_block

    echo.enqueue()
    assert submitted(broker) == 0
    for _ in range(2):
        with TestCase.captureOnCommitCallbacks(execute=True):
            result = echo.enqueue()
        assert broker.get(result.id)


@on_both_databases
def test_a_task_that_goes_all_the_way_before_the_look_at_the_outbox_is_found(
    broker, database, monkeypatch
):
    monkeypatch.setattr(outbox.Batch, "flush", lambda self: None)
    with transaction.atomic(using=database):
        result = echo.enqueue()
    look = outbox.find

    def late_look(ids):
        Outbox.objects.using(database).update(turn_us=0)
        Sweeper(broker).tick()
        hands = Hands(broker)
        hands.claim()
        hands.settle(result.id, "completed")
        Recorder(broker).tick()
        assert not broker.get(result.id)
        return look(ids)

    monkeypatch.setattr(outbox, "find", late_look)

    assert echo.get_result(result.id).status == TaskResultStatus.SUCCESSFUL


def test_wrong_options_are_named_when_something_is_enqueued(broker):
    wrong = backend("default", ENQUEUE="sometimes")
    with override_settings(TASKS=wrong), pytest.raises(Exception, match="ENQUEUE must be one of"):
        echo.enqueue()


@on_both_databases
def test_an_unreachable_redis_refuses_a_task_outside_of_a_transaction(database, settings):
    settings.DTPS = {**settings.DTPS, "REDIS_URL": "unix:///nowhere/at/all"}

    with pytest.raises(QueueUnavailable):
        echo.enqueue()
    assert rows(database) == 0
