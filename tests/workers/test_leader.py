"""One leader at a time, and its services run exactly as long as it leads."""

import threading

import pytest

from tasks_app.broker import Broker, keys
from tasks_app.broker.connection import Link
from tasks_app.models import TaskRecord
from workers_app.coordinator import Coordinator
from workers_app.leader import Candidate

from ..conftest import PATIENCE_SECONDS, wait_until
from ..lua.world import submitted
from ..redis_server import RedisServer

SERVICES = {"recorder", "promoter", "reaper", "sampler", "registrar"}


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
