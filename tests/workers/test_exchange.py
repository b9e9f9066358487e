"""An executor's side of an offer: whatever wakes it, no task that it was handed is left behind."""

import pytest

from tasks_app.broker import keys
from tasks_app.broker.broker import IDLE_MS
from workers_app.board import Board
from workers_app.exchange import Exchanger
from workers_app.lanes import Lane

from ..lua.world import executor_of, ids_of, submitted

LANE = Lane(0, ["default"])


@pytest.fixture
def board():
    board = Board()
    yield board
    board.close()


@pytest.fixture
def exchanger(broker, board):
    """Idle, with an offer."""
    exchanger = Exchanger(broker, executor_of(broker), "w1", board)
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


def test_after_it_was_accepted_nothing_more_is_handed_over(broker, exchanger):
    exchanger.accept(LANE, None)

    (one,) = submitted(broker)

    assert broker.held_ids(exchanger.executor) == {}
    assert broker.must_get(one.id).state.owner == ""
