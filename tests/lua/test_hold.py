"""hold: one holder of a named lease at a time."""

from tests.conftest import wait_until


def test_only_one_holds_a_lease_until_it_gives_it_up(broker):
    hold = broker.fleet.hold

    assert hold("broadcast", "a", 60_000)
    assert hold("broadcast", "a", 60_000)
    assert not hold("broadcast", "b", 60_000)
    assert hold("another", "b", 60_000)

    hold("broadcast", "b", 0)  # not the holder's word
    assert not hold("broadcast", "b", 60_000)
    hold("broadcast", "a", 0)
    assert hold("broadcast", "b", 60_000)


def test_a_lease_ends_by_itself(broker):
    broker.fleet.hold("broadcast", "a", 20)

    wait_until(lambda: broker.fleet.hold("broadcast", "b", 60_000), "the end of the lease")
