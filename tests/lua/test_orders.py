"""orders and the bell: a worker hears at once, and gets each order once whatever is lost."""

import json

import pytest

from tasks_app.broker import keys
from tasks_app.exceptions import UnknownOutcome

ORDERS = keys.key(0, "workers:orders:w1")


def announce(broker):
    return broker.fleet.announce("w1", {}).orders


def fetch(broker):
    return broker.fleet.orders("w1")


def left(broker):
    """How many orders lie there."""
    return broker.link.call("LLEN", ORDERS)


def told(broker, *numbers):
    """Order a worker that is there something, as often as there are numbers."""
    broker.fleet.announce("w1", {})
    for n in numbers:
        assert broker.fleet.order("w1", {"n": n})


@pytest.fixture
def lose(broker, monkeypatch):
    """Lose the answer to the next call of a script after it took effect."""

    def lose(name, shard=0):
        run = broker.link.run

        def losing(script, anchor, *arguments):
            answer = run(script, anchor, *arguments)
            if (script.name, anchor) != (name, keys.anchor(shard)):
                return answer
            monkeypatch.setattr(broker.link, "run", run)
            raise UnknownOutcome("Lost.")

        monkeypatch.setattr(broker.link, "run", losing)

    return lose


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

    found = []
    while some := broker.fleet.orders("w1"):
        assert len(some) <= 100
        found += [order["n"] for order in some]
    assert found == list(range(250))


def test_who_resigns_leaves_no_bell_behind(broker):
    broker.fleet.announce("w1", {})
    broker.fleet.order("w1", {"order": "stop"})

    broker.fleet.resign("w1")

    assert broker.link.call("KEYS", "*") == []


# --- what is lost on the way, or comes twice ---


@pytest.mark.parametrize(
    ("get", "script"), [(announce, "announce"), (fetch, "orders")], ids=["announce", "orders"]
)
def test_what_was_lost_on_the_way_comes_again_and_what_has_arrived_does_not(
    broker, lose, get, script
):
    told(broker, 1, 2)
    lose(script)
    with pytest.raises(UnknownOutcome):
        get(broker)
    broker.fleet.order("w1", {"n": 3})

    assert get(broker) == [{"n": 1}, {"n": 2}, {"n": 3}]

    broker.fleet.order("w1", {"n": 4})
    lose(script)  # also the answer to the call that says what has arrived
    with pytest.raises(UnknownOutcome):
        get(broker)
    assert left(broker) == 1
    assert get(broker) == [{"n": 4}]
    assert get(broker) == []
    assert left(broker) == 0


def test_what_arrived_in_one_way_does_not_come_in_the_other(broker):
    told(broker, 1)
    assert announce(broker) == [{"n": 1}]
    broker.fleet.order("w1", {"n": 2})
    assert fetch(broker) == [{"n": 2}]
    assert announce(broker) == []
    assert left(broker) == 0


@pytest.mark.parametrize(
    ("get", "script", "lost"),
    [(announce, "announce", 0), (fetch, "orders", 1)],  # the shard that is called last
    ids=["announce", "orders"],
)
def test_what_one_shard_gave_is_not_lost_with_the_answer_of_another(
    broker, options, lose, get, script, lost
):
    options(SHARDS={"far": 1})
    broker.fleet.announce("w1", {})
    for shard in (0, 1):
        broker.run("order", shard, "workers", "w1", json.dumps({"n": shard, "ticket": "t"}))
    lose(script, lost)
    with pytest.raises(UnknownOutcome):
        get(broker)

    assert sorted(order["n"] for order in get(broker)) == [0, 1]
    assert get(broker) == []


def test_the_same_order_twice_is_two_orders(broker):
    told(broker, 1, 1)
    assert fetch(broker) == [{"n": 1}, {"n": 1}]
    broker.fleet.order("w1", {"n": 1})

    assert fetch(broker) == [{"n": 1}]
    assert fetch(broker) == []


def test_what_a_server_that_was_rolled_back_holds_again_is_known_and_what_is_new_is_not(broker):
    told(broker, 1, 2)
    before = broker.link.call("LRANGE", ORDERS, 0, -1)
    assert fetch(broker) == [{"n": 1}, {"n": 2}]
    broker.fleet.order("w1", {"n": 3})
    assert fetch(broker) == [{"n": 3}]

    broker.link.call("DEL", ORDERS)
    broker.link.call("RPUSH", ORDERS, *before)
    broker.fleet.order("w1", {"n": 4})

    assert fetch(broker) == [{"n": 4}]
    assert fetch(broker) == []
    assert left(broker) == 0


def test_what_was_dropped_meanwhile_takes_nothing_new_along(broker):
    told(broker, 1, 2)
    assert fetch(broker) == [{"n": 1}, {"n": 2}]
    broker.link.call("DEL", ORDERS)  # it has waited too long
    for n in (3, 4, 5):
        broker.fleet.order("w1", {"n": n})

    assert fetch(broker) == [{"n": 3}, {"n": 4}, {"n": 5}]


def test_an_order_of_an_older_version_is_obeyed_each_time_that_it_is_given(broker):
    broker.fleet.announce("w1", {})
    for _ in range(3):
        broker.run("order", 0, "workers", "w1", '{"order": "pause"}')
        assert fetch(broker) == [{"order": "pause"}]
    assert fetch(broker) == []


@pytest.mark.parametrize("text", ["{", "7", '["pause"]', "null", b"\xff"])
def test_what_is_no_order_is_noted_and_keeps_no_other_back(broker, caplog, text):
    broker.fleet.announce("w1", {})
    broker.run("order", 0, "workers", "w1", text)
    broker.fleet.order("w1", {"n": 1})

    assert announce(broker) == [{"n": 1}]
    assert announce(broker) == []

    assert caplog.text.count("event=bad_order") == 1
    assert left(broker) == 0
