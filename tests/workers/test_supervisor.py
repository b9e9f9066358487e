"""What a supervisor does for an executor that cannot help itself."""

import time

import pytest

from tasks_app.broker import connection
from tasks_app.broker.answers import Settlement
from tasks_app.message import Attempt
from tasks_app.states import Status
from workers_app.control import PoolConfig
from workers_app.executor.blackbox import BlackBox
from workers_app.executor.board import TIMED_OUT, Board
from workers_app.supervisor.crash import INTERRUPTED, lost
from workers_app.supervisor.overrun import Overrun
from workers_app.supervisor.recovery import Loss
from workers_app.supervisor.seat import Child
from workers_app.supervisor.supervisor import Supervisor

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
    answer = queue.broker.exchange(EXECUTOR, "w8", ["default"], limit=4)
    assert [task.message.id for task in answer.claimed] == ids
    slots = board.put(ids, answer.token)
    board.start(slots[0])
    box = BlackBox()
    yield Child(0, EXECUTOR, board, box), ids
    queue.broker.reap("w8", EXECUTOR, reason=lost("w8", ""))
    queue.broker.cancel(ids)
    queue.broker.fleet.resign("w8")
    board.close()
    box.close()


def a_loss(child, **options):
    board = child.board
    return Loss(child.executor, lost("w8", "It died."), board.began(), board.spared(), **options)


def test_what_waits_behind_a_task_that_does_not_move_goes_back_after_a_while(
    queue, supervisor, claimed
):
    child, ids = claimed
    child.look(100.0)

    supervisor._look_at(child, 101.0)
    states = [queue.state(i) for i in ids]
    assert [s.status for s in states] == [Status.PROCESSING] + [Status.ASSIGNED] * 3
    supervisor._look_at(child, 100.0 + 2 * 1.0 + 0.1)

    states = [queue.state(i) for i in ids]
    assert [s.status for s in states] == [Status.PROCESSING] + [Status.PENDING] * 3
    assert [s.starts for s in states] == [1, 0, 0, 0]
    assert not child.board.start(1)


def test_what_moves_is_left_alone(queue, supervisor, claimed):
    child, ids = claimed
    child.look(100.0)
    child.board.end(next(r.slot for r in child.board.attempts()))

    child.look(200.0)
    supervisor._look_at(child, 200.5)

    assert {queue.state(i).status for i in ids} == {Status.ASSIGNED}


def test_a_dead_executors_started_task_alone_is_charged(queue, supervisor, claimed):
    child, ids = claimed

    supervisor.recovery.of_dead(a_loss(child))

    states = [queue.state(i) for i in ids]
    assert {s.status for s in states} == {Status.PENDING}
    assert [s.crashes for s in states] == [1, 0, 0, 0]
    assert [a.error for a in states[0].attempts] == ["It died."]


@pytest.mark.parametrize("is_published", [False, True])
def test_what_had_ended_when_another_killed_the_executor_is_suspect_and_not_charged(
    queue, supervisor, claimed, is_published
):
    child, ids = claimed
    (first,) = child.board.attempts()
    child.board.end(first.slot)
    child.board.start(first.slot - 1)  # they are handed out from the last to the first
    assert list(child.board.running()) == [ids[1]]
    if is_published:
        queue.broker.start(EXECUTOR, ids[:2])

    supervisor.recovery.of_dead(a_loss(child))

    states = [queue.state(i) for i in ids]
    assert {s.status for s in states} == {Status.PENDING}
    assert [s.crashes for s in states] == [0, 1, 0, 0]
    assert [s.is_suspect for s in states] == [True, True, False, False]
    (attempt,) = states[0].attempts
    assert (attempt.outcome, attempt.worker) == ("pending", "w8")
    assert attempt.error.startswith("It had ended") and attempt.error.endswith("It died.")


def test_what_had_ended_is_charged_if_nothing_else_ran_so_that_late_poison_is_found(
    queue, supervisor, claimed
):
    child, ids = claimed
    child.board.end(next(r.slot for r in child.board.attempts()))

    supervisor.recovery.of_dead(a_loss(child))

    assert [queue.state(i).crashes for i in ids] == [1, 0, 0, 0]


def test_an_interrupted_executors_tasks_are_given_back_uncounted(queue, supervisor, claimed):
    child, ids = claimed
    queue.broker.start(EXECUTOR, ids[:1])

    supervisor.recovery.of_dead(a_loss(child, uncharged=INTERRUPTED))

    states = [queue.state(i) for i in ids]
    assert {s.status for s in states} == {Status.PENDING}
    assert {(s.crashes, s.failures) for s in states} == {(0, 0)}
    assert [(a.outcome, a.error) for a in states[0].attempts] == [("pending", INTERRUPTED)]


def test_an_executor_that_was_killed_for_a_time_limit_fails_that_task_alone(
    queue, supervisor, claimed
):
    child, ids = claimed
    (running,) = child.board.attempts()
    overrun = Overrun("w8", running._replace(timeout_ms=2000), "its last words")

    supervisor.recovery.of_dead(a_loss(child, uncharged="Held up.", overruns=[overrun]))

    states = [queue.state(i) for i in ids]
    assert [s.status for s in states] == [Status.FAILED] + [Status.PENDING] * 3
    assert [(s.crashes, s.failures) for s in states] == [(0, 1)] + [(0, 0)] * 3
    (attempt,) = states[0].attempts
    assert attempt.error_type == "tasks_app.exceptions.TaskTimeout"
    assert "limit of 2 s" in attempt.error
    assert attempt.traceback == "its last words"


def test_losses_are_kept_until_the_server_is_back(queue, server, supervisor, claimed):
    child, ids = claimed
    server.kill()
    connection.close_all()

    supervisor.recovery.of_dead(a_loss(child))
    assert not supervisor.recovery.is_done
    server.start()
    supervisor.recovery.tick()
    assert not supervisor.recovery.is_done  # only the next renewal tries whether it is back
    supervisor.lease.renew({}, [])
    supervisor.recovery.tick()

    assert supervisor.recovery.is_done
    assert [queue.state(i).crashes for i in ids] == [1, 0, 0, 0]


def test_an_overrun_is_settled_once_and_by_its_token_only(queue, supervisor, claimed):
    child, ids = claimed
    (running,) = child.board.attempts()
    line = Attempt(outcome="completed").encode()
    done = Settlement(id=ids[0], token=running.token, outcome="completed", line=line)
    queue.broker.finish(EXECUTOR, [done])

    supervisor.recovery.of_overrun(EXECUTOR, Overrun("w8", running._replace(timeout_ms=10)))

    assert supervisor.recovery.is_done
    assert queue.state(ids[0]).status == Status.COMPLETED
    assert len(queue.state(ids[0]).attempts) == 1


@pytest.fixture
def told(monkeypatch):
    """The signals that were sent to executors, none of which exists here."""
    sent = []
    monkeypatch.setattr(Child, "tell", lambda child, number: sent.append(number))
    monkeypatch.setattr(Child, "kill", lambda child, why: setattr(child, "killed", why))
    return sent


def limited(child, ids, seconds=0.001):
    """Give the running task a limit, as if it had been put on the board with one."""
    board, token = Board(), next(iter(child.board.running().values()))
    (slot,) = board.put(ids[:1], token, [int(seconds * 1000)])
    board.start(slot)
    child.board.close()
    child.board = board
    time.sleep(seconds)  # so that it is over
    return slot, token


def test_a_task_over_its_limit_is_asked_once_and_ended_when_its_grace_is_over(
    supervisor, claimed, told
):
    child, ids = claimed
    limited(child, ids)

    supervisor.deadlines.tick([child], 100.0)
    supervisor.deadlines.tick([child], 100.0)
    assert [r.asked for r in child.board.attempts()] == [TIMED_OUT]
    assert len(told) == 1
    assert not child.killed
    supervisor.deadlines.tick([child], time.monotonic() + 5.1)

    assert child.killed
    (overrun,) = supervisor.deadlines.overruns_of(child, 1234)
    assert (overrun.id, overrun.peak_bytes) == (ids[0], 1234)
    assert supervisor.deadlines.overruns_of(child, 1234) == []


def test_a_task_that_ends_within_its_grace_is_left_in_peace(supervisor, claimed, told):
    child, ids = claimed
    slot, _ = limited(child, ids)
    supervisor.deadlines.tick([child], 100.0)

    child.board.end(slot)
    supervisor.deadlines.tick([child], time.monotonic() + 100)

    assert not child.killed
    assert supervisor.deadlines.overruns_of(child, 0) == []


def test_an_unknown_order_does_nothing_and_one_to_stop_drains_like_a_signal(supervisor):
    supervisor.orders.obey([{"order": "of a newer version"}, {"no": "order"}])
    assert supervisor.announcement.said(is_stopping=False)["status"] == "active"

    supervisor.orders.obey([{"order": "stop"}])

    assert supervisor._is_over()  # it has no children here


def test_a_worker_that_was_told_to_restart_does_not_once_a_signal_says_stop(supervisor):
    supervisor.orders.obey([{"order": "restart"}])
    assert supervisor.is_to_restart

    supervisor.stop()

    assert not supervisor.is_to_restart
