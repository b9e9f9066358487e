"""One real worker, and what tasks can do to it."""

import os
import signal
import uuid

import psutil
import pytest

from tasks_app.enqueue import TaskRequest, submit
from tasks_app.message import TaskMessage, now_us
from tasks_app.registry import resolve
from tasks_app.states import Status

from ..conftest import wait_until


@pytest.fixture(scope="module")
def worker(start):
    process = start(
        "runworker", "--id", "w1", "--processes", "1", "--threads", "1", "--no-coordinator"
    )
    process.wait_for("event=executor_started")
    return process


@pytest.fixture
def executor(worker):
    """The pid of the executor as it is now."""
    return wait_until(worker.executors, "an executor").popitem()[1]


def test_a_task_is_run_with_its_arguments_and_its_result_kept(queue, worker):
    task_id = queue.submit("echo", 1, "é\0", [None], kwargs={"self": {"queue": 2}})

    state = queue.wait_until_final(task_id)

    (attempt,) = state.attempts
    assert state.status == Status.COMPLETED
    assert attempt.result == {"args": [1, "é\0", [None]], "kwargs": {"self": {"queue": 2}}}
    assert (attempt.number, attempt.worker, attempt.outcome) == (1, "w1", "completed")
    assert attempt.ended_us >= attempt.started_us > 0
    assert (state.starts, state.failures, state.crashes) == (1, 0, 0)


def test_a_worker_says_what_it_is_and_does(queue, worker):
    def said():
        found = queue.broker.fleet.workers()["w1"].said
        return found if found["processed"] else None

    queue.wait_until_final(queue.submit("echo"))

    found = wait_until(said, "a count of processed tasks")
    assert found["pid"] == worker.pid
    assert (found["status"], found["slots"], found["queues"]) == ("active", 1, ["default"])


def test_systemexit_is_a_failure_of_the_task_and_not_the_end_of_the_executor(
    queue, worker, executor
):
    states = [queue.wait_until_final(queue.submit(name)) for name in ("leave", "interrupt")]

    assert [state.status for state in states] == [Status.FAILED, Status.FAILED]
    assert [s.attempts[0].error_type for s in states] == [
        "builtins.SystemExit",
        "builtins.KeyboardInterrupt",
    ]
    assert psutil.pid_exists(executor)


def test_coroutine_tasks_run_at_once_in_one_executor(queue, worker, tmp_path):
    path = str(tmp_path / "met")

    ids = [queue.submit("meet", path, 20) for _ in range(20)]

    assert {queue.wait_until_final(i).status for i in ids} == {Status.COMPLETED}


def test_a_failed_attempt_is_followed_by_the_next_and_all_are_kept(queue, worker, tmp_path):
    task_id = queue.submit("fail_until", str(tmp_path / "count"), 2)

    state = queue.wait_until_final(task_id)

    assert state.status == Status.COMPLETED
    assert [a.number for a in state.attempts] == [1, 2, 3]
    assert [a.outcome for a in state.attempts] == ["retrying", "retrying", "completed"]
    assert state.attempts[0].error == "Failure 1 of 2."
    assert "in fail_until\n" in state.attempts[0].traceback
    assert "runner.py" not in state.attempts[0].traceback


@pytest.mark.parametrize(
    ("options", "starts"),
    [
        ({}, 3),
        ({"retry_on": [ConnectionError]}, 3),
        ({"retry_on": ["tests.sample.tasks.Overloaded"]}, 3),
        ({"retry_on": [FileNotFoundError]}, 1),
        ({"give_up_on": [OSError]}, 1),
        ({"retry_on": [OSError], "give_up_on": ["ConnectionError"]}, 1),
    ],
)
def test_what_was_raised_decides_whether_there_is_another_attempt(queue, worker, options, starts):
    state = queue.wait_until_final(queue.submit("raise_overloaded", **options))

    assert (state.status, state.starts) == (Status.FAILED, starts)


def test_a_function_for_the_pause_that_breaks_costs_no_executor(queue, worker, executor):
    state = queue.wait_until_final(queue.submit("fail_with_an_odd_backoff"))

    assert (state.status, state.starts, state.crashes) == (Status.FAILED, 2, 0)
    assert wait_until(worker.executors, "an executor").popitem()[1] == executor


def test_a_task_that_no_tasks_module_has_is_run_too(queue, worker):
    (message,) = submit([TaskRequest(type=resolve("tests.sample.awkward.unlisted"), args=[7])])

    assert queue.wait_until_final(message.id).attempts[0].result == 7


def test_the_last_failed_attempt_is_the_end(queue, worker):
    task_id = queue.submit("raise_error", "Zu spät.", max_attempts=2, backoff=0.0)

    state = queue.wait_until_final(task_id)

    assert (state.status, state.failures, state.starts) == (Status.FAILED, 2, 2)
    assert [a.error for a in state.attempts] == ["Zu spät."] * 2


@pytest.mark.parametrize(
    ("name", "args", "error_type"),
    [
        ("bad_result", (), "builtins.TypeError"),
        ("big_result", (2_000_000,), "tasks_app.exceptions.ValueTooLarge"),
    ],
)
def test_a_result_that_cannot_be_kept_fails_the_task_for_good(
    queue, worker, name, args, error_type
):
    state = queue.wait_until_final(queue.submit(name, *args, max_attempts=5))

    assert (state.status, state.failures) == (Status.FAILED, 1)
    assert state.attempts[0].error_type == error_type


def test_a_task_of_an_unknown_type_is_given_back_and_not_failed(queue, worker):
    message = TaskMessage(id=str(uuid.uuid4()), type="from.the.future", submitted_us=now_us())
    queue.broker.submit(message)

    state = queue.wait_for(message.id, Status.SCHEDULED)

    assert (state.starts, state.failures, state.crashes) == (0, 0, 0)
    assert "from.the.future" in state.attempts[0].error
    queue.broker.cancel([message.id])


def test_the_first_attempt_sees_itself_as_the_first_and_as_running(queue, worker):
    task_id = queue.submit("context_attempt")

    assert queue.wait_until_final(task_id).attempts[0].result == [1, "RUNNING", task_id]


def test_a_killed_executor_is_replaced_and_only_what_it_ran_is_charged(
    queue, worker, executor, tmp_path
):
    gate = tmp_path / "gate"
    queue.broker.pause("default")
    running = queue.submit("block_until", str(gate), priority=50)
    behind = [queue.submit("echo") for _ in range(3)]
    queue.broker.resume("default")
    queue.wait_for(running, Status.PROCESSING)

    os.kill(executor, signal.SIGKILL)
    gate.touch()

    state = queue.wait_until_final(running)
    assert (state.status, state.crashes, state.failures) == (Status.COMPLETED, 1, 0)
    assert [a.outcome for a in state.attempts] == ["crashed", "completed"]
    assert state.attempts[0].error_type == "tasks_app.exceptions.WorkerLost"
    assert "SIGKILL" in state.attempts[0].error
    for state in map(queue.wait_until_final, behind):
        assert (state.status, state.crashes, state.starts) == (Status.COMPLETED, 0, 1)


def test_a_task_that_kills_its_process_three_times_is_given_up(queue, worker):
    innocent = [queue.submit("echo") for _ in range(5)]
    poison = queue.submit("die", max_attempts=10)
    innocent += [queue.submit("echo") for _ in range(5)]

    state = queue.wait_until_final(poison)

    assert (state.status, state.crashes, state.failures) == (Status.FAILED, 3, 0)
    assert [a.outcome for a in state.attempts] == ["crashed"] * 3
    states = [queue.wait_until_final(i) for i in innocent]
    assert {state.status for state in states} == {Status.COMPLETED}
    assert max(state.crashes for state in states) <= 1
