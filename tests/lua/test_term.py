"""term: what only a leader does is refused, and changes nothing, once a later leader was seen."""

import pytest

from tasks_app.broker.answers import Recorded
from tasks_app.exceptions import LostLead, TaskSystemError
from tasks_app.states import Status

from .world import CRASH, dump, end, executor_of, held, state, status, submitted, task


def promote(broker, _):
    return broker.promote()


def sweep(broker, _):
    return broker.sweep()


def reap(broker, _):
    return broker.reap("w1", reason=CRASH)


def forget(broker, ended):
    return broker.forget({ended.id: state(broker, ended).version})


def acknowledge(broker, _):
    return broker.acknowledge(broker.changes(10))


def keep_sample(broker, _):
    return broker.fleet.keep_sample({"n": 1})


def keep_demand(broker, _):
    return broker.fleet.keep_demand({"default": {"slots": 1}})


def set_epoch(broker, _):
    return broker.set_epoch(7)


def open_gate(broker, _):
    return broker.open_gate("a run id")


def resign(broker, _):
    return broker.fleet.resign("w2")


def resign_agent(broker, _):
    return broker.fleet.resign_agent("a1")


def reconcile(broker, _):
    one = task()
    return broker.reconcile(2, [Recorded(one.id, one.encode(), b"", is_final=False)])


LEADERS = [
    promote, sweep, reap, forget, acknowledge, keep_sample, keep_demand, set_epoch, open_gate,
    resign, resign_agent, reconcile,
]  # fmt: skip


@pytest.fixture
def ended(broker, clock, options):
    """A finished task; and for each leader's duty there is something to do."""
    options(LEASE_SECONDS=10)
    (ended,) = submitted(broker)
    end(broker, ended)
    held(broker, "w1:0:x", queue="other")
    executor_of(broker, "w2")
    broker.fleet.announce_agent("a1", {})
    broker.submit(task(run_after_us=clock.in_us(5)))
    submitted(broker, queue="purged")
    broker.purge("purged")
    clock.advance(10_000)
    return ended


@pytest.mark.parametrize("duty", LEADERS)
def test_an_older_leader_is_refused_and_changes_nothing(broker, ended, duty):
    broker.under(4).promote(0)
    broker.under(5).promote(0)  # a later leader was seen
    before = dump(broker, without=())

    with pytest.raises(LostLead):
        duty(broker.under(4), ended)

    assert dump(broker, without=()) == before


@pytest.mark.parametrize("duty", LEADERS)
@pytest.mark.parametrize("term", [0, 5, 6])
def test_the_leader_a_later_one_and_nobodys_term_go_through(broker, ended, duty, term):
    broker.under(5).promote(0)
    before = dump(broker, without=("term",))

    duty(broker.under(term), ended)

    assert dump(broker, without=("term",)) != before


def test_the_term_of_a_new_leader_counts_before_it_has_written_anything(broker, options):
    options(LEADER_SECONDS=60)
    old = broker.under(broker.fleet.lead("a").term)
    old.fleet.keep_sample({})
    broker.fleet.abdicate("a")
    new = broker.under(broker.fleet.lead("b").term)

    with pytest.raises(LostLead):
        old.fleet.keep_sample({})
    new.fleet.keep_sample({})
    assert len(broker.fleet.samples()) == 2


def test_every_shard_knows_the_term_that_wrote_there(broker, options):
    options(SHARDS={"far": 1})
    broker.under(3).promote(shard=1)

    with pytest.raises(LostLead):
        broker.under(2).promote(shard=1)
    broker.under(2).promote(shard=0)


def test_a_supervisor_reaps_its_children_whoever_leads(broker):
    one, _ = held(broker)
    broker.under(9).promote()

    assert broker.reap("w1", "w1:0:x", reason=CRASH) == 1

    assert status(broker, one) == Status.PENDING


def test_whoever_handles_our_errors_handles_this_one(broker):
    assert issubclass(LostLead, TaskSystemError)
    assert broker.under(7).under(8).term == 8
