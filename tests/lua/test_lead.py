"""lead and abdicate: one leader at a time, with a term that grows."""

from tests.conftest import wait_until


def test_the_first_leads_until_it_abdicates(broker, options):
    options(LEADER_SECONDS=60, LEASE_SECONDS=60)
    first = broker.fleet.lead("a")
    assert first and not first.was_led
    assert broker.fleet.leader() == "a"
    assert broker.fleet.lead("a").term == first.term

    assert not broker.fleet.lead("b")
    assert broker.fleet.abdicate("b") is False
    assert broker.fleet.leader() == "a"

    assert broker.fleet.abdicate("a") is True
    assert broker.fleet.leader() is None
    second = broker.fleet.lead("b")
    assert second.was_led
    assert second.term > first.term


def test_a_silent_leader_is_followed_by_another_with_a_higher_term(broker, options):
    options(LEADER_SECONDS=0.05)
    first = broker.fleet.lead("a")

    second = wait_until(lambda: broker.fleet.lead("b"), "the end of the lease")

    assert second.term > first.term
    options(LEADER_SECONDS=60)
    assert broker.fleet.lead("b") or broker.fleet.lead("b")
    assert not broker.fleet.lead("a")
