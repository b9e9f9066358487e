"""The end of a worker: in order, at once, or by force. Nothing is lost, and nothing is left."""

import signal

import psutil
import pytest

from tasks_app.states import Status
from workers_app.crash import lost

from ..conftest import wait_until

ONE = ("--processes", "1", "--threads", "1", "--no-coordinator")


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
                   "--no-coordinator", env=leases)  # fmt: skip
    queue.wait_for(running, Status.PROCESSING)
    children = worker.executors()
    assert len(children) == 2

    worker.signal(signal.SIGKILL)
    worker.wait()
    wait_until(lambda: not any(map(psutil.pid_exists, children.values())), "the children's end")
    wait_until(lambda: queue.broker.reap("lost", reason=lost("lost", "Silent.")), "the lease's end")

    state = queue.state(running)
    assert (state.status, state.crashes) == (Status.PENDING, 1)
    gate.touch()
    start("runworker", "--id", "heir", *ONE)
    state = queue.wait_until_final(running)
    assert [a.worker for a in state.attempts] == ["lost", "heir"]
