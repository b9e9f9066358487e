"""orders and the bell: a worker hears at once that there is something to fetch."""

from tasks_app.broker import keys


def ring(broker, worker="w1"):
    """What a supervisor's blocking call on its bell brings now."""
    return broker.link.call("BLPOP", keys.bell(worker), 0.01)


def test_an_order_rings_the_bell_once(broker):
    broker.fleet.announce("w1", {})
    assert ring(broker) is None

    for n in range(3):
        assert broker.fleet.order("w1", {"n": n})

    assert broker.link.call("LLEN", keys.bell("w1")) == 1
    assert 0 < broker.link.call("PTTL", keys.bell("w1")) <= 10_000
    assert ring(broker) is not None
    assert ring(broker) is None
    assert broker.fleet.orders("w1") == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert broker.fleet.orders("w1") == []


def test_who_is_unknown_hears_nothing(broker):
    assert not broker.fleet.order("w1", {"order": "stop"})

    assert ring(broker) is None


def test_fetching_orders_renews_nothing(broker, clock, options):
    options(LEASE_SECONDS=10)
    broker.fleet.announce("w1", {})
    clock.advance(10_000)
    broker.fleet.order("w1", {"order": "stop"})

    assert broker.fleet.orders("w1") == [{"order": "stop"}]

    assert not broker.fleet.workers()["w1"].is_alive


def test_any_number_of_orders_is_fetched(broker):
    broker.fleet.announce("w1", {})
    for n in range(250):
        broker.fleet.order("w1", {"n": n})

    assert [order["n"] for order in broker.fleet.orders("w1")] == list(range(250))


def test_who_resigns_leaves_no_bell_behind(broker):
    broker.fleet.announce("w1", {})
    broker.fleet.order("w1", {"order": "stop"})

    broker.fleet.resign("w1")

    assert broker.link.call("KEYS", "*") == []
