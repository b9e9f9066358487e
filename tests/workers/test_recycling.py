"""Executors that have done their share are replaced, between tasks only."""

import pytest

from tasks_app.states import Status

from ..conftest import wait_until
from .processes import is_alive

ONE = ("--processes", "1", "--threads", "1", "--min", "1", "--max", "1", "--no-coordinator")
QUICK = {"TEST_RENEW_SECONDS": "0.2"}


@pytest.mark.parametrize(
    ("bound", "name", "args"),
    [(("--max-tasks", "5"), "echo", ()), (("--max-memory", "250"), "grow", (60,))],
)
def test_an_executor_is_replaced_at_its_bound_and_no_task_notices(queue, start, bound, name, args):
    worker = start("runworker", "--id", f"recycled-{name}", *ONE, *bound, env=QUICK)
    worker.wait_for("event=executor_started")
    (first,) = worker.executors().values()

    def is_replaced():
        state = queue.wait_until_final(queue.submit(name, *args))
        assert (state.status, state.starts, state.crashes) == (Status.COMPLETED, 1, 0)
        return not is_alive(first)

    wait_until(is_replaced, "the end of the first executor")
    wait_until(lambda: queue.said(f"recycled-{name}").get("recycled"), "a count of it")
    assert worker.stop() == 0


def test_what_runs_when_the_bound_is_reached_finishes(queue, start, tmp_path):
    gate = tmp_path / "gate"
    worker = start("runworker", "--id", "bounded", "--processes", "1", "--threads", "2",
                   "--min", "1", "--max", "2", "--no-coordinator", "--max-tasks", "3",
                   env=QUICK)  # fmt: skip
    worker.wait_for("event=executor_started")
    (first,) = worker.executors().values()
    long = queue.submit("block_until", str(gate))
    queue.wait_for(long, Status.PROCESSING)

    for _ in range(10):
        queue.wait_until_final(queue.submit("echo"))
    worker.wait_for("event=recycling")
    assert is_alive(first)
    gate.touch()

    state = queue.wait_until_final(long)
    assert (state.status, state.starts, len(state.attempts)) == (Status.COMPLETED, 1, 1)
    wait_until(lambda: not is_alive(first), "the end of the first executor")
    assert worker.stop() == 0


def test_a_process_that_does_not_hear_that_it_shall_leave_is_ended_once_it_is_idle(
    queue, start, tmp_path
):
    path = tmp_path / "deaf"
    worker = start("runworker", "--id", "deaf", *ONE, "--max-tasks", "1", env=QUICK)
    worker.wait_for("event=executor_started")
    (first,) = worker.executors().values()
    deaf = queue.submit("be_deaf", str(path))
    wait_until(path.exists, "its word")

    (tmp_path / "deaf.end").touch()

    assert queue.wait_until_final(deaf).status == Status.COMPLETED
    states = [queue.wait_until_final(queue.submit("echo")) for _ in range(5)]
    assert {(s.status, s.crashes) for s in states} == {(Status.COMPLETED, 0)}
    wait_until(lambda: not is_alive(first), "the end of the deaf one")
    assert worker.stop() == 0
