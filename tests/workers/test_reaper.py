"""The reaper: a silent worker's tasks come back, a living worker's never do."""

import pytest

from tasks_app.broker import keys
from tasks_app.broker.answers import Lead, Registered
from tasks_app.exceptions import LostLead
from tasks_app.states import Status
from workers_app.coordinator.services import reaper as module
from workers_app.coordinator.services.reaper import (
    PAUSE_SECONDS,
    SHORTEST_SECONDS,
    Reaper,
    pause_seconds,
)

from ..conftest import wait_until
from ..lua.world import claim, held, ids_of, state, status, submitted

WAS_LED, WAS_NOT_LED = Lead(1, True), Lead(1, False)


@pytest.fixture
def lease(settings):
    """Sets how long a lease is from now on."""

    def set_to(seconds):
        settings.DTPS = {**settings.DTPS, "LEASE_SECONDS": seconds, "RENEW_SECONDS": seconds / 4}

    return set_to


@pytest.fixture
def silent(broker, lease):
    """A task that has started on a worker whose lease is over."""
    lease(0.02)
    task, _ = held(broker, started=True)
    wait_until(lambda: not broker.fleet.workers()["w1"].is_alive, "the end of the lease")
    return task


def test_a_silent_workers_tasks_come_back_with_the_reason(broker, silent):
    reaper = Reaper(broker, WAS_LED)

    wait_until(lambda: reaper.tick() and status(broker, silent) == Status.PENDING)

    (attempt,) = state(broker, silent).attempts
    assert (attempt.outcome, attempt.worker) == ("crashed", "w1")
    assert attempt.error_type == "tasks_app.exceptions.WorkerLost"
    assert state(broker, silent).crashes == 1


def test_a_living_workers_tasks_stay(broker, lease):
    lease(3600)
    task, _ = held(broker, started=True)
    lease(0.02)
    reaper = Reaper(broker, WAS_LED)

    wait_until(lambda: reaper.tick() == PAUSE_SECONDS, "a look at the workers")

    assert status(broker, task) == Status.PROCESSING
    assert broker.fleet.workers()["w1"].is_alive


def test_a_server_that_has_just_started_gets_a_lease_of_patience(broker, silent, lease):
    lease(10**9)  # longer than any server has been up

    assert Reaper(broker, WAS_LED).tick() > 0

    assert status(broker, silent) == Status.PROCESSING


def test_so_do_workers_when_nobody_has_led(broker, silent, lease):
    lease(3600)
    reaper = Reaper(broker, WAS_NOT_LED)
    lease(0.02)

    assert reaper.tick() > 0
    assert status(broker, silent) == Status.PROCESSING


def test_a_lost_worker_is_shown_for_a_while_and_then_resigned(broker, silent, monkeypatch):
    reaper = Reaper(broker, WAS_LED)
    wait_until(lambda: reaper.tick() and status(broker, silent) == Status.PENDING)
    assert not broker.fleet.workers()["w1"].is_alive

    monkeypatch.setattr(module, "SHOW_LOST_SECONDS", 0)
    reaper.tick()

    assert broker.fleet.workers() == {}


def test_a_lost_agent_is_resigned(broker, lease, monkeypatch):
    monkeypatch.setattr(module, "SHOW_LOST_AGENT_SECONDS", 0)
    lease(0.02)
    broker.fleet.announce_agent("silent", {})
    lease(3600)
    broker.fleet.announce_agent("alive", {})
    lease(0.02)
    reaper = Reaper(broker, WAS_LED)

    wait_until(lambda: reaper.tick() and set(broker.fleet.agents()) == {"alive"})


def test_a_broken_task_of_one_worker_keeps_nobody_elses_back(broker, silent):
    broken, _ = held(broker, "a:0:x")
    odd, _ = held(broker, "b:0:x")
    broker.link.call("HSET", keys.key(0, "states"), broken.id, "no state")
    broker.fleet.announce("b", ["no", "dict"])
    reaper = Reaper(broker, WAS_LED)

    for task in (silent, odd):
        wait_until(lambda task=task: reaper.tick() and status(broker, task) == Status.PENDING)


def test_every_shard_is_reaped(broker, lease, settings):
    settings.DTPS = {**settings.DTPS, "SHARDS": {"far": 3}}
    lease(0.02)
    near, _ = held(broker)
    (far,) = submitted(broker, queue="far")
    assert ids_of(claim(broker, "w1:0:x", queues=["far"], shard=3)) == [far.id]
    reaper = Reaper(broker, WAS_LED)

    wait_until(lambda: reaper.tick() and not broker.fleet.workers()["w1"].lease_until_ms)

    assert (status(broker, near), status(broker, far)) == (Status.PENDING, Status.PENDING)


def test_the_pause_ends_with_the_next_lease_and_soon_in_any_case():
    def until(*leases_ms):
        return [Registered(str(n), {}, lease_ms, 1000) for n, lease_ms in enumerate(leases_ms)]

    assert pause_seconds(until()) == pause_seconds(until(11_000)) == PAUSE_SECONDS
    assert pause_seconds(until(11_000, 1250, 0, 1000)) == 0.25
    assert pause_seconds(until(1001)) == SHORTEST_SECONDS


def test_a_reaper_that_was_followed_takes_nothing_back(broker, silent):
    reaper = Reaper(broker.under(4), WAS_LED)
    broker.link.call("SET", keys.key(0, "term"), 5)

    with pytest.raises(LostLead):
        wait_until(lambda: reaper.tick() and status(broker, silent) == Status.PENDING)

    assert status(broker, silent) == Status.PROCESSING


def test_it_sweeps_for_what_no_crash_leaves_behind(broker, monkeypatch, caplog):
    monkeypatch.setattr(module, "SWEEP_SECONDS", 0)
    task, _ = held(broker)
    broker.link.call("DEL", keys.key(0, "held:w1:0:x"))
    reaper = Reaper(broker, WAS_LED)

    wait_until(lambda: reaper.tick() and status(broker, task) == Status.PENDING)

    assert f"event=repaired what=unheld task={task.id}" in caplog.text
