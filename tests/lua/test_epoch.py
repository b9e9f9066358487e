"""epoch and gate: which life of the server this is, and whether executors are let in."""

import pytest

from tasks_app.broker import keys
from tasks_app.broker.broker import Broker
from tasks_app.broker.connection import GuardedLink, Link, gate_check
from tasks_app.exceptions import QueueUnavailable, UnknownOutcome

from .world import claim, executor_of, submitted


def test_an_epoch_is_begun_in_every_shard_and_never_falls(broker, options):
    options(SHARDS={"far": 2})
    assert (broker.epoch(), broker.epoch(shard=2)) == (0, 0)

    broker.set_epoch(3)
    broker.set_epoch(2)

    assert (broker.epoch(), broker.epoch(shard=2)) == (3, 3)
    broker.link.call("FLUSHALL")
    assert broker.epoch() == 0


def test_a_gate_is_opened_in_every_shard(broker, options):
    options(SHARDS={"far": 2})
    assert broker.gate() == broker.gate(shard=2) == ""

    broker.open_gate(broker.run_id())

    assert broker.gate() == broker.gate(shard=2) == broker.run_id()


def test_a_server_has_another_run_id_after_a_start(private_server):
    broker = Broker(Link(private_server.url, timeout=60))
    before = broker.run_id()
    assert broker.run_id() == before

    private_server.kill()
    private_server.start()
    broker.link.close()

    assert broker.run_id() != before
    broker.link.close()


def test_without_a_gate_everybody_is_let_in(broker, server):
    guarded = Broker(GuardedLink(server.url, timeout=60))

    assert guarded.stats().ready == 0
    guarded.link.close()


def test_an_executor_waits_outside_until_a_leader_has_looked(private_server):
    broker = Broker(Link(private_server.url, timeout=60))
    guarded = Broker(GuardedLink(private_server.url, timeout=60))
    # By default a write may wait for an fsync that takes long, and go with a kill.
    broker.link.call("CONFIG", "SET", "appendfsync", "always")
    broker.open_gate(broker.run_id())
    executor = executor_of(broker)
    submitted(broker)
    assert len(claim(guarded, executor, limit=1).claimed) == 1

    private_server.kill()
    private_server.start()
    guarded.link.close()
    broker.link.close()

    with pytest.raises(QueueUnavailable, match="has restarted") as caught:
        claim(guarded, executor)
    assert not isinstance(caught.value, UnknownOutcome)
    submitted(broker)  # others are let in
    broker.fleet.announce("w1", {})

    broker.open_gate(broker.run_id())
    assert len(claim(guarded, executor).claimed) == 1
    broker.link.close()
    guarded.link.close()


def test_a_refused_connection_is_closed(broker, server):
    broker.open_gate("another run id")
    name = b"name=a-guarded-one"
    link = Link(server.url, timeout=60, check=gate_check)
    link.pool.connection_kwargs["client_name"] = "a-guarded-one"

    with pytest.raises(QueueUnavailable):
        link.call("PING")

    assert name not in broker.link.call("CLIENT", "LIST")
    broker.link.call("DEL", keys.key(0, "gate"))
    assert link.call("PING") == b"PONG"
    assert name in broker.link.call("CLIENT", "LIST")
    link.close()
