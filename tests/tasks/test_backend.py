"""Django's door: what ``django.tasks`` promises of a backend, and where others break it."""

import asyncio
import copy
import logging
import pickle
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync
from django.test import override_settings

from tasks_app.backends import RedisBackend
from tasks_app.compat import (
    InvalidTask,
    InvalidTaskBackend,
    Task,
    TaskResultDoesNotExist,
    TaskResultMismatch,
    signals,
    task,
    task_backends,
)
from tasks_app.exceptions import QueueUnavailable, ValueTooLarge
from tasks_app.listening import is_heard
from tasks_app.redis_task import RedisTask
from tests.sample import awkward, tasks

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).parents[2]
BACKEND = "tasks_app.backends.RedisBackend"
DUMMY = f"{Task.__module__.removesuffix('.base')}.backends.dummy.DummyBackend"
SOON = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def heard():
    """The ``task_enqueued`` signals of one test: (sender, result)."""
    calls = []

    def receiver(sender, task_result, **kwargs):
        calls.append((sender, task_result))

    signals.task_enqueued.connect(receiver)
    yield calls
    signals.task_enqueued.disconnect(receiver)


def submitted(broker):
    return broker.stats().count("submitted")


def message_of(broker, result):
    return broker.get(result.id).message


def test_a_task_is_stored_as_it_was_enqueued(broker):
    result = tasks.echo.enqueue(1, (2,), b"text", key={"nested": None})

    assert result == tasks.echo.get_result(result.id)
    assert (result.status, result.attempts, result.errors) == ("READY", 0, [])
    assert (result.args, result.kwargs) == ([1, [2], "text"], {"key": {"nested": None}})
    assert isinstance(result.id, str) and len(result.id) <= 64
    assert result.enqueued_at.utcoffset() == timedelta(0)
    with pytest.raises(ValueError, match="Task has not finished yet"):
        result.return_value  # noqa: B018


def test_every_override_reaches_the_message_and_comes_back(broker):
    moment = datetime(
        9000, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=-9, minutes=-30))
    )
    changed = tasks.declared.using(
        priority=-100, queue_name="two words: Grüße", run_after=moment,
        max_attempts=9, backoff=0.25, timeout=1.5,
    )  # fmt: skip

    result = changed.enqueue()
    message = message_of(broker, result)
    found = changed.get_result(result.id)

    assert (message.priority, message.queue) == (-100, "two words: Grüße")
    assert (message.max_attempts, message.backoff, message.timeout) == (9, 0.25, 1.5)
    assert found == result
    assert found.task == changed
    assert found.task.run_after == moment


def test_zero_is_an_override_too(broker):
    result = tasks.declared.using(priority=0).enqueue()

    assert message_of(broker, result).priority == 0
    assert tasks.declared.get_result(result.id).task.priority == 0


def test_using_keeps_what_it_is_not_told(broker):
    changed = tasks.declared.using(timeout=5)

    assert type(changed) is RedisTask
    assert changed == replace(tasks.declared, timeout=5)
    assert changed.using(queue_name="other").timeout == 5


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/New_York"])
def test_without_time_zones_moments_are_local_and_naive(broker, zone):
    with override_settings(USE_TZ=False, TIME_ZONE=zone):
        moment = datetime(2100, 7, 1, 12, 30, 0, 5)
        result = tasks.echo.using(run_after=moment).enqueue()
        found = tasks.echo.get_result(result.id)

        assert found.task.run_after == moment
        assert found.enqueued_at.tzinfo is None
        assert abs(found.enqueued_at - datetime.now()) < timedelta(hours=1)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"priority": 101}, InvalidTask),
        ({"priority": 5.5}, InvalidTask),
        ({"priority": "high"}, InvalidTask),
        ({"queue_name": "a\0"}, InvalidTask),
        ({"queue_name": "x" * 256}, InvalidTask),
        ({"run_after": datetime(2100, 1, 1)}, InvalidTask),
        ({"max_attempts": 0}, InvalidTask),
        ({"backoff": float("nan")}, InvalidTask),
        ({"timeout": -1}, InvalidTask),
        ({"backend": "nowhere"}, InvalidTaskBackend),
    ],
)
def test_options_that_cannot_be_are_refused_by_using(changes, error):
    with pytest.raises(error):
        tasks.echo.using(**changes)


def test_what_is_refused_is_neither_stored_nor_announced(broker, heard, settings):
    settings.DTPS = {**settings.DTPS, "MAX_PAYLOAD_BYTES": 1000}
    for refused, args, error in (
        (awkward.hidden, (), InvalidTask),
        (awkward.nameless, (), InvalidTask),
        (awkward.Holder.held, (), InvalidTask),
        (tasks.echo, (object(),), TypeError),
        (tasks.echo, (b"\xff",), ValueError),
        (tasks.echo, (float("nan"),), ValueError),
        (tasks.echo, ("\ud800",), ValueError),
        (tasks.echo, ("x" * 1001,), ValueTooLarge),
    ):
        with pytest.raises(error):
            refused.enqueue(*args)
        with pytest.raises(error):
            async_to_sync(refused.aenqueue)(*args)

    assert broker.link.call("DBSIZE") == 0
    assert heard == []


def test_an_enqueue_judges_by_the_settings_of_now(broker, heard):
    declared = tasks.declared  # valid when it was declared, as any queue was
    declared.enqueue()

    with override_settings(TASKS={"default": {"BACKEND": BACKEND, "QUEUES": ["default"]}}):
        for enqueue in (declared.enqueue, async_to_sync(declared.aenqueue)):
            with pytest.raises(InvalidTask, match="Queue 'mail' is not valid"):
                enqueue()

    assert submitted(broker) == len(heard) == 1


def test_a_function_inside_a_function_is_no_task():
    with pytest.raises(InvalidTask):
        task(awkward.nested())


def test_the_decorator_keeps_our_options_and_spares_other_backends_them():
    assert tasks.declared.max_attempts == 5

    with override_settings(TASKS={"default": {"BACKEND": DUMMY}}):
        declared = task(max_attempts=3, backoff=1, timeout=2)(tasks.echo.func)
        assert type(declared) is Task
        with pytest.raises(TypeError):
            task(max_attempt=3)


def test_a_task_of_another_backend_may_be_sent_to_ours(broker):
    ours = {"BACKEND": BACKEND, "OPTIONS": {"ENQUEUE": "direct"}}
    with override_settings(TASKS={"default": {"BACKEND": DUMMY}, "ours": ours}):
        foreign = Task(
            func=tasks.echo.func,
            priority=0,
            backend="default",
            queue_name="default",
            run_after=None,
        )
        result = foreign.using(backend="ours").enqueue(1)
        found = task_backends["ours"].get_result(result.id)

        assert message_of(broker, result).max_attempts == 1
        assert (found.backend, found.task.backend) == ("ours", "ours")
        found.refresh()  # goes through the task's backend


def test_a_result_names_the_backend_that_took_the_task_in_if_there_is_one(broker):
    both = {"default": {"BACKEND": BACKEND}, "other": {"BACKEND": BACKEND}}
    with override_settings(TASKS=both):
        result = tasks.echo.using(backend="other").enqueue()
        assert tasks.echo.get_result(result.id).backend == "other"
    with override_settings(TASKS={"default": both["default"]}):
        assert tasks.echo.get_result(result.id).backend == "default"


def test_the_users_names_are_his_own(broker):
    arguments = {"task": 1, "args": [2], "queue": 3, "priority": 4, "timeout": 5, "id": 6}

    result = tasks.awkward_names.enqueue(**arguments)

    assert message_of(broker, result).kwargs == arguments
    assert tasks.awkward_names.get_result(result.id).kwargs == arguments


@pytest.mark.parametrize(
    "garbage",
    ["", "*", " ", "x", "a" * 65, "a\0", "\ud800", "ä", "'; --", "0" * 10_000, None, 5, [], b"a"],
    ids=range(14),
)
def test_any_garbage_is_a_result_that_does_not_exist(broker, garbage):
    with pytest.raises(TaskResultDoesNotExist):
        tasks.echo.get_result(garbage)
    with pytest.raises(TaskResultDoesNotExist):
        async_to_sync(tasks.echo.aget_result)(garbage)


def test_the_result_of_another_task_does_not_match(broker):
    result = tasks.echo.enqueue()

    with pytest.raises(TaskResultMismatch):
        tasks.declared.get_result(result.id)


def test_the_result_of_a_type_that_is_gone_says_so(broker, monkeypatch):
    result = tasks.echo.enqueue()
    known = {"test": object()}
    monkeypatch.setattr("tasks_app.registry.task_types", lambda: known)
    monkeypatch.setattr("tasks_app.registry._elsewhere", lambda name: None)

    with pytest.raises(TaskResultDoesNotExist, match=r"There is no task type '.*echo'"):
        task_backends["default"].get_result(result.id)


def test_results_are_snapshots(broker):
    first = tasks.echo.enqueue([1])
    first.args[0].append(2)
    first.worker_ids.append("me")
    found = tasks.echo.get_result(first.id)
    found.args[0].append(3)

    again = tasks.echo.get_result(first.id)

    assert (again.args, again.worker_ids) == ([[1]], [])


def test_the_signal_comes_after_the_task_is_stored_with_the_backends_class(broker):
    seen = []

    def receiver(sender, task_result, **kwargs):
        seen.append((sender, broker.get(task_result.id).message.args, task_result.status))

    signals.task_enqueued.connect(receiver, sender=RedisBackend)
    try:
        tasks.echo.enqueue("x")
    finally:
        signals.task_enqueued.disconnect(receiver, sender=RedisBackend)

    assert seen == [(RedisBackend, ["x"], "READY")]


def test_a_receiver_that_raises_harms_neither_the_task_nor_its_caller(broker, heard, caplog):
    def broken(**kwargs):
        raise ZeroDivisionError("on purpose")

    signals.task_enqueued.connect(broken)
    try:
        result = tasks.echo.enqueue()
    finally:
        signals.task_enqueued.disconnect(broken)

    assert broker.get(result.id)
    assert len(heard) == 1
    assert "ZeroDivisionError: on purpose" in caplog.text


def test_nothing_is_made_for_a_log_that_nobody_writes(broker, caplog):
    with caplog.at_level(logging.INFO, logger=signals.logger.name):
        assert not is_heard(signals.task_enqueued)
    with caplog.at_level(logging.DEBUG, logger=signals.logger.name):
        assert is_heard(signals.task_enqueued)
        result = tasks.echo.enqueue()

    assert f"Task id={result.id} path=tests.sample.tasks.echo enqueued" in caplog.text


def test_a_signal_with_a_receiver_is_heard(heard, caplog):
    with caplog.at_level(logging.WARNING, logger=signals.logger.name):
        assert is_heard(signals.task_enqueued)
        assert not is_heard(signals.task_finished)
        assert is_heard(signals.task_finished, logging.ERROR)


@pytest.mark.django_db(transaction=True)
def test_async_code_enqueues_and_looks_in_any_event_loop(broker):
    async def journey():
        result = await tasks.async_echo.aenqueue(1)
        found = await tasks.async_echo.aget_result(result.id)
        await found.arefresh()
        return result == found

    assert asyncio.run(journey())
    assert asyncio.run(journey())
    assert async_to_sync(journey)()


def test_many_threads_enqueue_at_once(broker):
    results = []

    def enqueue():
        results.extend(tasks.echo.enqueue(n).id for n in range(50))

    threads = [threading.Thread(target=enqueue) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(results)) == 400 == len(broker.get_many(results))


def test_tasks_and_results_can_be_copied_and_pickled(broker):
    changed = tasks.declared.using(run_after=SOON, max_attempts=9)
    result = changed.enqueue()

    for each in (changed, result):
        assert copy.deepcopy(each) == pickle.loads(pickle.dumps(each)) == replace(each) == each


def test_pickle_finds_nothing_but_tasks():
    forged = pickle.dumps(tasks.echo).replace(
        b"tests.sample.tasks.echo", b"tests.sample.tasks.time"
    )

    with pytest.raises(ValueError, match="is not a task"):
        pickle.loads(forged)


def test_an_unreachable_server_is_an_error_and_no_result(settings, heard):
    settings.DTPS = {**settings.DTPS, "REDIS_URL": f"redis://127.0.0.1:{_closed_port()}/0"}

    with pytest.raises(QueueUnavailable):
        tasks.echo.enqueue()
    with pytest.raises(QueueUnavailable):
        tasks.echo.get_result("a")
    assert heard == []


def test_tasks_may_be_declared_before_the_apps_are_loaded_and_without_a_server():
    program = (
        "import django.conf\n"
        "django.conf.settings.configure(\n"
        f"    TASKS={{'default': {{'BACKEND': {BACKEND!r}, 'QUEUES': []}}}},\n"
        "    DTPS={'REDIS_URL': 'redis://nowhere'})\n"
        "import tests.sample.tasks, sys\n"
        "assert tests.sample.tasks.declared.get_backend().check() == []\n"
        "assert 'tasks_app.models' not in sys.modules\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr


def _closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
