"""Rows D1 to D8: a recorder that dies, and a database that is away, locked, or hard to please."""

import os
import signal
import threading

import pytest

from tasks_app.exceptions import QueueFull
from tasks_app.states import Status

from .producer import REFUSED
from .rig import CALM, hold_for


def test_D1_D2_recorders_that_are_killed_at_any_moment_lose_and_double_nothing(world):
    """Two candidates at once, so that an old batch may be written late."""
    world.worker(processes=2)
    coordinators = [world.coordinator(), world.coordinator()]
    for round_ in range(3):
        ids = world.producer.submit_many(500, "effect")
        recorded = len(world.recorded())
        world.wait(lambda: len(world.recorded()) > recorded, "the first of a batch")  # noqa: B023
        world.kill_host(coordinators[round_ % 2])
        coordinators[round_ % 2] = world.coordinator()

    world.wait_until_final(*ids)
    assert world.settle().repeats == 0
    assert len(world.recorded()) == 1500


def test_D3_a_locked_database_stops_nobody_and_loses_nothing(make_world, settings):
    settings.DTPS = {**settings.DTPS, "MAX_RECORDER_LAG": 200}
    world = make_world(options=CALM | {"MAX_RECORDER_LAG": 200})
    world.leader(processes=2)
    world.wait_until_final(world.producer.submit("effect"))
    world.wait(lambda: world.recorded(), "the first record")

    with world.database.lock():
        ids = world.producer.submit_many(300, "effect")
        world.wait(
            lambda: {s.status for s in world.live(ids).values()} == {Status.COMPLETED},
            "the end of all tasks without a database",
        )
        one_by_one = []
        while not world.producer.errors:
            one_by_one += world.producer.offer(1, "effect", run_after_us=FAR)
        assert isinstance(world.producer.errors[0], QueueFull)
        assert len(world.live(ids)) == 300  # nothing is forgotten that is not recorded
        world.broker.cancel(one_by_one)

    world.wait_until_final(*ids)
    world.settle()
    assert world.producer.told[world.producer.offer(1, "effect")[0]] != REFUSED
    world.settle()


FAR = 4_000_000_000_000_000  # some moment in the year 2096


AWKWARD = [
    "'a NUL: \\x00'",
    "'half a pair: \\ud800'",
    "[float('nan'), float('inf')]",
    "12345678901234567890123",
    "{'\\x00': ['\\x00']}",
    "'\\u2028 \\U0001f600 ' * 1000",
    "b'\\xff\\xfe'",
    "{1: {2: {3: None}}}",
    "10 ** 400",
]


def _awkward(world):
    ids = [world.producer.submit("effect_with_result", result) for result in AWKWARD]
    ids += world.producer.submit_many(20, "effect")
    world.wait_until_final(*ids)
    world.settle()
    assert world.recorded().keys() == {*ids}
    quarantined = world.database.query("SELECT count(*) FROM tasks_app_quarantine")
    assert quarantined == [(0,)]


def test_D4_whatever_a_task_returns_is_recorded_with_all_others(world):
    world.leader(processes=2)
    _awkward(world)


def test_D4_D5_postgres_too_records_whatever_comes_and_however_often(postgres_world):
    world = postgres_world
    world.leader(processes=2)
    again = [world.producer.submit("effect_after_failures", 4, backoff=0.0) for _ in range(20)]
    _awkward_ids = [world.producer.submit("effect_with_result", r) for r in AWKWARD]

    states = world.wait_until_final(*again)

    assert {(s.status, s.failures, len(s.attempts)) for s in states} == {(Status.COMPLETED, 4, 5)}
    world.wait_until_final(*_awkward_ids)
    world.settle()


def test_D6_locks_and_killed_sessions_are_waited_out(postgres_world):
    world = postgres_world
    coordinator = world.coordinator()
    world.worker(processes=2)
    ids = []
    for _ in range(3):
        ids += world.producer.submit_many(200, "effect")
        world.wait(lambda: len(world.recorded()) > len(ids) - 200, "some records")  # noqa: B023
        with world.database.lock():
            ids += world.producer.submit_many(200, "effect")
            world.wait(
                lambda: all(s.status == Status.COMPLETED for s in world.live(ids).values()),  # noqa: B023
                "the end of all tasks behind a lock",
            )
            world.database.do(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE query LIKE '%tasks_app_taskrecord%' AND wait_event_type = 'Lock'"
            )

    world.wait_until_final(*ids)
    world.settle()
    assert coordinator.is_alive


def test_D8_a_database_that_crashes_and_recovers_is_an_outage_that_passes(postgres_world):
    """A killed session makes Postgres end all others and start again from its log."""
    world = postgres_world
    coordinator = world.coordinator()
    worker = world.worker(processes=2)
    ids = world.producer.submit_many(300, "effect")
    world.wait(lambda: world.recorded(), "the first record")
    (backend,) = world.database.query(
        "SELECT pid FROM pg_stat_activity WHERE datname = 'postgres'"
        " AND pid <> pg_backend_pid() LIMIT 1"
    )
    os.kill(backend[0], signal.SIGKILL)
    ids += world.producer.submit_many(300, "effect")

    world.wait(lambda: len(_after_crash(world)) == 600, "all records")
    world.settle()
    assert coordinator.is_alive
    assert worker.is_alive


def _after_crash(world):
    try:
        return world.recorded()
    except Exception:  # noqa: BLE001 (it is being started)
        return {}


def test_D8_a_task_is_found_at_every_moment_while_it_moves_to_the_record(world):
    world.leader(processes=2)
    missed, seen = [], []
    is_over = threading.Event()

    def look():
        while not is_over.is_set():
            for task_id in world.producer.ids("acked")[-20:]:
                seen.append(task_id)
                if world.state(task_id) is None:
                    missed.append(task_id)

    thread = threading.Thread(target=look)
    thread.start()
    for _ in range(30):
        world.producer.submit_many(10, "effect")
        hold_for(0.02)
    is_over.set()
    thread.join()

    assert missed == []
    assert len(seen) > 100
    world.settle()


@pytest.mark.parametrize("how", ["BEGIN EXCLUSIVE"])
def test_D3_a_leader_that_cannot_write_goes_on_with_its_other_duties(world, how):
    world.leader()
    with world.database.lock():
        task_id = world.producer.submit("effect_after_failures", 3)
        world.wait(
            lambda: world.live([task_id])[task_id].status == Status.COMPLETED, "all four attempts"
        )

    (state,) = world.wait_until_final(task_id)
    assert len(state.attempts) == 4
    world.settle()
