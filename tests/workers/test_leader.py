"""One leader at a time, and its services run exactly as long as it leads."""

import logging
import threading

import pytest

from tasks_app.broker import Broker, keys
from tasks_app.broker.answers import Changes, Recorded
from tasks_app.broker.connection import Link
from tasks_app.exceptions import LostLead
from tasks_app.message import Attempt, TaskMessage, now_us
from tasks_app.models import TaskRecord, WorkerRecord
from workers_app.coordinator.coordinator import Coordinator
from workers_app.coordinator.leader import Candidate
from workers_app.coordinator.services.registrar import Registrar

from ..conftest import PATIENCE_SECONDS, wait_until
from ..lua.world import EditedLink, dump, held, submitted
from ..redis_server import RedisServer

SERVICES = {
    "reconciler", "recorder", "promoter", "reaper", "sampler", "registrar", "surveyor",
    "sweeper", "scheduler",
}  # fmt: skip


def running():
    """The names of the services that run in this process."""
    return {thread.name for thread in threading.enumerate()} & SERVICES


@pytest.fixture
def coordinators(broker):
    """Two candidates on one server; their services end with the test."""
    both = [Coordinator("a", broker), Coordinator("b", broker)]
    yield both
    for each in both:
        each.close()
    assert running() == set()


@pytest.fixture
def own_broker():
    """A broker on a server of its own, which may be killed."""
    server = RedisServer()
    server.start()
    link = Link(server.url, timeout=PATIENCE_SECONDS)
    yield Broker(link), server
    link.close()
    server.close()


def test_one_of_two_leads_and_stays_the_leader(broker):
    a, b = Candidate("a", broker), Candidate("b", broker)

    lead = a.bid()

    assert lead.term == 1
    assert b.bid() is None
    assert a.bid() is lead


def test_candidates_of_one_name_are_two(broker):
    assert Candidate("a", broker).bid()
    assert Candidate("a", broker).bid() is None


def test_who_abdicates_is_followed_at_once_in_a_new_term(broker):
    a, b = Candidate("a", broker), Candidate("b", broker)
    a.bid()

    a.abdicate()

    assert a.lead is None
    assert b.bid().term == 2
    a.abdicate()  # of what is no longer his
    assert b.bid().term == 2


def test_a_refused_renewal_ends_the_lead(broker):
    a = Candidate("a", broker)
    a.bid()
    broker.link.call("SET", keys.key(0, "leader"), "somebody else")

    assert a.bid() is None
    assert a.lead is None


def test_a_renewal_without_an_answer_ends_the_lead(own_broker):
    broker, server = own_broker
    a = Candidate("a", broker)
    assert a.bid()

    server.kill()

    assert a.bid() is None
    assert a.lead is None


def test_a_lease_that_was_lost_and_won_again_is_another_one(broker):
    a = Candidate("a", broker)
    first = a.bid()
    broker.link.call("DEL", keys.key(0, "leader"))

    second = a.bid()

    assert second is not first
    assert second.term == first.term + 1


@pytest.mark.django_db(transaction=True)
def test_services_run_while_their_coordinator_leads(coordinators):
    a, b = coordinators

    a.tick()
    b.tick()
    assert (a.is_leading, b.is_leading) == (True, False)
    assert running() == SERVICES

    a.close()
    assert running() == set()

    b.tick()
    assert b.is_leading
    assert running() == SERVICES


@pytest.mark.django_db(transaction=True)
def test_services_stop_when_the_lead_is_lost(broker, coordinators):
    a, _ = coordinators
    a.tick()
    broker.link.call("SET", keys.key(0, "leader"), "somebody else")

    a.tick()

    assert not a.is_leading
    assert running() == set()


@pytest.mark.django_db(transaction=True)
def test_another_one_leads_when_the_leader_is_silent(coordinators, settings):
    a, b = coordinators
    settings.DTPS = {**settings.DTPS, "LEADER_SECONDS": 0.05}
    a.tick()
    settings.DTPS = {**settings.DTPS, "LEADER_SECONDS": 3600}

    wait_until(lambda: b.tick() and b.is_leading, "another leader")
    a.tick()

    assert not a.is_leading
    assert b.tick()
    assert b.is_leading


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("leader_seconds", [0.3, 1, 3, 3600])
def test_two_bids_in_a_row_may_be_lost_or_late_whatever_the_lease(
    own_broker, coordinators, settings, leader_seconds
):
    settings.DTPS = {**settings.DTPS, "LEADER_SECONDS": leader_seconds}
    a, _ = coordinators
    assert 0 < a.tick() <= leader_seconds / 3

    broker, server = own_broker
    server.kill()
    assert Coordinator("c", broker).tick() <= leader_seconds / 3


@pytest.mark.django_db(transaction=True)
def test_a_coordinator_does_all_its_duties(broker, coordinators):
    a, _ = coordinators
    a.tick()
    (task,) = submitted(broker)
    broker.purge("default")

    wait_until(lambda: TaskRecord.objects.filter(id=task.id, status="cancelled").exists())
    wait_until(lambda: broker.fleet.samples())


@pytest.mark.django_db(transaction=True)
def test_what_is_left_is_recorded_at_the_end(broker, coordinators):
    a, _ = coordinators
    a.tick()
    tasks = submitted(broker, 200)

    a.close()

    assert TaskRecord.objects.count() == len(tasks)
    assert broker.stats().unrecorded == 0


# --- a leader that was asleep for longer than its lease, and wakes up ---

LOST = TaskMessage(id="lost", type="test", submitted_us=1)
WRITES = {
    "promote": lambda broker, tasks: broker.promote(),
    "sweep": lambda broker, tasks: broker.sweep(),
    "reap": lambda broker, tasks: broker.reap("w1", reason=Attempt(outcome="crashed")),
    "acknowledge": lambda broker, tasks: broker.acknowledge(Changes(broker.last_change(), [])),
    "forget": lambda broker, tasks: broker.forget({tasks["ended"].id: 2}),
    "resign": lambda broker, tasks: broker.fleet.resign("w2"),
    "resign_agent": lambda broker, tasks: broker.fleet.resign_agent("host"),
    "keep_sample": lambda broker, tasks: broker.fleet.keep_sample({"at_ms": 1}),
    "keep_demand": lambda broker, tasks: broker.fleet.keep_demand({"default": {"slots": 1}}),
    "reconcile": lambda broker, tasks: broker.reconcile(
        9, [Recorded("lost", LOST.encode(), b"", is_final=False)]
    ),
    "set_epoch": lambda broker, tasks: broker.set_epoch(9),
    "open_gate": lambda broker, tasks: broker.open_gate("mine"),
}


@pytest.fixture
def much_to_do(redis_server, broker, settings):
    """A broker on a server where each duty of a leader would change something."""
    broker = Broker(EditedLink(redis_server.url))
    short = {"LEASE_SECONDS": 0.02, "RENEW_SECONDS": 0.005, "LEADER_SECONDS": 3600}
    settings.DTPS = {**settings.DTPS, **short}
    tasks = {"held": held(broker, started=True)[0]}
    broker.fleet.announce("w2", {})
    broker.fleet.announce_agent("host", {})
    (tasks["due"],) = submitted(broker, run_after_us=now_us() + 20_000)
    submitted(broker, queue="purged")
    broker.purge("purged")
    (tasks["ended"],) = submitted(broker)
    broker.cancel([tasks["ended"].id])
    wait_until(lambda: not broker.fleet.workers()["w1"].is_alive and now_us() > _due(tasks))
    yield broker, tasks
    broker.link.close()


def _due(tasks):
    return tasks["due"].run_after_us + 2000


@pytest.mark.parametrize("name", WRITES)
def test_a_leader_that_was_followed_changes_nothing_more(much_to_do, name):
    broker, tasks = much_to_do
    sleeper, next_one = Candidate("sleeper", broker), Candidate("next", broker)
    old = broker.under(sleeper.bid().term)
    broker.link.call("DEL", keys.key(0, "leader"))  # as time does
    new = broker.under(next_one.bid().term)
    before = dump(broker, without=("led",))

    with pytest.raises(LostLead):
        WRITES[name](old, tasks)
    assert dump(broker, without=("led",)) == before

    WRITES[name](new, tasks)
    assert dump(broker, without=("led",)) != before


@pytest.mark.django_db(transaction=True)
def test_a_registrar_that_was_followed_copies_nothing(broker):
    broker.fleet.announce("w1", {**dict.fromkeys(("pid", "slots", "processed", "failed"), 1),
                                 "hostname": "h", "queues": [], "status": "active",
                                 "started_us": 1})  # fmt: skip
    old = Registrar(broker.under(Candidate("sleeper", broker).bid().term))
    broker.link.call("DEL", keys.key(0, "leader"))
    Candidate("next", broker).bid()

    with pytest.raises(LostLead):
        old.tick()

    assert not WorkerRecord.objects.exists()


@pytest.mark.parametrize("shard", [0, 3])
@pytest.mark.django_db(transaction=True)
def test_a_team_whose_term_is_over_ends_and_its_coordinator_leads_in_a_new_one(
    broker, coordinators, caplog, settings, shard
):
    caplog.set_level(logging.INFO)
    settings.DTPS = {**settings.DTPS, "SHARDS": {"far": 3}}
    a, _ = coordinators
    a.tick()
    assert "event=leading" in caplog.text and "term=1" in caplog.text
    broker.link.call("SET", keys.key(shard, "term"), 2)  # as by a leader before a wipe

    wait_until(lambda: a.tick() and "event=not_leading" in caplog.text, "the end of the team")
    wait_until(lambda: a.tick() and a.is_leading and running() == SERVICES, "a new term")

    assert "term=2" in caplog.text
    assert broker.fleet.leader().startswith("a:")
