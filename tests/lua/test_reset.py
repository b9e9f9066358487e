"""reset: counting starts again, and from when on is known."""

from .world import submitted


def test_counters_begin_at_zero_and_nothing_else_changes(broker, clock):
    assert broker.reset_at_ms() == 0
    [one] = submitted(broker)

    broker.reset_counters()

    assert broker.stats().counters == {}
    assert broker.reset_at_ms() == clock.now_ms
    assert broker.get(one.id) is not None
    assert (broker.stats().ready, broker.stats().unrecorded) == (1, 1)


def test_a_full_server_can_be_reset(broker):
    submitted(broker)
    broker.link.call("CONFIG", "SET", "maxmemory", "1")
    try:
        broker.reset_counters()
    finally:
        broker.link.call("CONFIG", "SET", "maxmemory", "0")

    assert broker.stats().counters == {}
