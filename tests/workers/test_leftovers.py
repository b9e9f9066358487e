"""Results that a dead executor had written down are delivered, or refused if they are stale."""

import json
import os

import pytest

from tasks_app.broker.answers import Settlement
from tasks_app.conf import conf
from tasks_app.message import Attempt
from tasks_app.states import Status
from workers_app.control import PoolConfig
from workers_app.executor.board import Board
from workers_app.executor.spool import Spool, spool_directory, spool_path
from workers_app.supervisor.crash import lost
from workers_app.supervisor.recovery import Loss
from workers_app.supervisor.supervisor import Supervisor

from ..conftest import wait_until

EXECUTOR = "w9:0:abc"


@pytest.fixture
def supervisor(queue, settings, tmp_path):
    settings.DTPS = {**settings.DTPS, "SPOOL_DIR": str(tmp_path)}
    config = PoolConfig(pool_size=1, max_workers=1)
    return Supervisor("w9", config, grace_seconds=0, with_coordinator=False)


@pytest.fixture
def done(queue, supervisor):
    """Two tasks in the hands of an executor, both run, the first of them written down only."""
    queue.broker.fleet.announce("w9", {}, executors=[EXECUTOR])
    ids = [queue.submit("echo", priority=50 - n) for n in range(2)]
    board = Board()
    answer = queue.broker.exchange(EXECUTOR, "w9", ["default"], limit=2)
    slots = board.put([task.message.id for task in answer.claimed], answer.token)
    for slot in slots:
        board.start(slot)
        board.end(slot)
    line = Attempt(outcome="completed", result=42).encode()
    outcome = Settlement(id=ids[0], token=answer.token, outcome="completed", line=line)
    spool = Spool(spool_directory(), EXECUTOR, conf().spool_max_bytes)
    spool.append([(0, outcome)])
    os.close(spool._file)  # as the end of its process does
    yield ids, board
    queue.broker.reap("w9", EXECUTOR, reason=lost("w9", ""))
    queue.broker.cancel(ids)
    queue.broker.fleet.resign("w9")
    board.close()


def test_they_are_delivered_before_the_rest_is_taken_back(queue, supervisor, done):
    ids, board = done

    supervisor.recovery.of_dead(Loss(EXECUTOR, lost("w9", "It died."), board.began()))

    states = [queue.state(i) for i in ids]
    assert [(s.status, s.crashes) for s in states] == [
        (Status.COMPLETED, 0),
        (Status.PENDING, 1),
    ]
    assert not spool_path(EXECUTOR).exists()


def test_what_came_too_late_is_refused(queue, supervisor, done):
    ids, board = done
    queue.broker.reap("w9", EXECUTOR, reason=lost("w9", "Silent."))

    supervisor.recovery.of_dead(Loss(EXECUTOR, lost("w9", "It died."), board.began()))

    assert {queue.state(i).status for i in ids} == {Status.PENDING}
    assert not spool_path(EXECUTOR).exists()


def test_a_worker_delivers_what_others_left_on_its_host_but_not_what_the_living_hold(
    queue, supervisor, done
):
    ids, _ = done
    alive = Spool(spool_directory(), EXECUTOR, conf().spool_max_bytes)
    alive.append([])
    supervisor.recovery.of_others()
    assert queue.state(ids[0]).status == Status.ASSIGNED

    os.close(alive._file)  # as the end of its process does
    supervisor.recovery.of_others()

    assert queue.state(ids[0]).status == Status.COMPLETED
    assert not spool_path(EXECUTOR).exists()


def test_a_worker_that_starts_delivers_what_was_left_before(queue, done, start, tmp_path):
    ids, _ = done
    env = {"TEST_DTPS": json.dumps({"SPOOL_DIR": str(tmp_path)})}

    worker = start("runworker", "--id", "deliverer", "--no-coordinator", env=env)

    state = queue.wait_for(ids[0], Status.COMPLETED)
    assert [a.result for a in state.attempts] == [42]
    wait_until(lambda: not spool_path(EXECUTOR).exists(), "the end of the file")
    assert worker.stop() == 0
