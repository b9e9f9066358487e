"""The signals: in the right process, at the right moment, and never able to do harm."""

import os

import pytest
from asgiref.sync import async_to_sync
from bookshop import tasks
from bookshop.api import signals, task_backends
from bookshop.models import Heard, Page
from waiting import finished, value_of, wait_until

OURS = "tasks_app.backends.RedisBackend"


def heard_of(result, signals=3):
    """All that receivers have heard of a task, by signal, in their order."""
    of_it = Heard.objects.filter(result_id=result.id).order_by("pk")
    wait_until(lambda: of_it.count() >= signals)
    return list(of_it)


def test_each_signal_is_sent_once_with_the_class_where_the_task_is():
    result = tasks.print_page.enqueue("heard")
    pid = value_of(result)

    by_signal = {each.signal: each for each in heard_of(result)}

    assert {each.sender for each in by_signal.values()} == {OURS}
    assert {each.backend for each in by_signal.values()} == {"default"}
    assert by_signal["enqueued"].pid == os.getpid()
    assert by_signal["started"].pid == by_signal["finished"].pid == pid
    enqueued, started, ended = (by_signal[n] for n in ("enqueued", "started", "finished"))
    assert (enqueued.status, enqueued.attempts, enqueued.has_started) == ("READY", 0, False)
    assert (started.status, started.attempts, started.has_started) == ("RUNNING", 1, True)
    assert (ended.status, ended.attempts, ended.has_finished) == ("SUCCESSFUL", 1, True)
    assert Heard.objects.filter(result_id=result.id).count() == 3


def test_the_end_of_a_failure_is_told_while_the_exception_is_at_hand():
    result = finished(tasks.fail.enqueue())

    ended = next(each for each in heard_of(result) if each.signal == "finished")

    assert (ended.status, ended.errors) == ("FAILED", ["builtins.ValueError"])
    assert ended.exception == "ValueError"


def test_who_hears_of_a_coroutine_may_use_the_database_too():
    returned = finished(tasks.slowly.enqueue(1))
    raised = finished(tasks.leave_a_coroutine.enqueue())

    for result, exception in ((returned, ""), (raised, "SystemExit")):
        by_signal = {each.signal: each for each in heard_of(result)}
        assert by_signal["started"].pid == by_signal["finished"].pid != os.getpid()
        assert by_signal["started"].status == "RUNNING"
        assert (by_signal["finished"].status, by_signal["finished"].exception) == (
            result.status,
            exception,
        )
    assert "asgiref" not in raised.errors[0].traceback


@pytest.mark.parametrize("task", [tasks.awaited, tasks.awaited_in_a_coroutine])
def test_a_receiver_may_be_a_coroutine_function(task):
    result = finished(task.enqueue())

    for status in ("RUNNING", "SUCCESSFUL"):
        text = f"{result.id}: {status}"
        wait_until(lambda text=text: Page.objects.filter(text=text).exists())


def test_an_attempt_that_is_followed_by_another_is_no_end():
    lucky, unlucky = tasks.third_time_lucky.enqueue(), tasks.never_lucky.enqueue()
    finished(lucky), finished(unlucky)

    for result, starts, status in ((lucky, 3, "SUCCESSFUL"), (unlucky, 2, "FAILED")):
        heard = heard_of(result, starts + 2)
        names = [each.signal for each in heard]
        assert (names.count("enqueued"), names.count("finished")) == (1, 1)
        assert [each.attempts for each in heard if each.signal == "started"] == list(
            range(1, starts + 1)
        )
        (end,) = (each.status for each in heard if each.signal == "finished")
        assert end == status


def test_a_receiver_that_breaks_changes_nothing():
    result = tasks.touchy.enqueue()

    assert value_of(result) == "fine"
    assert [each.signal for each in heard_of(result)].count("finished") == 1
    assert value_of(tasks.add.enqueue(1)) == 1


def test_a_receiver_that_breaks_here_does_not_reach_who_enqueues():
    def broken(**kwargs):
        raise ZeroDivisionError

    signals.task_enqueued.connect(broken)
    try:
        result = tasks.add.enqueue(1)
    finally:
        signals.task_enqueued.disconnect(broken)

    assert value_of(result) == 1


def test_async_receivers_hear_of_what_async_code_enqueues():
    seen = []

    async def receiver(sender, task_result, **kwargs):
        seen.append((sender, task_result.id))

    signals.task_enqueued.connect(receiver)
    try:
        results = [async_to_sync(tasks.add.aenqueue)(1), tasks.add.enqueue(2)]
    finally:
        signals.task_enqueued.disconnect(receiver)

    backend = type(task_backends["default"])
    assert seen == [(backend, result.id) for result in results]


def test_the_task_is_stored_before_its_signal_is_sent():
    seen = []

    def receiver(task_result, **kwargs):
        seen.append(tasks.add.get_result(task_result.id).id)

    signals.task_enqueued.connect(receiver)
    try:
        result = tasks.add.enqueue(1)
    finally:
        signals.task_enqueued.disconnect(receiver)

    assert seen == [result.id]
