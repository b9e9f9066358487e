"""steal and taker: what has not started changes hands, under the token that the taker offered."""

import pytest

from tasks_app.broker import keys
from tasks_app.message import TaskMessage
from tasks_app.states import Status

from .world import (
    CRASH,
    audit,
    claim,
    dump,
    executor_of,
    held,
    ids_of,
    named,
    outcome,
    places,
    state,
    status,
    submitted,
)

LEASE_MS = 10_000


@pytest.fixture(autouse=True)
def _lease(options):
    options(LEASE_SECONDS=LEASE_MS / 1000)


def loaded(broker, count=3, **fields):
    """An executor with tasks in hand. Return (executor, {id: token}), most urgent first."""
    executor = executor_of(broker, "w1")
    tasks = submitted(broker, count, **fields)
    token = claim(broker, executor, limit=count, queues=[tasks[0].queue], idle_ms=0).token
    return executor, {one.id: token for one in tasks}


def idle(broker, worker="w2", number=0, queues=("default",), steals=True, offer="an-offer"):
    """An executor that offers to take stolen tasks."""
    executor = executor_of(broker, worker, number)
    claim(
        broker, executor, limit=1, queues=queues, idle_ms=60_000, offer=offer, steals=steals
    )  # fmt: skip
    return executor


def nothing_is_stolen(broker, executor, taker, held):
    before = dump(broker, without=())
    assert broker.steal(executor, taker, held) == []
    assert dump(broker, without=()) == before


def test_unstarted_tasks_change_hands(broker):
    executor, mine = loaded(broker)
    taker = idle(broker)
    first, *others = mine
    before = broker.must_get(others[0]).state

    assert broker.steal(executor, taker, {i: mine[i] for i in others}) == others

    assert broker.held_ids(executor) == {first: mine[first]}
    assert broker.held_ids(taker) == dict.fromkeys(others, "an-offer")
    after = broker.must_get(others[0]).state
    assert (after.status, after.owner) == (Status.ASSIGNED, taker)
    assert (after.version, after.starts, after.crashes) == (before.version + 1, 0, 0)
    assert broker.stats().count("stolen") == 2
    audit(broker)


def test_the_taker_is_woken_and_finds_them_by_its_withdrawal_most_urgent_first(broker):
    executor, mine = loaded(broker, 20)
    taker = idle(broker)
    broker.steal(executor, taker, dict(reversed(mine.items())))

    woken = broker.wait(taker, 60)
    assert (woken.token, woken.claimed) == ("", [])
    found = broker.withdraw(taker, "an-offer")

    assert ids_of(found) == list(mine)
    assert broker.withdraw(taker, "an-offer") == found  # a repeated call
    assert all(isinstance(stored.message, TaskMessage) for stored in found.claimed)
    assert broker.finish(taker, [outcome(i, "an-offer") for i in mine]) == []
    assert broker.stats().count("completed") == 20


def test_who_lost_them_has_no_say_any_more(broker):
    executor, mine = loaded(broker, 1)
    ((one, token),) = mine.items()
    broker.steal(executor, idle(broker), mine)
    before = dump(broker)

    assert broker.finish(executor, [outcome(one, token)]) == [one]
    assert broker.start(executor, [one]) == 0
    assert broker.release(executor, mine) == []
    assert broker.reap("w1", executor, reason=CRASH, started=[one]) == 0

    assert broker.get(one).state.owner == "w2:0:x"
    assert {k: v for k, v in dump(broker).items() if k != "executors:w1"} == {
        k: v for k, v in before.items() if k != "executors:w1"
    }


def test_what_has_started_stays(broker):
    executor, mine = loaded(broker, 2)
    started, unstarted = mine
    broker.start(executor, [started])

    assert broker.steal(executor, idle(broker), mine) == [unstarted]
    assert broker.get(started).state.owner == executor


def test_nothing_is_stolen_under_a_wrong_token_or_from_somebody_else(broker):
    executor, mine = loaded(broker)
    other = executor_of(broker, "w3")
    taker = idle(broker)

    nothing_is_stolen(broker, executor, taker, dict.fromkeys(mine, "wrong"))
    nothing_is_stolen(broker, other, taker, mine)
    nothing_is_stolen(broker, executor, taker, {"unknown": "x"})
    nothing_is_stolen(broker, executor, taker, {})
    assert broker.steal(executor, taker, mine) == list(mine)


def test_a_repeated_theft_changes_nothing(broker):
    executor, mine = loaded(broker)
    taker = idle(broker)
    assert broker.steal(executor, taker, mine) == list(mine)

    nothing_is_stolen(broker, executor, taker, mine)
    assert broker.release(executor, mine) == []  # as who got no answer does


def test_who_does_not_offer_is_given_nothing(broker):
    executor, mine = loaded(broker)

    nothing_is_stolen(broker, executor, idle(broker, "w2", steals=False), mine)
    nothing_is_stolen(broker, executor, idle(broker, "w3", offer=""), mine)
    nothing_is_stolen(broker, executor, "nobody", mine)


def test_who_has_withdrawn_or_claims_again_is_given_nothing(broker):
    executor, mine = loaded(broker)
    taker, other = idle(broker), idle(broker, number=1, offer="another")
    assert broker.withdraw(taker, "an-offer").claimed == []
    claim(broker, other, limit=1, idle_ms=0)

    nothing_is_stolen(broker, executor, taker, mine)
    nothing_is_stolen(broker, executor, other, mine)
    assert named(broker, "takers") == []


def test_who_was_handed_a_task_is_given_no_others_under_that_token(broker):
    executor, mine = loaded(broker)
    taker = idle(broker)
    (one,) = submitted(broker)
    assert ids_of(broker.wait(taker, 60)) == [one.id]

    nothing_is_stolen(broker, executor, taker, mine)


def test_who_stole_is_handed_no_task_under_that_token(broker):
    executor, mine = loaded(broker)
    taker = idle(broker)
    broker.steal(executor, taker, mine)

    (one,) = submitted(broker)

    assert status(broker, one) == Status.PENDING
    assert named(broker, "offers") == []
    assert ids_of(broker.withdraw(taker, "an-offer")) == list(mine)


def test_who_was_merely_woken_is_given_nothing_more_of_that_queue(broker):
    executor, mine = loaded(broker)
    taker = idle(broker, queues=["default", "other"])
    submitted(broker)

    nothing_is_stolen(broker, executor, taker, mine)


def test_who_is_idle_no_longer_is_given_nothing(broker, clock):
    executor, mine = loaded(broker)
    taker = executor_of(broker, "w2")
    claim(broker, taker, idle_ms=2500, offer="an-offer", steals=True)
    clock.advance(2500)

    nothing_is_stolen(broker, executor, taker, mine)


def test_who_has_no_lease_is_given_nothing(broker, clock):
    executor, mine = loaded(broker)
    taker = idle(broker)
    clock.advance(LEASE_MS)

    nothing_is_stolen(broker, executor, taker, mine)

    broker.fleet.announce("w2", {})
    assert broker.steal(executor, taker, mine) == list(mine)


@pytest.mark.parametrize("end", ["reaped", "resigned"])
def test_who_is_gone_is_given_nothing(broker, end):
    executor, mine = loaded(broker)
    taker = idle(broker)
    if end == "reaped":
        broker.reap("w2", taker, reason=CRASH, queues=["default"])
    else:
        broker.fleet.resign("w2")

    assert named(broker, "takers") == named(broker, "offers") == []
    broker.fleet.announce("w2", {})
    nothing_is_stolen(broker, executor, taker, mine)


def test_nobody_steals_from_itself(broker):
    executor, mine = loaded(broker)
    claim(broker, executor, limit=1, idle_ms=60_000, offer="an-offer", steals=True)

    nothing_is_stolen(broker, executor, executor, mine)


def test_only_tasks_of_queues_that_the_taker_serves(broker):
    executor = executor_of(broker, "w1")
    served, other = submitted(broker, queue="a") + submitted(broker, queue="b")
    token = claim(broker, executor, queues=["a", "b"], idle_ms=0).token
    taker = idle(broker, queues=["a", "c"])

    assert broker.steal(executor, taker, {served.id: token, other.id: token}) == [served.id]
    assert state(broker, other).owner == executor


def test_an_executor_of_many_queues_takes_stolen_tasks_and_is_handed_none(broker):
    executor, mine = loaded(broker, queue="a")
    taker = idle(broker, queues=["a", "b"])
    assert named(broker, "offers") == []

    assert broker.steal(executor, taker, mine) == list(mine)
    (one,) = submitted(broker, queue="b")  # it is idle there still

    assert status(broker, one) == Status.PENDING
    assert ids_of(broker.withdraw(taker, "an-offer")) == list(mine)


def test_a_dead_takers_tasks_come_back(broker):
    executor, mine = loaded(broker)
    taker = idle(broker)
    broker.steal(executor, taker, mine)

    assert broker.reap("w2", taker, reason=CRASH, queues=["default"]) == 3

    assert {place for ((place, _),) in places(broker).values()} == {"q:default:ready"}
    audit(broker)


def test_a_wake_up_that_was_lost_loses_no_task(broker):
    executor, mine = loaded(broker)
    taker = idle(broker)
    broker.steal(executor, taker, mine)
    broker.link.call("DEL", keys.wake(0, taker))

    assert broker.wait(taker, 0.01) is None
    assert ids_of(broker.withdraw(taker, "an-offer")) == list(mine)


def test_a_repeated_exchange_does_not_renew_an_offer_that_was_used(broker):
    executor, mine = loaded(broker)
    taker = executor_of(broker, "w2")
    again = {"limit": 1, "idle_ms": 60_000, "offer": "an-offer", "steals": True, "request": "r"}
    claim(broker, taker, **again)
    broker.steal(executor, taker, mine)

    assert claim(broker, taker, **again).claimed == []  # the first answer was lost

    assert named(broker, "takers") == []
    assert ids_of(broker.withdraw(taker, "an-offer")) == list(mine)


def test_big_tasks_change_hands_a_few_at_a_time(broker):
    executor, mine = loaded(broker, 5, args=["x" * 3 * 2**20])
    taker = idle(broker)

    assert broker.steal(executor, taker, mine) == list(mine)[:2]
    assert broker.held_ids(executor).keys() == set(list(mine)[2:])


def test_of_many_tasks_a_thousand_change_hands(broker):
    executor = executor_of(broker, "w1")
    submitted(broker, 600), submitted(broker, 600)
    mine = {}
    for _ in range(2):
        found = claim(broker, executor, 600)
        mine |= dict.fromkeys(ids_of(found), found.token)

    assert broker.steal(executor, idle(broker), mine) == list(mine)[:1000]
    audit(broker)


# --- taker ---


def test_a_taker_is_found(broker):
    executor, _ = loaded(broker)
    assert broker.taker("w1", executor, ["default"]) == ""
    taker = idle(broker)

    assert broker.taker("w1", executor, ["default"]) == taker
    assert broker.taker("w2", taker, ["default"]) == ""  # not itself
    assert broker.taker("w1", executor, []) == ""


def test_a_taker_serves_all_the_queues(broker):
    executor, _ = loaded(broker)
    idle(broker, number=0, queues=["a"])
    idle(broker, number=1, queues=["b", "c"])
    assert broker.taker("w1", executor, ["a", "b"]) == ""

    taker = idle(broker, number=2, queues=["a", "b", "c"])

    assert broker.taker("w1", executor, ["a", "b"]) == taker


def test_a_taker_steals_is_idle_and_has_a_lease(broker, clock):
    executor, _ = loaded(broker)
    idle(broker, "w2", 0, steals=False)
    withdrawn, woken = idle(broker, "w2", 1), idle(broker, "w2", 2, queues=["default", "b"])
    broker.withdraw(withdrawn, "an-offer")
    submitted(broker, queue="b")
    assert named(broker, "wake:*") == [f"wake:{woken}"]
    assert broker.taker("w1", executor, ["default", "b"]) == ""
    broker.reap("w2", woken, reason=CRASH, queues=["default", "b"])
    assert broker.taker("w1", executor, ["default"]) == ""

    taker = idle(broker, "w3")
    assert broker.taker("w1", executor, ["default"]) == taker
    clock.advance(LEASE_MS)
    assert broker.taker("w1", executor, ["default"]) == ""


def test_an_executor_of_the_same_worker_is_preferred(broker):
    executor, _ = loaded(broker)
    idle(broker, "w2")
    sister = idle(broker, "w1", 1)
    idle(broker, "w3")

    assert broker.taker("w1", executor, ["default"]) == sister


def test_a_taker_is_looked_for_in_the_shard_of_the_queues(broker, options):
    options(SHARDS={"far": 1})
    executor = executor_of(broker, "w1")
    mine = submitted(broker, 2, queue="far")
    token = claim(broker, executor, queues=["far"], shard=1, idle_ms=0).token
    taker = executor_of(broker, "w2")
    offering = {"idle_ms": 60_000, "offer": "an-offer", "steals": True}
    claim(broker, taker, queues=["far"], shard=1, **offering)

    assert broker.taker("w1", executor, ["far"]) == taker
    stolen = broker.steal(executor, taker, {one.id: token for one in mine}, shard=1)
    assert stolen == ids_of(broker.withdraw(taker, "an-offer", shard=1))


def test_a_flood_of_idle_executors_is_not_searched_through(broker):
    executor, _ = loaded(broker)
    for number in range(40):
        idle(broker, "w2", number, steals=False)

    before = _looks(broker)
    assert broker.taker("w1", executor, ["default"]) == ""

    assert _looks(broker) - before <= 32


def _looks(broker):
    found = broker.link.call("INFO", "commandstats").decode()
    calls = [line for line in found.splitlines() if line.startswith("cmdstat_hexists:")]
    return int(calls[0].split("calls=")[1].split(",")[0]) if calls else 0


def test_a_held_task_whose_definition_is_gone_disturbs_nobody(broker):
    one, token = held(broker)
    broker.link.call("HDEL", keys.key(0, "payloads"), one.id)

    nothing_is_stolen(broker, "w1:0:x", idle(broker), {one.id: token})
