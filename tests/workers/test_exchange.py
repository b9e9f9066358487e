"""An executor's side of an offer: whatever wakes it, no task that it was handed is left behind."""

import pytest

from tasks_app.broker import Broker, keys
from tasks_app.broker.broker import IDLE_MS
from tasks_app.broker.connection import GuardedLink, Link
from workers_app.executor.board import Board
from workers_app.executor.exchange import Exchanger
from workers_app.executor.lanes import Lane
from workers_app.executor.spool import Spool
from workers_app.executor.spooler import Spooler

from ..conftest import PATIENCE_SECONDS
from ..faults.proxy import FaultProxy
from ..lua.world import claim, executor_of, ids_of, submitted
from ..redis_server import RedisServer

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


# --- after an outage ---


@pytest.fixture
def proxy(redis_server):
    proxy = FaultProxy(redis_server.socket)
    yield proxy
    proxy.close()


@pytest.fixture
def shaken(broker, redis_server, proxy, board, spooler):
    """An executor with three tasks in hand, and a line to its server that can be disturbed."""
    link = Link(proxy.through(redis_server.url), timeout=PATIENCE_SECONDS)
    exchanger = Exchanger(Broker(link), executor_of(broker), "w1", board, spooler)
    submitted(broker, 3)
    answer, slots = exchanger.exchange(LANE, 3)
    board.start(slots[0])
    yield exchanger, slots, ids_of(answer)
    link.close()


def test_what_redis_has_forgotten_meanwhile_does_not_start(broker, board, proxy, shaken):
    exchanger, slots, ids = shaken
    broker.link.call("HDEL", keys.held(0, exchanger.executor), *ids[:2])
    broker.link.call("HSET", keys.held(0, exchanger.executor), ids[2], "somebody else's claim")
    proxy.drop_replies()

    exchanger.exchange(LANE, 0)

    assert [board.start(slot) for slot in slots[1:]] == [False, False]
    assert list(board.running()) == [ids[0]]  # the end of what runs is refused, if it comes to that


def test_what_is_still_held_after_an_outage_starts(broker, board, proxy, shaken):
    exchanger, slots, ids = shaken
    proxy.drop_replies()

    exchanger.exchange(LANE, 0)

    assert broker.held_ids(exchanger.executor).keys() == set(ids)
    assert [board.start(slot) for slot in slots[1:]] == [True, True]


def test_what_comes_with_the_first_answer_after_an_outage_starts(broker, board, proxy, shaken):
    exchanger, _, _ = shaken
    (one,) = submitted(broker)
    proxy.drop_replies()

    _, slots = exchanger.exchange(LANE, 1)

    assert one.id in broker.held_ids(exchanger.executor)
    assert board.start(slots[0])


def test_what_cannot_be_read_after_an_outage_goes_back_after_its_pause(broker, proxy, shaken):
    exchanger, _, _ = shaken
    (one,) = submitted(broker)
    broker.link.call("HSET", keys.key(0, "payloads"), one.id, "9|default|0|0\nof a newer version")
    proxy.drop_replies()

    exchanger.exchange(LANE, 1)
    exchanger.finish(LANE)

    assert broker.held_ids(exchanger.executor).get(one.id) is None
    assert broker.link.call("HGET", keys.key(0, "states"), one.id).startswith(b"scheduled|")


def test_a_restart_that_no_call_has_noticed_is_an_outage_too(board, spooler):
    server = RedisServer(None, "--appendfsync", "always")
    server.start()
    try:
        link = GuardedLink(server.url, timeout=PATIENCE_SECONDS)
        broker = Broker(link)
        exchanger = Exchanger(broker, executor_of(broker), "w1", board, spooler)
        one, _ = submitted(broker, 2)
        _, slots = exchanger.exchange(LANE, 2)
        server.kill()
        link.close()
        server.start()
        broker.link.call("HDEL", keys.held(0, exchanger.executor), one.id)

        exchanger.exchange(LANE, 0)

        assert [board.start(slot) for slot in slots] == [False, True]
    finally:
        link.close()
        server.close()
