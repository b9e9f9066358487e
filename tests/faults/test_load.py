"""Rows L1 to L15: tasks that are too big, too odd, too many, too late, or wanted and not."""

import os
import random
import signal
import threading
from contextlib import suppress

import pytest

from tasks_app.enqueue import TaskRequest, message_of
from tasks_app.exceptions import DuplicateTask, QueueUnavailable
from tasks_app.message import now_us
from tasks_app.registry import get
from tasks_app.states import FINAL, OPEN, Status

from ..conftest import wait_until
from .producer import ACKED
from .rig import CALM, hold_for
from .test_processes import started

TOO_LARGE = "tasks_app.exceptions.ValueTooLarge"


def memory_of(world):
    info = world.broker.link.call("INFO", "memory").decode()
    return int(info.partition("used_memory:")[2].partition("\r")[0])


def test_L1_a_result_of_100_mb_fails_its_task_and_never_reaches_the_server(world):
    world.leader()
    world.wait_until_final(world.producer.submit("effect"))
    before = memory_of(world)

    huge = world.producer.submit("effect_with_result", "'x' * 100_000_000", max_attempts=3)
    (state,) = world.wait_until_final(huge)

    assert (state.status, state.failures) == (Status.FAILED, 1)
    assert state.attempts[-1].error_type == TOO_LARGE
    assert memory_of(world) - before < 2_000_000
    world.wait_until_final(*world.producer.submit_many(3, "effect"))
    world.settle()


EVIL = {
    "a cycle": "(lambda x: x.append(x) or x)([])",
    "an object": "object()",
    "a repr that raises": "type('Evil', (), {'__repr__': lambda self: 1 / 0})()",
    "a str that ends the process": "type('Evil', (str,), {'__str__': lambda self: exit(3)})('x')",
    "a dict that lies": "type('Evil', (dict,), {'items': lambda self: iter([(1,)])})(a=1)",
    "a reduce that raises": "type('Evil', (), {'__reduce__': lambda self: 1 / 0})()",
    "too deep": "(lambda f: f(f, 5000))(lambda f, n: [f(f, n - 1)] if n % 900 else [])",
    "an error whose text raises": (
        "(_ for _ in ()).throw(type('E', (Exception,), {'__str__': lambda self: 1 / 0})())"
    ),
    "an endless recursion": "(lambda f: f(f))(lambda f: f(f))",
    "the end of the program": "exit(1)",
    "an interrupt": "(_ for _ in ()).throw(KeyboardInterrupt())",
}


def test_L2_whatever_is_returned_or_raised_the_task_ends(world):
    worker = world.leader()
    ids = [world.producer.submit("effect_with_result", result) for result in EVIL.values()]

    states = world.wait_until_final(*ids)

    ends = {name: state.status for name, state in zip(EVIL, states, strict=True)}
    assert set(ends.values()) <= {Status.FAILED, Status.COMPLETED}, ends
    assert {state.crashes for state in states} == {0}
    assert len(worker.executors()) == 1
    world.settle()


def test_L4_stolen_tasks_are_started_once(world, tmp_path):
    """Two workers of one slot: what waits behind a long task is run by the other one."""
    world.coordinator()
    world.worker()
    world.wait_until_final(*world.producer.submit_many(200, "effect"))  # a type that was quick
    world.broker.pause("default")
    ids = world.producer.submit_many(1, "effect_until", str(tmp_path / "gate"), priority=90)
    ids += world.producer.submit_many(300, "effect", 0.001)
    world.broker.resume("default")
    thieves = [world.worker() for _ in range(2)]

    states = world.wait_until_final(*ids[1:])
    (tmp_path / "gate").touch()

    assert {(s.status, s.starts, s.crashes) for s in states} == {(Status.COMPLETED, 1, 0)}
    assert all(thief.is_alive for thief in thieves)
    assert world.settle().repeats == 0


def test_L5_two_coordinators_charge_a_lost_worker_once(short_world, tmp_path):
    world = short_world
    for _ in range(2):
        world.coordinator()
    for _ in range(2):
        (tmp_path / "gate").unlink(missing_ok=True)
        lost = world.worker(processes=2)
        runs = started(world, 2, tmp_path / "gate")
        world.kill_host(lost)
        wait_until(lambda: not world.is_alive(lost.name), "the end of its lease")  # noqa: B023
        heir = world.worker(processes=2)
        (tmp_path / "gate").touch()
        for state in world.wait_until_final(*(run.id for run in runs)):
            assert (state.status, state.crashes, state.starts) == (Status.COMPLETED, 1, 2)
        assert heir.stop() == 0
    world.settle()


def test_L6_a_storm_of_retries_lets_fresh_work_pass(world):
    world.leader(processes=2)
    storm = world.producer.submit_many(1000, "effect_after_failures", 3, backoff=0.2)
    fresh = world.producer.submit_many(20, "effect", priority=50)

    first = world.wait_until_final(*fresh)
    still_open = [s for s in world.live(storm).values() if s.status in OPEN]
    states = world.wait_until_final(*storm)

    assert {s.status for s in first} == {Status.COMPLETED}
    assert still_open, "the storm was over before it began"
    assert {(s.status, s.failures, s.starts) for s in states} == {(Status.COMPLETED, 3, 4)}
    world.settle()


def test_L9_a_task_that_is_submitted_fifty_times_exists_once_whatever_dies_between(world):
    """The id is the key: what is known is refused as known, what was unknown becomes known."""
    world.coordinator()
    request = TaskRequest(type=get("tests.sample.effects.effect"))
    messages = [message_of(request) for _ in range(10)]
    known = []

    def submit_until_known():
        for message in messages:
            with suppress(DuplicateTask):
                while True:
                    try:
                        world.broker.submit(message)
                    except QueueUnavailable:
                        hold_for(0.05)
                    else:
                        break
            known.append(message.id)

    threads = [threading.Thread(target=submit_until_known) for _ in range(50)]
    for thread in threads:
        thread.start()
    world.end_server()
    world.server.start()
    for thread in threads:
        thread.join()

    assert len(known) == 500
    with pytest.raises(DuplicateTask):
        world.broker.submit_many(messages[:1])
    assert world.broker.stats().ready == 10
    world.producer.told = dict.fromkeys(known, ACKED)
    world.worker()
    world.wait_until_final(*world.producer.told)
    assert len(world.executions()) == 10
    world.settle()


@pytest.mark.parametrize("threads", [1, 3])
def test_L10_a_cancel_that_races_with_everything_leaves_one_end(world, threads):
    rng = random.Random(threads)
    world.coordinator()
    for _ in range(2):
        world.worker(threads=threads)
    answers = {}
    for round_ in range(30):
        ids = world.producer.submit_many(3, "effect", 0.01)
        ids += world.producer.submit_many(3, "effect_after_failures", 2)
        ids += world.producer.submit_many(2, "effect_in_coroutine", 0.02)
        hold_for(rng.uniform(0, 0.06))
        answers |= world.broker.cancel(rng.sample(ids, 4))
        if round_ == 15:
            long = world.producer.submit_many(4, "effect", 60)
            world.wait_for_start(long[0])
            answers |= world.broker.cancel(long)

    ids = list(answers)
    for task_id, state in zip(ids, world.wait_until_final(*ids), strict=True):
        before = answers[task_id]
        if before in OPEN:
            assert state.status == Status.CANCELLED, (task_id, before, state)
        elif before in FINAL:
            assert state.status == before
        else:  # it had ended and was forgotten already
            assert state.status == Status.COMPLETED
    world.settle()


def test_L13_a_worker_grows_and_shrinks_within_its_bounds_and_ends_nothing(make_world):
    quick = {"SCALE_DOWN_SECONDS": 1, "SCALE_TARGET_SECONDS": 1}
    unbounded = {"SCALE_CPU_PERCENT": 1000, "SCALE_MEMORY_PERCENT": 1000}
    world = make_world(options=CALM | quick | unbounded)
    world.coordinator()
    worker = world.leader("--min", "1", "--max", "3", "--no-coordinator", processes=1)
    slots = []

    def look():
        said = world.broker.fleet.workers().get(worker.name)
        if said and said.said.get("slots"):
            slots.append(said.said["slots"])
        return slots

    ids = world.producer.submit_many(120, "effect", 0.1)
    world.wait(lambda: look() and slots[-1] == 3, "the most slots")
    states = world.wait_until_final(*ids)
    world.wait(lambda: look() and slots[-1] == 1, "the fewest slots")

    assert {*slots} <= {1, 2, 3}
    assert {(s.status, s.starts, s.crashes) for s in states} == {(Status.COMPLETED, 1, 0)}
    assert all(run.ended_ns for run in world.executions())
    assert len(world.broker.fleet.decisions()) >= 2
    assert world.settle().repeats == 0


def test_L14_what_has_expired_does_not_begin(world):
    world.coordinator()
    soon = now_us() + 300_000
    ids = world.producer.submit_many(5, "effect", expires_us=soon)  # nobody is there to run them
    later = world.producer.submit_many(5, "effect", expires_us=now_us() + 10**9)
    states = world.wait_until_final(*ids)
    world.worker()
    others = world.wait_until_final(*later)
    past = world.producer.submit_many(3, "effect", run_after_us=1)
    others += world.wait_until_final(*past)
    far = world.producer.submit_many(3, "effect", run_after_us=253_402_300_799_999_999)

    assert {(s.status, s.starts) for s in states} == {(Status.EXPIRED, 0)}
    assert {s.status for s in others} == {Status.COMPLETED}
    assert {s.status for s in world.live(far).values()} == {Status.SCHEDULED}
    world.broker.cancel(far)
    world.settle()
    assert not {run.id for run in world.executions()} & {*ids, *far}


def test_L15_what_runs_in_a_paused_queue_ends_and_what_is_given_back_waits_there(world, tmp_path):
    worker = world.leader()
    (run,) = started(world, 1, tmp_path / "gate", priority=90)
    behind = world.producer.submit_many(5, "effect")

    world.broker.pause("default")
    os.kill(run.pid, signal.SIGKILL)  # it goes back, to a queue that gives nothing out
    world.wait_for(run.id, Status.PENDING)
    wait_until(lambda: len(worker.executors()) == 1, "the next executor")
    (tmp_path / "gate").touch()
    assert {s.status for s in world.live([run.id, *behind]).values()} == {Status.PENDING}
    world.broker.resume("default")
    world.wait_until_final(run.id, *behind)

    (tmp_path / "gate").unlink()
    (run,) = started(world, 1, tmp_path / "gate")
    behind = world.producer.submit_many(5, "effect")
    world.broker.pause("default")
    world.broker.purge("default")
    purged = world.wait_until_final(*behind)
    (tmp_path / "gate").touch()
    (state,) = world.wait_until_final(run.id)

    assert {s.status for s in purged} == {Status.CANCELLED}
    assert state.status == Status.COMPLETED
    world.broker.resume("default")
    world.settle()
