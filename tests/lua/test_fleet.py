"""announce, resign, fleet, order: the registers of workers and agents."""

import pytest

from tasks_app.broker.answers import Announced

from .world import claim, dump, executor_of, held, outcome, submitted


def test_an_announced_worker_is_on_the_register(broker, clock, options):
    options(LEASE_SECONDS=10)

    announced = broker.fleet.announce("w1", {"host": "ä"}, executors=["w1:0:x", "w1:1:x"])

    assert announced == Announced(orders=[], backlog={}, demand={}, renewed_ms=clock.now_ms)

    (worker,) = broker.fleet.workers().values()
    assert (worker.id, worker.said, worker.is_alive) == ("w1", {"host": "ä"}, True)
    assert worker.lease_until_ms == clock.now_ms + 10_000
    assert broker.fleet.executors("w1") == ["w1:0:x", "w1:1:x"]
    clock.advance(10_000)
    assert not broker.fleet.workers()["w1"].is_alive
    broker.fleet.announce("w1", {"host": "b"})
    assert broker.fleet.workers()["w1"].is_alive
    assert broker.fleet.workers()["w1"].said == {"host": "b"}


@pytest.mark.parametrize("executor", ["", "a|b", "a b", "a\nb"])
def test_an_executor_whose_name_would_break_a_state_is_refused(broker, executor):
    with pytest.raises(ValueError, match="executor"):
        broker.fleet.announce("w1", {}, executors=[executor])
    assert dump(broker, without=()) == {}


def test_who_has_resigned_is_gone_and_gets_nothing(broker):
    executor = executor_of(broker)
    broker.fleet.order("w1", {"order": "stop"})
    submitted(broker)

    assert broker.fleet.resign("w1") is True

    assert broker.fleet.workers() == {}
    assert broker.fleet.executors("w1") == []
    assert not claim(broker, executor).has_lease
    assert not broker.fleet.order("w1", {"order": "stop"})
    assert broker.fleet.announce("w1", {}).orders == []
    assert broker.fleet.resign("unknown") is True


def test_who_still_holds_tasks_cannot_resign(broker):
    one, token = held(broker)
    for number in (1, 2, 3):  # its idle ones stay what they are too
        idle = executor_of(broker, number=number)
        claim(broker, idle, idle_ms=60_000, offer="an-offer", steals=True)
    before = dump(broker, without=())

    assert broker.fleet.resign("w1") is False

    assert dump(broker, without=()) == before
    broker.finish("w1:0:x", [outcome(one.id, token)])
    assert broker.fleet.resign("w1") is True


def test_orders_are_handed_out_once_and_in_order(broker):
    assert broker.fleet.order("w1", {"n": 0}) is False
    broker.fleet.announce("w1", {})
    for n in range(3):
        assert broker.fleet.order("w1", {"n": n, "text": "ä\n"}) is True

    assert [order["n"] for order in broker.fleet.announce("w1", {}).orders] == [0, 1, 2]
    assert broker.fleet.announce("w1", {}).orders == []


def test_a_worker_and_an_agent_of_one_name_do_not_meet(broker):
    broker.fleet.announce("web1", {"a": "worker"}, executors=["web1:0:x"])
    broker.fleet.announce_agent("web1", {"an": "agent"})
    broker.fleet.order("web1", {"to": "worker"})
    broker.fleet.order_agent("web1", {"to": "agent"})

    assert broker.fleet.announce_agent("web1", {"an": "agent"}) == [{"to": "agent"}]
    broker.fleet.resign_agent("web1")

    assert broker.fleet.agents() == {}
    assert broker.fleet.executors("web1") == ["web1:0:x"]
    assert broker.fleet.workers()["web1"].said == {"a": "worker"}
    assert broker.fleet.announce("web1", {}).orders == [{"to": "worker"}]


def test_a_workers_lease_is_known_in_every_shard(broker, options):
    options(SHARDS={"far": 1})
    executor = executor_of(broker)
    submitted(broker, queue="far")

    assert len(claim(broker, executor, queues=["far"], shard=1).claimed) == 1
    assert broker.fleet.resign("w1") is False
    assert list(broker.fleet.workers()) == ["w1"]


def test_samples_are_kept_up_to_a_bound(broker, monkeypatch):
    monkeypatch.setattr("tasks_app.broker.fleet.SAMPLES_KEPT", 3)
    for n in range(5):
        broker.fleet.keep_sample({"n": n})

    assert broker.fleet.samples() == [{"n": 2}, {"n": 3}, {"n": 4}]
    assert broker.fleet.samples(limit=1) == [{"n": 4}]
