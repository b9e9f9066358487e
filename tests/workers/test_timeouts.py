"""A task that runs too long: asked to end, then ended for certain, with all that it started."""

import json

import pytest

from tasks_app.states import Status

from ..conftest import wait_until
from .processes import is_alive

TIMEOUT = "tasks_app.exceptions.TaskTimeout"
QUICK = {"TEST_DTPS": json.dumps({"TIMEOUT_GRACE_SECONDS": 0.5})}
FIXED = ("--min", "1", "--no-coordinator")


@pytest.fixture(scope="module")
def processes(start):
    """A worker with one slot a process."""
    words = ("--processes", "1", "--threads", "1", "--max", "1")
    worker = start("runworker", "--id", "slots", *words, *FIXED, env=QUICK)
    worker.wait_for("event=executor_started")
    return worker


@pytest.fixture(scope="module")
def threads(start):
    """A worker with three slots in one process, for a queue of its own."""
    words = ("--queues", "threads", "--processes", "1", "--threads", "3", "--max", "3")
    worker = start("runworker", "--id", "threads", *words, *FIXED, env=QUICK)
    worker.wait_for("event=executor_started")
    return worker


@pytest.fixture
def gate(tmp_path):
    """A file that ends what waits for it, at the latest when the test is over."""
    path = tmp_path / "gate"
    yield path
    path.touch()


def pid_of(worker):
    return wait_until(worker.executors, "an executor").popitem()[1]


def test_a_task_is_told_in_time_and_its_process_lives_on(queue, processes, gate):
    executor = pid_of(processes)

    state = queue.wait_until_final(queue.submit("obey", str(gate), timeout=0.3))

    (attempt,) = state.attempts
    assert (state.status, attempt.error_type) == (Status.FAILED, TIMEOUT)
    assert "by force" not in attempt.error
    assert is_alive(executor)


@pytest.mark.parametrize(("name", "args"), [("stay", None), ("hold_the_lock", [30])])
def test_a_task_that_does_not_listen_is_ended_by_force_and_its_slot_comes_back(
    queue, processes, gate, name, args
):
    executor = pid_of(processes)

    state = queue.wait_until_final(queue.submit(name, *(args or [str(gate)]), timeout=0.3))

    (attempt,) = state.attempts
    assert (state.status, state.failures, state.crashes) == (Status.FAILED, 1, 0)
    assert attempt.error_type == TIMEOUT
    assert "limit of 0.3 s" in attempt.error
    assert "by force" in attempt.error
    assert attempt.ended_us > attempt.started_us > 0
    assert attempt.memory_bytes > 0
    assert queue.wait_until_final(queue.submit("echo")).status == Status.COMPLETED
    assert not is_alive(executor)


def test_a_timeout_is_retried_by_the_rule_of_any_failure(queue, processes, gate):
    task_id = queue.submit("stay", str(gate), timeout=0.2, max_attempts=2, backoff=0.0)

    state = queue.wait_until_final(task_id)

    assert (state.status, state.failures, state.starts) == (Status.FAILED, 2, 2)
    assert [a.outcome for a in state.attempts] == ["retrying", "failed"]
    assert [a.number for a in state.attempts] == [1, 2]


def test_what_a_task_started_ends_with_it(queue, processes, tmp_path, gate):
    path = tmp_path / "pids"

    queue.wait_until_final(queue.submit("start_others", str(path), timeout=1.5))

    others = [int(line) for line in path.read_text().split()]
    assert len(others) == 2
    wait_until(lambda: not any(map(is_alive, others)), "the end of both")


@pytest.mark.parametrize("name", ["stay", "stay_in_a_coroutine"])
def test_in_a_pool_of_threads_the_slot_comes_back_and_the_others_finish(
    queue, threads, gate, tmp_path, name
):
    executor = pid_of(threads)
    other_gate = tmp_path / "other"
    other = queue.submit("block_until", str(other_gate), queue="threads")
    queue.wait_for(other, Status.PROCESSING)
    stuck = queue.submit(name, str(gate), timeout=0.3, queue="threads")

    state = queue.wait_until_final(stuck)
    assert (state.status, state.attempts[0].error_type) == (Status.FAILED, TIMEOUT)
    full = [queue.submit("block_until", str(other_gate), queue="threads") for _ in range(3)]
    for task_id in full:  # as many as there are slots, while the old process still works
        queue.wait_for(task_id, Status.PROCESSING)
    assert is_alive(executor)

    other_gate.touch()
    state = queue.wait_until_final(other)
    assert (state.status, state.starts, state.crashes) == (Status.COMPLETED, 1, 0)
    wait_until(lambda: not is_alive(executor), "the end of the process with the stuck task")
    assert queue.state(stuck).starts == 1


def test_who_cannot_get_done_since_another_holds_the_lock_goes_back_uncharged(queue, threads, gate):
    executor = pid_of(threads)
    other = queue.submit("block_until", str(gate), queue="threads")
    queue.wait_for(other, Status.PROCESSING)

    state = queue.wait_until_final(queue.submit("hold_the_lock", 30, timeout=0.3, queue="threads"))
    wait_until(lambda: not is_alive(executor), "the end of the process")
    gate.touch()

    assert (state.status, state.attempts[0].error_type) == (Status.FAILED, TIMEOUT)
    state = queue.wait_until_final(other)
    assert (state.status, state.crashes, state.failures) == (Status.COMPLETED, 0, 0)
    assert [a.outcome for a in state.attempts] == ["pending", "completed"]


def test_coroutines_that_cannot_go_on_since_another_keeps_their_loop_go_back_uncharged(
    queue, threads, gate, tmp_path
):
    executor = pid_of(threads)
    other_gate = tmp_path / "other"
    other = queue.submit("obey_in_a_coroutine", str(other_gate), queue="threads")
    queue.wait_for(other, Status.PROCESSING)

    state = queue.wait_until_final(
        queue.submit("keep_the_loop", str(gate), timeout=0.3, queue="threads")
    )
    wait_until(lambda: not is_alive(executor), "the end of the process")
    other_gate.touch()

    assert (state.status, state.attempts[0].error_type) == (Status.FAILED, TIMEOUT)
    state = queue.wait_until_final(other)
    assert (state.status, state.crashes, state.failures) == (Status.COMPLETED, 0, 0)
    assert [a.outcome for a in state.attempts] == ["pending", "completed"]
