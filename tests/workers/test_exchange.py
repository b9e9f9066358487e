"""An executor's side of an offer: whatever wakes it, no task that it was handed is left behind."""

import pytest

from tasks_app.broker import keys
from tasks_app.broker.broker import IDLE_MS
from workers_app.executor.board import Board
from workers_app.executor.exchange import Exchanger
from workers_app.executor.lanes import Lane
from workers_app.executor.spool import Spool
from workers_app.executor.spooler import Spooler

from ..lua.world import claim, executor_of, ids_of, submitted

LANE = Lane(0, ["default"])


@pytest.fixture
def spooler(tmp_path):
    return Spooler(Spool(tmp_path / "spools" / "one", "w1:0:aa", 10_000), [LANE])


@pytest.fixture
def board():
    board = Board()
    yield board
    board.close()


@pytest.fixture
def exchanger(broker, board, spooler):
    """Idle, with an offer."""
    exchanger = Exchanger(broker, executor_of(broker), "w1", board, spooler)
    exchanger.exchange(LANE, 1, IDLE_MS, "offered")
    return exchanger


def test_a_task_that_came_with_the_wake_up_is_taken(broker, board, exchanger):
    (one,) = submitted(broker)

    answer, slots = exchanger.accept(LANE, broker.wait(exchanger.executor, 60))

    assert (ids_of(answer), len(slots)) == ([one.id], 1)
    assert board.held() == {one.id: "offered"}


@pytest.mark.parametrize("was_woken", [True, False])
def test_a_task_that_came_later_is_not_left_behind(broker, board, exchanger, was_woken):
    if was_woken:  # by a wake-up that it was given while it was busy
        broker.link.call("RPUSH", keys.wake(0, exchanger.executor), "1")
    woken = broker.wait(exchanger.executor, 0.01)
    (one,) = submitted(broker)

    answer, slots = exchanger.accept(LANE, woken)

    assert (ids_of(answer), len(slots)) == ([one.id], 1)
    assert board.held() == {one.id: "offered"}
    assert broker.wait(exchanger.executor, 0.01) is None


def test_a_task_that_came_unheard_comes_with_the_next_exchange(broker, board, exchanger):
    assert broker.wait(exchanger.executor, 0.01) is None
    first, second = submitted(broker, 2)

    answer, _ = exchanger.exchange(LANE, 1, IDLE_MS, "next")

    assert ids_of(answer) == [first.id]
    assert board.held() == {first.id: "offered"}
    assert board.counts().stolen == 0
    answer, _ = exchanger.exchange(LANE, 1)
    assert ids_of(answer) == [second.id]


def test_a_report_in_between_leaves_the_offer_standing(broker, board, exchanger):
    exchanger.exchange(LANE, 0)  # by the courier, while the main loop waits

    (one,) = submitted(broker)

    exchanger.accept(LANE, broker.wait(exchanger.executor, 60))
    assert board.held() == {one.id: "offered"}


def test_after_it_was_accepted_nothing_more_is_handed_over(broker, exchanger):
    exchanger.accept(LANE, None)

    (one,) = submitted(broker)

    assert broker.held_ids(exchanger.executor) == {}
    assert broker.must_get(one.id).state.owner == ""


def test_a_stolen_bunch_that_came_with_a_mere_wake_up_is_taken_and_counted(broker, board, spooler):
    lane = Lane(0, ["default", "mail"])
    exchanger = Exchanger(broker, executor_of(broker), "w1", board, spooler)
    tasks = submitted(broker, 5)
    victim = executor_of(broker, "w2")
    got = claim(broker, victim)
    exchanger.exchange(lane, 1, IDLE_MS, "offered", steals=True)
    held = {task.message.id: got.token for task in got.claimed}
    moved = broker.steal(victim, exchanger.executor, held)

    answer, slots = exchanger.accept(lane, broker.wait(exchanger.executor, 60))

    assert ids_of(answer) == [task.id for task in tasks] == moved
    assert board.held() == {task.id: "offered" for task in tasks}
    assert (len(slots), board.counts().stolen) == (5, 5)


def test_a_task_that_was_handed_over_by_name_is_not_stolen(broker, board, exchanger):
    submitted(broker)

    exchanger.accept(LANE, None)  # it heard nothing of it

    assert (len(board.held()), board.counts().stolen) == (1, 0)


def test_limits_stand_on_the_board(broker, board, exchanger):
    submitted(broker, 1, timeout=0.0001)
    _, slots = exchanger.accept(LANE, None)
    board.start(slots[0])

    assert board.attempts()[0].timeout_ms == 1
