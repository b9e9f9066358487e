"""What a busy executor has not started goes to an idle one, whatever keeps it busy."""

import json

import pytest

from tasks_app.broker import keys
from tasks_app.states import Status

from ..conftest import wait_until

# Of two queues: a wake-up then brings no task along, and the executor claims all of them at once.
POOL = ("--queues", "default,other", "--processes", "1", "--threads", "1", "--min", "1",
        "--max", "1", "--no-coordinator")  # fmt: skip
BEHIND = 49


# What does not move goes back after two renewals: late enough for others to come first. And all
# tasks are claimed at once, however slow the machine is.
PATIENT = {"RENEW_SECONDS": 3, "SLICE_SECONDS": 60}


@pytest.fixture
def begin(queue, start):
    """Starts a worker that is ended, with what it runs, when the test is over."""
    started = []

    def begin(worker, *options, **settings):
        env = {"TEST_DTPS": json.dumps(PATIENT | settings)}
        started.append(start("runworker", "--id", worker, *POOL, *options, env=env))
        wait_until(lambda: queue.said(worker), "the worker's registration")
        return started[-1]

    yield begin
    for process in started:
        assert process.hurry() == 0


@pytest.fixture
def idle(queue, begin):
    """Gives a worker that is ready to work, and does so once it is told to."""

    def wait(worker, *options):
        begin(worker, *options)
        queue.broker.fleet.order(worker, {"order": "pause"})
        wait_until(lambda: queue.said(worker)["status"] == "paused", "its pause")
        return lambda: queue.broker.fleet.order(worker, {"order": "resume"})

    return wait


@pytest.fixture
def loaded(queue, begin, tmp_path):
    """Gives a worker one slot and 50 tasks in hand, the first of which runs for long."""
    gate = tmp_path / "gate"
    taken = []

    def load(worker, blocker, *options, **settings):
        process = begin(worker, *options, **settings)
        for _ in range(20):  # so that it takes tasks of these types to be short
            queue.wait_until_final(queue.submit("echo"))
        wait_until(lambda: is_idle(queue, worker), "the end of its look for more")
        first = queue.request(*blocker(gate), priority=50)
        ids = queue.submit_together([first, *(queue.request("echo") for _ in range(BEHIND))])
        taken.extend(ids)
        wait_until(lambda: queue.state(ids[-1]).status != Status.PENDING, "the claim of all")
        return process, ids

    yield load
    gate.touch()
    queue.broker.cancel(taken)


def is_idle(queue, worker):
    found = queue.broker.link.call("ZRANGE", keys.key(0, "q:default:idle"), 0, -1)
    return any(executor.decode().startswith(f"{worker}:") for executor in found)


def waits(gate):
    return "block_until", str(gate)


def holds_the_lock(gate):
    return "hold_the_lock", 30


@pytest.mark.parametrize("blocker", [waits, holds_the_lock])
def test_an_idle_worker_takes_over_what_waits_behind_a_long_task(queue, idle, loaded, blocker):
    go = idle(f"thief-{blocker.__name__}")
    victim, ids = loaded(f"victim-{blocker.__name__}", blocker)
    go()

    states = [queue.wait_until_final(i) for i in ids[1:]]

    assert {(s.status, s.starts) for s in states} == {(Status.COMPLETED, 1)}
    assert {s.attempts[0].worker for s in states} == {f"thief-{blocker.__name__}"}
    queue.wait_for(ids[0], Status.PROCESSING)
    assert "event=handed_over" in victim.log
    thief, victim = (f"{who}-{blocker.__name__}" for who in ("thief", "victim"))
    wait_until(lambda: queue.said(thief)["stolen"] == BEHIND, "a thief that says so")
    wait_until(lambda: queue.said(victim)["stolenFrom"] == BEHIND, "a victim that says so")


def test_a_worker_with_stealing_off_is_not_stolen_from_but_gives_back_what_it_cannot_do(
    queue, idle, loaded
):
    go = idle("hungry")
    victim, ids = loaded("protected", waits, "--no-steal", RENEW_SECONDS=0.5)
    go()

    states = [queue.wait_until_final(i) for i in ids[1:]]

    assert {s.attempts[0].worker for s in states} == {"hungry"}
    assert "event=handed_over" not in victim.log
    assert "event=gave_back" in victim.log
    assert queue.said("protected")["stolenFrom"] == 0


def test_a_worker_with_stealing_off_takes_nothing_over(queue, idle, loaded):
    go = idle("honest", "--no-steal")
    victim, ids = loaded("unrelieved", waits, RENEW_SECONDS=0.5)
    go()

    states = [queue.wait_until_final(i) for i in ids[1:]]

    assert {s.attempts[0].worker for s in states} == {"honest"}
    assert "event=handed_over" not in victim.log
    assert queue.said("honest")["stolen"] == 0


def test_protection_is_an_option(queue, idle, loaded):
    go = idle("taking")
    victim, ids = loaded("unprotected", waits, "--no-steal", STEAL_PROTECTS=False)
    go()

    for task_id in ids[1:]:
        queue.wait_until_final(task_id)

    assert "event=handed_over" in victim.log
