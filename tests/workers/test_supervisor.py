"""What a supervisor does for an executor that cannot help itself."""

import pytest

from tasks_app.broker import connection
from tasks_app.states import Status
from workers_app.board import Board
from workers_app.control import PoolConfig
from workers_app.crash import lost
from workers_app.exchange import Exchanger
from workers_app.lanes import Lane
from workers_app.recovery import Loss
from workers_app.seat import Child
from workers_app.supervisor import Supervisor

EXECUTOR = "w8:0:abc"


@pytest.fixture
def supervisor(queue):
    config = PoolConfig(pool_size=1, max_workers=1)
    return Supervisor("w8", config, grace_seconds=0, with_coordinator=False)


@pytest.fixture
def claimed(queue, supervisor):
    """Four tasks in the hands of an executor, the first of which runs for long."""
    queue.broker.fleet.announce("w8", {}, executors=[EXECUTOR])
    ids = [queue.submit("echo", priority=50 - n) for n in range(4)]
    board = Board()
    exchanger = Exchanger(queue.broker, EXECUTOR, "w8", board)
    answer, slots = exchanger.exchange(Lane(0, ["default"]), 4)
    assert [task.message.id for task in answer.claimed] == ids
    board.start(slots[0])
    yield Child(0, EXECUTOR, board), ids
    queue.broker.reap("w8", EXECUTOR, reason=lost("w8", ""))
    queue.broker.cancel(ids)
    queue.broker.fleet.resign("w8")
    board.close()


def test_what_waits_behind_a_task_that_does_not_move_goes_back(queue, supervisor, claimed):
    child, ids = claimed

    supervisor._look_at(child)
    assert {queue.state(i).status for i in ids} == {Status.ASSIGNED}
    supervisor._look_at(child)

    states = [queue.state(i) for i in ids]
    assert [s.status for s in states] == [Status.PROCESSING] + [Status.PENDING] * 3
    assert [s.starts for s in states] == [1, 0, 0, 0]
    assert not child.board.start(1)


def test_a_dead_executors_started_task_alone_is_charged(queue, supervisor, claimed):
    child, ids = claimed

    supervisor.recovery.of_dead(
        Loss(EXECUTOR, lost("w8", "It died."), child.board.began(), is_interrupted=False)
    )

    states = [queue.state(i) for i in ids]
    assert {s.status for s in states} == {Status.PENDING}
    assert [s.crashes for s in states] == [1, 0, 0, 0]
    assert [a.error for a in states[0].attempts] == ["It died."]


def test_an_interrupted_executors_tasks_are_given_back_uncounted(queue, supervisor, claimed):
    child, ids = claimed
    queue.broker.start(EXECUTOR, ids[:1])

    supervisor.recovery.of_dead(
        Loss(EXECUTOR, lost("w8", "It died."), child.board.began(), is_interrupted=True)
    )

    states = [queue.state(i) for i in ids]
    assert {s.status for s in states} == {Status.PENDING}
    assert {(s.crashes, s.failures) for s in states} == {(0, 0)}
    assert [a.outcome for a in states[0].attempts] == ["pending"]


def test_losses_are_kept_until_the_server_is_back(queue, server, supervisor, claimed):
    child, ids = claimed
    server.kill()
    connection.close_all()
    loss = Loss(EXECUTOR, lost("w8", "It died."), child.board.began(), is_interrupted=False)

    supervisor.recovery.of_dead(loss)
    assert not supervisor.recovery.is_done
    server.start()
    supervisor.recovery.tick()

    assert supervisor.recovery.is_done
    assert [queue.state(i).crashes for i in ids] == [1, 0, 0, 0]


def test_an_order_to_stop_drains_like_a_signal_and_an_unknown_one_does_nothing(supervisor):
    supervisor._obey({"order": "of a newer version"})
    assert supervisor._said()["status"] == "active"

    supervisor._obey({"order": "stop"})

    assert supervisor._said()["status"] == "stopping"
    assert supervisor._is_over()  # it has no children here
