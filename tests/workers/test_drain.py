"""The end of a worker: in order, at once, or by force. Nothing is lost, and nothing is left."""

import re
import resource
import signal
import time
from pathlib import Path

import pytest

from tasks_app.states import Status
from workers_app.supervisor.crash import lost

from ..conftest import wait_until
from .processes import is_alive

ONE = ("--processes", "1", "--threads", "1", "--min", "1", "--max", "1", "--no-coordinator")


@pytest.fixture
def blocked(queue, tmp_path):
    """A task that runs until its gate is there."""
    gate = tmp_path / "gate"
    task_id = queue.submit("block_until", str(gate), priority=50)
    yield task_id, gate
    gate.touch()
    queue.broker.cancel([task_id])


def test_a_drain_finishes_what_runs_and_gives_the_rest_back(queue, start, blocked):
    running, gate = blocked
    behind = [queue.submit("echo") for _ in range(3)]
    worker = start("runworker", "--id", "drained", *ONE)
    queue.wait_for(running, Status.PROCESSING)

    worker.signal(signal.SIGTERM)
    worker.wait_for("event=draining")
    states = [queue.wait_for(i, Status.PENDING) for i in behind]
    gate.touch()

    assert worker.wait() == 0
    assert queue.state(running).status == Status.COMPLETED
    assert {(s.starts, s.failures, s.crashes) for s in states} == {(0, 0, 0)}
    assert not queue.has_registered("drained")
    assert "Traceback" not in worker.log
    queue.broker.cancel(behind)


def test_a_second_signal_interrupts_and_counts_nothing(queue, start, blocked):
    running, _ = blocked
    worker = start("runworker", "--id", "hurry", *ONE)
    queue.wait_for(running, Status.PROCESSING)

    worker.signal(signal.SIGINT)
    worker.wait_for("event=draining")
    worker.signal(signal.SIGTERM)

    assert worker.wait() == 0
    state = queue.state(running)
    assert (state.status, state.failures, state.crashes) == (Status.PENDING, 0, 0)
    assert [a.outcome for a in state.attempts] == ["pending"]
    assert not queue.has_registered("hurry")


def test_a_killed_supervisor_takes_its_children_along_and_its_tasks_come_back(
    queue, start, blocked
):
    running, gate = blocked
    leases = {"TEST_LEASE_SECONDS": "3", "TEST_RENEW_SECONDS": "0.5"}
    worker = start("runworker", "--id", "lost", "--processes", "2", "--threads", "1",
                   "--min", "2", "--max", "2", "--no-coordinator", env=leases)  # fmt: skip
    queue.wait_for(running, Status.PROCESSING)
    children = worker.executors()
    assert len(children) == 2

    worker.signal(signal.SIGKILL)
    worker.wait()
    wait_until(lambda: not any(map(is_alive, children.values())), "the children's end")
    wait_until(lambda: queue.broker.reap("lost", reason=lost("lost", "Silent.")), "the lease's end")

    state = queue.state(running)
    assert (state.status, state.crashes) == (Status.PENDING, 1)
    gate.touch()
    start("runworker", "--id", "heir", *ONE)
    state = queue.wait_until_final(running)
    assert [a.worker for a in state.attempts] == ["lost", "heir"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP])
def test_every_signal_that_ends_a_worker_ends_it_in_order(queue, start, number):
    worker = start("runworker", "--id", f"told-{number}", *ONE, preexec_fn=hear_all)
    worker.wait_for("event=executor_started")

    worker.signal(number)

    assert worker.wait() == 0
    assert not queue.has_registered(f"told-{number}")
    assert "Traceback" not in worker.log
    assert not worker.family()


@pytest.mark.parametrize("moment", range(12))
def test_a_signal_at_any_moment_ends_a_worker_without_a_traceback(start, moment):
    number = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT][moment % 3]
    worker = start("runworker", "--id", f"early-{moment}", *ONE, "--grace", "1")
    wait_until(lambda: handles(worker.pid, number), "the first line of our code")
    time.sleep(0.12 * moment)  # not to wait for something: to come at any moment

    worker.signal(number)

    assert worker.wait() == 0
    assert "Traceback" not in worker.log
    assert not worker.family()


def test_a_rolling_deploy_loses_nothing_and_fails_nothing(queue, start, tmp_path):
    path = str(tmp_path / "record")
    ids, n = [], 0
    worker = start("runworker", "--id", "deploy-0", *ONE)
    for generation in range(1, 4):
        ids += [queue.submit("record", path, n + i) for i in range(100)]
        n += 100
        successor = start("runworker", "--id", f"deploy-{generation}", *ONE)
        successor.wait_for("event=executor_started")
        assert worker.stop() == 0
        assert "Traceback" not in worker.log
        worker = successor

    states = [queue.wait_until_final(i) for i in ids]

    assert {s.status for s in states} == {Status.COMPLETED}
    assert {(s.failures, s.crashes, s.starts) for s in states} == {(0, 0, 1)}
    done = [int(line) for line in (tmp_path / "record").read_text().split()]
    assert sorted(done) == list(range(n))
    assert worker.stop() == 0


def test_a_worker_that_has_no_room_for_files_claims_nothing_and_ends_in_order(queue, start):
    task_id = queue.submit("echo")
    pool = ("--processes", "40", "--threads", "1", "--min", "40", "--max", "40")
    worker = start("runworker", "--id", "cramped", *pool, "--no-coordinator", preexec_fn=few_files)
    worker.wait_for("event=fork_failed")

    worker.signal(signal.SIGTERM)

    assert worker.wait() == 0, worker.log
    assert "Traceback" not in worker.log
    state = queue.state(task_id)
    assert state.crashes == 0
    queue.broker.cancel([task_id])


def test_whoever_hurries_a_worker_again_and_again_makes_no_failure_of_its_end(queue, start):
    worker = start("runworker", "--id", "nagged", *ONE)
    worker.wait_for("event=executor_started")

    while worker.is_alive:
        worker.signal(signal.SIGTERM)
        time.sleep(0.001)  # not to wait for something: so that it gets to do anything else

    assert worker.wait() == 0
    assert not queue.has_registered("nagged")


def handles(pid, number):
    """Whether a process has a handler for a signal; True where that cannot be known."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True
    caught = int(re.search(r"SigCgt:\s*(\w+)", text)[1], 16)
    return bool(caught >> (number - 1) & 1)


def hear_all():
    """Undo what the tests' own parent may have chosen to ignore: a worker leaves SIGHUP at that."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def few_files():
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
