"""acknowledge, last_change, has_seen: what of the stream of changes is kept in mind."""

from tasks_app.broker import keys
from tests.conftest import wait_until

from .world import submitted


def now_ms(broker):
    seconds, microseconds = map(int, broker.link.call("TIME"))
    return seconds * 1000 + microseconds // 1000


def test_what_was_acknowledged_is_gone_and_the_rest_stays(broker):
    for _ in range(3):
        submitted(broker)
    (later,) = submitted(broker)
    changes = broker.changes(3)

    broker.acknowledge(changes)

    assert broker.changes(10).ids == [later.id]
    broker.acknowledge(broker.changes(10))
    assert broker.changes(10).ids == []
    broker.acknowledge(broker.changes(10))  # of nothing
    assert broker.stats().unrecorded == 0


def test_the_last_change_is_remembered_also_when_it_is_dropped(broker):
    assert broker.last_change() == "0-0"
    submitted(broker)
    changes = broker.changes(1)
    assert broker.last_change() == changes.last

    broker.acknowledge(changes)

    assert broker.last_change() == changes.last
    assert broker.last_change(shard=1) == "0-0"


def test_a_change_that_was_made_here_has_been_seen_and_one_that_was_lost_has_not(broker):
    assert not broker.has_seen("1-1")
    for _ in range(3):
        submitted(broker)
    first, last = broker.changes(1).last, broker.changes(3).last
    milliseconds = int(last.partition("-")[0])
    assert broker.has_seen(first) and broker.has_seen(last)
    assert not broker.has_seen(f"{milliseconds + 1}-0")

    broker.acknowledge(broker.changes(2))

    assert broker.has_seen(first) and broker.has_seen(last)
    assert not broker.has_seen(f"{milliseconds + 1}-0")


def test_a_roll_back_forgets_what_was_seen(broker):
    submitted(broker)
    broker.acknowledge(broker.changes(1))
    copies = {name: broker.link.call("DUMP", keys.key(0, name)) for name in ("changes", "recorded")}
    submitted(broker)
    last = broker.changes(1).last
    broker.acknowledge(broker.changes(1))
    assert broker.has_seen(last)

    for name, copy in copies.items():
        broker.link.call("RESTORE", keys.key(0, name), 0, copy, "REPLACE")
    wait_until(lambda: now_ms(broker) > int(last.partition("-")[0]), "the next millisecond")
    submitted(broker)  # life goes on

    assert not broker.has_seen(last)
