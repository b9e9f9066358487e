"""What a task is, before it is run: declared, changed, refused."""

import asyncio
import copy
import pickle
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from asgiref.sync import async_to_sync
from bookshop import awkward, printing, tasks
from bookshop.api import (
    InvalidTask,
    InvalidTaskBackend,
    TaskResultDoesNotExist,
    TaskResultMismatch,
    default_task_backend,
    task,
    task_backends,
)
from bookshop.models import Heard
from django.test import override_settings
from waiting import finished, value_of

BACKEND = "tasks_app.backends.RedisBackend"
DUMMY = f"{task.__module__.removesuffix('.base')}.backends.dummy.DummyBackend"


def test_the_backend_can_do_all_that_there_is():
    backend = task_backends["default"]

    assert backend.supports_defer and backend.supports_async_task
    assert backend.supports_get_result and backend.supports_priority
    assert default_task_backend.alias == "default"
    assert tasks.add.get_backend() is backend


def test_a_task_can_still_be_called():
    assert tasks.add.call(1, second=2) == 3
    assert asyncio.run(tasks.slowly.acall(4)) == 4
    assert tasks.slowly.call(5) == 5


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"priority": 101}, InvalidTask),
        ({"priority": -101}, InvalidTask),
        ({"priority": 1.5}, InvalidTask),
        ({"queue_name": "reports"}, InvalidTask),
        ({"queue_name": "nowhere"}, InvalidTask),
        ({"run_after": datetime(2100, 1, 1)}, InvalidTask),
        ({"backend": "nowhere"}, InvalidTaskBackend),
        ({"colour": "red"}, TypeError),
    ],
)
def test_a_change_that_cannot_be_is_refused(changes, error):
    with pytest.raises(error):
        tasks.add.using(**changes)


def test_a_priority_is_whole_also_as_a_float_and_kept_as_what_it_is():
    changed = tasks.add.using(priority=3.0)

    found = tasks.add.get_result(finished(changed.enqueue(1)).id)

    assert found.task == changed and type(found.task.priority) is int


def test_a_new_result_is_what_everybody_finds():
    later = datetime(2100, 1, 1, tzinfo=UTC)
    result = tasks.add.using(run_after=later).enqueue((1,), second=b"2")

    assert tasks.add.get_result(result.id) == result
    assert async_to_sync(tasks.add.aget_result)(result.id) == result


def test_the_checks_of_a_backend_tell_what_is_wrong_with_it():
    options = {"ENQUEUED": "direct"}

    with override_settings(TASKS={"default": {"BACKEND": BACKEND, "OPTIONS": options}}):
        (message,) = task_backends["default"].check()

    assert "Did you mean ENQUEUE?" in message.msg
    assert list(task_backends["default"].check()) == []


@pytest.mark.parametrize("refused", [awkward.hidden, awkward.nameless, awkward.Shelf.stacked])
def test_what_no_path_leads_to_is_refused_when_it_is_enqueued(refused):
    before = Heard.objects.count()

    for enqueue in (refused.enqueue, async_to_sync(refused.aenqueue)):
        with pytest.raises(InvalidTask):
            enqueue()

    assert Heard.objects.count() == before


@pytest.mark.parametrize("arguments", [awkward.Shelf, {1}, object(), 1j, datetime(2100, 1, 1)])
def test_arguments_that_json_has_no_word_for_are_a_type_error_and_leave_nothing(arguments):
    before = Heard.objects.count()

    for enqueue in (tasks.give_back.enqueue, async_to_sync(tasks.give_back.aenqueue)):
        with pytest.raises(TypeError):
            enqueue(arguments)
        with pytest.raises(TypeError):
            enqueue(name=[arguments])

    assert Heard.objects.count() == before


@pytest.mark.parametrize("argument", [b"\xff", float("nan"), float("inf"), "\ud800"])
def test_arguments_that_would_not_come_back_are_a_value_error(argument):
    with pytest.raises(ValueError):
        tasks.give_back.enqueue(argument)


def test_a_coroutine_or_a_nested_function_is_checked_at_its_declaration():
    def nested():
        """Be nested."""

    with pytest.raises(InvalidTask):
        task(nested)
    with pytest.raises(InvalidTask):
        task(5)
    with pytest.raises(InvalidTask):
        task(takes_context=True)(tasks.add.func)
    with pytest.raises(TypeError):
        task(run_after=datetime(2100, 1, 1, tzinfo=UTC))(tasks.add.func)
    with pytest.raises(TypeError):
        task(no_such_option=1)(tasks.add.func)


def test_an_enqueue_judges_by_the_settings_of_now():
    mail = tasks.add.using(queue_name="mail")
    before = Heard.objects.count()

    with override_settings(TASKS={"default": {"BACKEND": BACKEND, "QUEUES": ["default"]}}):
        for enqueue in (mail.enqueue, async_to_sync(mail.aenqueue)):
            with pytest.raises(InvalidTask):
                enqueue(1)
        assert "reports" not in task_backends.settings
        with pytest.raises(InvalidTaskBackend):
            tasks.report.enqueue(1)

    assert Heard.objects.count() == before
    assert value_of(mail.enqueue(1)) == 1


def test_other_settings_are_another_backend():
    ours = task_backends["default"]

    with override_settings(TASKS={"default": {"BACKEND": DUMMY}}):
        assert type(task_backends["default"]) is not type(ours)
    assert type(task_backends["default"]) is type(ours)


def test_each_thread_and_each_event_loop_may_have_its_own_instance():
    values = []

    async def enqueue():
        return [await tasks.add.aenqueue(n) for n in range(3)]

    def work():
        values.extend(value_of(result) for result in asyncio.run(enqueue()))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(values) == sorted(list(range(3)) * 4)


def test_tasks_and_results_are_copied_pickled_and_compared():
    changed = tasks.important.using(
        priority=3, run_after=datetime(2100, 1, 1, tzinfo=timezone(timedelta(hours=5)))
    )
    result = changed.enqueue()

    for each in (changed, result):
        copies = [copy.copy(each), copy.deepcopy(each), replace(each)]
        assert all(other == each for other in [*copies, pickle.loads(pickle.dumps(each))])
    assert len({changed, replace(changed), tasks.important}) == 2
    assert type(pickle.loads(pickle.dumps(changed))) is type(tasks.important)


def test_a_task_in_any_module_of_an_app_is_run():
    assert value_of(printing.bind.enqueue(12)) == "12 pages"


@pytest.mark.parametrize("garbage", ["", "*", " ", "x" * 65, "a\0", "\ud800", "'", "é", "-1"])
def test_any_garbage_is_a_result_that_does_not_exist(garbage):
    for look in (
        tasks.add.get_result,
        async_to_sync(tasks.add.aget_result),
        task_backends["default"].get_result,
    ):
        with pytest.raises(TaskResultDoesNotExist):
            look(garbage)


def test_the_result_of_another_task_does_not_match():
    result = tasks.add.enqueue(1)

    with pytest.raises(TaskResultMismatch):
        tasks.give_back.get_result(result.id)
    with pytest.raises(TaskResultMismatch):
        async_to_sync(tasks.give_back.aget_result)(result.id)
    assert finished(task_backends["default"].get_result(result.id)).task == tasks.add
