"""What a running worker is told: pause, resume, scale, restart, show stacks, cancel."""

import json
import uuid

import pytest

from tasks_app.states import Status
from workers_app.supervisor.guard import Watch
from workers_app.supervisor.lease import Lease
from workers_app.supervisor.orders import Orders

from ..conftest import wait_until
from .processes import is_alive

QUICK = {"TEST_DTPS": json.dumps({"TIMEOUT_GRACE_SECONDS": 0.5})}
FIXED = ("--min", "1", "--max", "1", "--processes", "1", "--threads", "1", "--no-coordinator")


@pytest.fixture
def gate(tmp_path):
    path = tmp_path / "gate"
    yield path
    path.touch()


@pytest.fixture
def worker(queue, start, request):
    """A worker with one slot that is told what the test says."""
    process = start("runworker", "--id", f"w-{uuid.uuid4().hex[:8]}", *FIXED, env=QUICK)
    process.id = process.words[2]
    wait_until(lambda: queue.said(process.id), "its registration")
    process.tell = lambda **order: queue.broker.fleet.order(process.id, order)
    yield process
    process.hurry()


def is_status(queue, worker, status):
    return wait_until(lambda: queue.said(worker.id).get("status") == status, status)


def test_a_paused_worker_finishes_what_runs_and_claims_nothing_until_it_is_resumed(
    queue, worker, gate
):
    running = queue.submit("block_until", str(gate), priority=50)
    queue.wait_for(running, Status.PROCESSING)
    behind = queue.submit("echo")

    worker.tell(order="pause")
    is_status(queue, worker, "paused")
    gate.touch()
    assert queue.wait_until_final(running).status == Status.COMPLETED
    wait_until(lambda: not worker.executors(), "the end of its executors")
    assert queue.state(behind).status == Status.PENDING

    worker.tell(order="resume")
    is_status(queue, worker, "active")
    state = queue.wait_until_final(behind)
    assert (state.status, state.starts) == (Status.COMPLETED, 1)


def test_a_worker_is_scaled_up_and_down_without_ending_what_runs(queue, worker, gate):
    blocked = [queue.submit("block_until", str(gate)) for _ in range(3)]

    worker.tell(order="scale", slots=3)
    for task_id in blocked:
        queue.wait_for(task_id, Status.PROCESSING)
    assert queue.said(worker.id)["bounds"] == [1, 3]
    worker.tell(order="scale", slots=1)
    worker.wait_for("event=told")
    gate.touch()

    states = [queue.wait_until_final(i) for i in blocked]
    assert {(s.status, s.starts, s.crashes) for s in states} == {(Status.COMPLETED, 1, 0)}
    wait_until(lambda: queue.said(worker.id)["slots"] == 1, "one slot")
    wait_until(lambda: len(worker.executors()) == 1, "one executor")


def test_a_pool_of_threads_is_scaled_by_its_threads(queue, start, gate):
    worker = start("runworker", "--id", "threaded", "--queues", "threads", "--processes", "1",
                   "--threads", "2", "--max", "2", "--no-coordinator")  # fmt: skip
    worker.wait_for("event=executor_started")
    blocked = [queue.submit("block_until", str(gate), queue="threads") for _ in range(5)]

    queue.broker.fleet.order("threaded", {"order": "scale", "slots": 5})
    for task_id in blocked:
        queue.wait_for(task_id, Status.PROCESSING)
    assert len(worker.executors()) == 1
    assert queue.said("threaded")["kind"] == "threads"

    queue.broker.fleet.order("threaded", {"order": "scale", "slots": 1})
    gate.touch()
    for task_id in blocked:
        assert queue.wait_until_final(task_id).status == Status.COMPLETED
    wait_until(lambda: queue.said("threaded")["slots"] == 1, "one slot")
    assert worker.stop() == 0


def test_a_worker_begins_anew_in_the_same_process_under_a_new_id(queue, worker, gate):
    worker.tell(order="restart")

    worker.wait_for("event=worker_restarts")
    new = wait_until(
        lambda: [w for w in queue.broker.fleet.workers() if w.startswith(f"{worker.id[:2]}")],
        "the new one",
    )
    (new,) = wait_until(
        lambda: [
            name
            for name, each in queue.broker.fleet.workers().items()
            if each.said["pid"] == worker.pid and name != worker.id
        ],
        "the new one",
    )
    assert not queue.has_registered(worker.id)
    assert queue.wait_until_final(queue.submit("echo")).attempts[0].worker == new
    assert worker.stop() == 0
    assert "Traceback" not in worker.log


@pytest.mark.parametrize(("name", "args"), [("block_until", None), ("hold_the_lock", [10])])
def test_the_stack_of_a_running_task_is_shown_whatever_it_does(queue, worker, gate, name, args):
    task_id = queue.submit(name, *(args or [str(gate)]))
    queue.wait_for(task_id, Status.PROCESSING)
    request = uuid.uuid4().hex

    worker.tell(order="stacks", request=request)
    answer = queue.broker.fleet.await_answer(request, 20)

    (shown,) = answer["tasks"]
    assert (answer["worker"], shown["id"]) == (worker.id, task_id)
    assert f"in {name}" in shown["stack"]
    assert shown["executor"].startswith(worker.id)
    assert shown["seconds"] > 0
    assert "courier" in answer["others"]
    queue.broker.cancel([task_id])


@pytest.mark.parametrize("name", ["obey", "stay"])
def test_a_cancelled_task_that_runs_is_stopped_and_its_slot_comes_back(queue, worker, gate, name):
    task_id = queue.submit(name, str(gate))
    queue.wait_for(task_id, Status.PROCESSING)

    queue.broker.cancel([task_id], by="a test")

    assert queue.wait_until_final(queue.submit("echo")).status == Status.COMPLETED
    state = queue.state(task_id)
    assert (state.status, state.failures, state.crashes) == (Status.CANCELLED, 0, 0)
    assert [a.outcome for a in state.attempts] == ["cancelled"]


def test_a_cancelled_task_that_has_not_started_never_does(queue, worker, gate):
    running = queue.submit("block_until", str(gate), priority=50)
    queue.wait_for(running, Status.PROCESSING)
    waiting = queue.submit("echo")

    queue.broker.cancel([waiting])
    gate.touch()

    assert queue.wait_until_final(running).status == Status.COMPLETED
    assert queue.state(waiting).status == Status.CANCELLED
    assert queue.state(waiting).starts == 0


def test_an_order_that_makes_no_sense_changes_nothing(queue, worker):
    for order in ({"order": "scale"}, {"order": "cancel", "executor": 1}, {"order": "dance"}):
        worker.tell(**order)

    wait_until(lambda: worker.log.count("event=bad_order") == 3, "three lines on that")
    assert queue.wait_until_final(queue.submit("echo")).status == Status.COMPLETED
    assert is_alive(worker.pid)


@pytest.fixture
def orders_of(queue):
    """The orders of a worker that is on the register, and what it was told: a list."""
    told = []
    lease = Lease(queue.broker, "told", ["default"], Watch())
    handlers = {"note": lambda order: told.append(order["n"]), "fail": lambda order: 1 / 0}
    queue.broker.fleet.announce("told", {})
    yield Orders(queue.broker, "told", lease, handlers), told
    queue.broker.fleet.resign("told")


def test_an_order_that_fails_keeps_no_other_back_and_is_not_tried_again(queue, orders_of, caplog):
    orders, told = orders_of
    for order in ({"order": "note", "n": 1}, {"order": "fail"}, {"order": "note", "n": 2}):
        queue.broker.fleet.order("told", order)

    orders.fetch()
    orders.fetch()

    assert told == [1, 2]
    assert caplog.text.count("event=order_failed") == 1


def test_a_long_list_of_orders_is_obeyed_at_one_ring(queue, orders_of):
    orders, told = orders_of
    for n in range(250):
        queue.broker.fleet.order("told", {"order": "note", "n": n})

    orders.fetch()

    assert told == list(range(250))
