"""Rows F1 to F15: processes that are killed, stopped, stuck, starved, old or new."""

import os
import random
import resource
import signal
from pathlib import Path

import psutil
import pytest

from tasks_app.broker import keys
from tasks_app.broker.broker import Broker
from tasks_app.message import TaskMessage, now_us
from tasks_app.states import Status

from ..conftest import wait_until
from ..lua.world import EditedLink, dump
from ..lua.world import task as a_task
from .rig import SHORT, hold_for

LOST = "tasks_app.exceptions.WorkerLost"
TIMED_OUT = "tasks_app.exceptions.TaskTimeout"


def started(world, count, gate, **options):
    """Submit tasks that wait for a gate; return their executions once everybody sees them run."""
    ids = [world.producer.submit("effect_until", str(gate), **options) for _ in range(count)]
    for task_id in ids:
        world.wait_for(task_id, Status.PROCESSING)
    return [world.wait_for_start(task_id) for task_id in ids]


def is_running(pid):
    """Whether a process is there and not merely waits to be buried."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_F1_a_killed_executors_task_runs_again_and_its_neighbours_go_on(world, tmp_path):
    world.coordinator()
    world.worker(processes=3)
    first, second, third = started(world, 3, tmp_path / "gate")

    os.kill(first.pid, signal.SIGKILL)
    again = world.wait_for_start(first.id, times=2)
    (tmp_path / "gate").touch()

    (state, *others) = world.wait_until_final(first.id, second.id, third.id)
    assert again.pid != first.pid
    assert [line.outcome for line in state.attempts] == ["crashed", "completed"]
    assert "SIGKILL" in state.attempts[0].error
    assert {(s.status, s.starts, s.crashes) for s in others} == {(Status.COMPLETED, 1, 0)}
    assert world.settle().repeats == 1


def test_F2_a_killed_supervisor_takes_its_executors_along(short_world, tmp_path):
    world = short_world
    world.coordinator()
    lost = world.worker(processes=2)
    runs = started(world, 2, tmp_path / "gate")

    lost.signal(signal.SIGKILL)
    wait_until(lambda: not any(is_running(run.pid) for run in runs), "the executors' end")
    world.worker(processes=2)
    for run in runs:
        world.wait_for_start(run.id, times=2)
    (tmp_path / "gate").touch()

    for state in world.wait_until_final(*(run.id for run in runs)):
        assert [line.outcome for line in state.attempts] == ["crashed", "completed"]
    world.settle()


def test_F3_a_lost_hosts_tasks_are_run_by_others_what_waited_there_too(short_world, tmp_path):
    world = short_world
    world.coordinator()
    lost = world.worker()
    (run,) = started(world, 1, tmp_path / "gate", priority=50)
    behind = world.producer.submit_many(5, "effect")

    world.kill_host(lost)
    wait_until(lambda: not world.is_alive(lost.name), "the end of its lease")
    (tmp_path / "gate").touch()
    world.worker()

    state, *others = world.wait_until_final(run.id, *behind)
    assert [line.outcome for line in state.attempts] == ["crashed", "completed"]
    assert {(s.status, s.crashes) for s in others} == {(Status.COMPLETED, 0)}
    world.settle()
    assert not world.is_alive(lost.name)


@pytest.mark.parametrize("on_lease_lost", ["stop", "continue"])
def test_F4_a_zombie_that_wakes_up_changes_nothing(short_world, tmp_path, on_lease_lost):
    world = short_world
    world.coordinator()
    zombie = world.worker(ON_LEASE_LOST=on_lease_lost)
    (run,) = started(world, 1, tmp_path / "gate")

    with world.stopped(zombie):
        world.worker()
        world.wait_for_start(run.id, times=2)
        (tmp_path / "gate").touch()
        world.wait_until_final(run.id)
        before = world.final_record(run.id)
        stale = world.count("stale")
    # Its guard ends it, unless its supervisor was awake first and has a new lease.
    world.wait(
        lambda: (
            world.count("stale") > stale or (on_lease_lost == "stop" and not is_running(run.pid))
        ),
        "the zombie's late outcome, or its end",
    )
    after = world.producer.submit_many(4, "effect")

    world.wait_until_final(*after)
    assert world.recorded()[run.id] == before
    assert [line.outcome for line in before.attempts] == ["crashed", "completed"]
    world.settle()


def test_F4_a_late_outcome_leaves_no_trace_but_a_count(short_world, tmp_path):
    """Everything that Redis holds, byte by byte, while the database records nothing."""
    world = short_world
    world.options = SHORT | {"ON_LEASE_LOST": "continue"}
    coordinator = world.coordinator()
    zombie = world.worker()
    (run,) = started(world, 1, tmp_path / "gate")
    world.signal_all(zombie, signal.SIGSTOP)
    heir = world.worker()
    world.wait_for_start(run.id, times=2)
    world.kill_host(coordinator)
    (tmp_path / "gate").touch()
    world.wait_until_final(run.id)
    heir.stop()
    mine = ("payloads", "states", "changes", "held:", "due", "q:default:ready", "q:default:sch")
    before = contents(world, mine)
    stale = world.count("stale")

    world.signal_all(zombie, signal.SIGCONT)
    wait_until(lambda: world.count("stale") > stale, "the zombie's late outcome")

    assert contents(world, mine) == before
    world.coordinator()
    world.settle()


def contents(world, names):
    """What the server holds under names that begin so, to be compared."""
    broker = Broker(EditedLink(world.server.url))
    found = {name: value for name, value in dump(broker).items() if name.startswith(names)}
    broker.link.close()
    return found


@pytest.mark.parametrize("on_lease_lost", ["stop", "continue"])
def test_F5_a_stopped_supervisors_executors_end_before_its_lease_or_in_vain(
    short_world, tmp_path, on_lease_lost
):
    world = short_world
    world.coordinator()
    mute = world.worker(ON_LEASE_LOST=on_lease_lost)
    (run,) = started(world, 1, tmp_path / "gate")

    mute.signal(signal.SIGSTOP)
    try:
        if on_lease_lost == "stop":
            wait_until(lambda: not is_running(run.pid), "the executor's end")
        world.worker()
        world.wait_for_start(run.id, times=2)
        (tmp_path / "gate").touch()
        (state,) = world.wait_until_final(run.id)
    finally:
        mute.signal(signal.SIGCONT)

    assert state.status == Status.COMPLETED
    world.wait_until_final(*world.producer.submit_many(4, "effect"))
    world.settle()
    if on_lease_lost == "continue":
        assert is_running(run.pid) or "event=executor_died" in mute.log
        assert world.count("stale") >= 1


def test_F6_a_stop_shorter_than_the_lease_repeats_nothing(world, tmp_path):
    world.coordinator()
    worker = world.worker(processes=2)
    runs = started(world, 2, tmp_path / "gate")

    with world.stopped(worker):
        hold_for(2.0)  # the lease is 20 s
    (tmp_path / "gate").touch()

    world.wait_until_final(*(run.id for run in runs))
    assert world.settle().repeats == 0


def test_F7_a_task_that_holds_the_interpreters_lock_keeps_its_lease(short_world):
    world = short_world
    world.coordinator()
    world.worker()
    world.worker()
    task_id = world.producer.submit("effect_in_c", 3)  # the lease is 1.5 s

    (state,) = world.wait_until_final(task_id)

    assert (state.status, state.starts, state.crashes) == (Status.COMPLETED, 1, 0)
    assert world.settle().repeats == 0


def test_F7_a_task_that_holds_the_interpreters_lock_is_ended_by_its_timeout(world):
    world.leader()
    stuck = world.producer.submit("effect_in_c", 600, timeout=0.5)
    behind = world.producer.submit_many(5, "effect")

    state, *others = world.wait_until_final(stuck, *behind)

    assert (state.status, state.failures, state.crashes) == (Status.FAILED, 1, 0)
    assert state.attempts[-1].error_type == TIMED_OUT
    assert {(s.status, s.crashes) for s in others} == {(Status.COMPLETED, 0)}
    world.settle()


def test_F8_a_task_that_will_not_end_is_ended_with_all_that_it_started(world, tmp_path):
    world.leader(processes=2)
    (neighbour,) = started(world, 1, tmp_path / "gate")
    stubborn = world.producer.submit(
        "effect_without_end", str(tmp_path / "child"), timeout=0.5, max_attempts=2, backoff=0.0
    )
    run = world.wait_for_start(stubborn)

    (state,) = world.wait_until_final(stubborn)

    child = int((tmp_path / "child").read_text())
    wait_until(lambda: not is_running(run.pid) and not is_running(child), "the end of all of it")
    assert (state.status, state.failures, state.crashes) == (Status.FAILED, 2, 0)
    assert {line.error_type for line in state.attempts} == {TIMED_OUT}
    world.wait_until_final(*world.producer.submit_many(4, "effect"))  # its slot is back
    (tmp_path / "gate").touch()
    (other,) = world.wait_until_final(neighbour.id)
    assert (other.status, other.starts, other.crashes) == (Status.COMPLETED, 1, 0)
    world.settle()


def test_F9_poison_is_given_up_and_kills_no_innocent(world):
    worker = world.leader(processes=2)
    poison, innocent = [], []
    for how in ("killed", "exit", "segfault", "abort"):
        innocent += world.producer.submit_many(10, "effect", 0.01)
        poison.append(world.producer.submit("effect_of_poison", how, max_attempts=9))
        innocent += world.producer.submit_many(10, "effect", 0.01)

    states = world.wait_until_final(*poison)
    others = world.wait_until_final(*innocent)

    # One that had ended beside poison may not have been reported yet: it runs again, uncharged.
    assert {(s.status, s.crashes) for s in others} == {(Status.COMPLETED, 0)}
    for task_id, state in zip(poison, states, strict=True):
        assert (state.status, state.crashes, state.failures) == (Status.FAILED, 3, 0)
        assert len(world.executions(task_id)) == 3
    said = " ".join(state.attempts[0].error for state in states)
    assert "SIGKILL" in said and "SIGSEGV" in said and "7" in said
    world.settle()
    worker.stop()
    world.may_say.append("Fatal Python error: (Segmentation fault|Aborted)")


@pytest.mark.parametrize(
    ("bound", "name", "size"),
    [
        ({"RECYCLE_TASKS": 10}, "effect", 0.05),  # seconds
        ({"RECYCLE_MEMORY_MB": 150}, "effect_with_memory", 30),  # MB
    ],
)
def test_F10_an_executor_is_replaced_between_tasks_only(world, bound, name, size):
    world.leader(processes=2, **bound)
    ids = [world.producer.submit(name, size) for _ in range(60)]

    states = world.wait_until_final(*ids)

    assert {(s.status, s.starts, s.crashes) for s in states} == {(Status.COMPLETED, 1, 0)}
    assert len({run.pid for run in world.executions()}) > 2
    assert all(run.ended_ns for run in world.executions())
    assert world.settle().repeats == 0


def test_F11_a_rolling_deploy_loses_and_fails_and_repeats_nothing(world):
    world.coordinator()
    fleet = [world.worker(processes=2) for _ in range(2)]
    ids = world.producer.submit_many(300, "effect", 0.02)
    for _ in range(2):
        for old in fleet:
            world.wait_for_start(world.producer.submit("effect"))
            fleet = [*(w for w in fleet if w is not old), world.worker(processes=2)]
            fleet[-1].wait_for("event=executor_started")
            old.signal(signal.SIGTERM)
            ids += world.producer.submit_many(50, "effect", 0.02)

    states = world.wait_until_final(*ids)

    assert {(s.status, s.starts, s.crashes) for s in states} == {(Status.COMPLETED, 1, 0)}
    for old in world.processes[1:]:
        if old not in fleet:
            assert old.wait() == 0
            assert not world.is_alive(old.name)
    assert world.settle().repeats == 0


@pytest.mark.parametrize("seed", range(2))
def test_F12_signals_at_any_moment_end_it_in_order(world, tmp_path, seed):
    rng = random.Random(seed)
    world.coordinator()
    ids = world.producer.submit_many(40, "effect_until", str(tmp_path / "gate"))
    for _ in range(3):
        worker = world.worker(processes=2)
        worker.wait_for("event=worker_starting")
        hold_for(rng.uniform(0, 0.3))
        for number in rng.choices([signal.SIGTERM, signal.SIGINT, signal.SIGQUIT], k=3):
            hold_for(rng.uniform(0, 0.05))
            if worker.is_alive:
                worker.signal(number)
        assert worker.wait() == 0, worker.log
    (tmp_path / "gate").touch()
    world.worker(processes=2)

    states = world.wait_until_final(*ids)

    assert {(s.status, s.crashes, s.failures) for s in states} == {(Status.COMPLETED, 0, 0)}
    world.settle()


def test_F12_a_signal_before_it_has_begun_ends_it_without_a_word(world):
    world.coordinator()
    for number in range(4):
        worker = world.worker()
        hold_for(0.01 + number * 0.1)
        worker.signal(signal.SIGTERM)
        assert worker.wait() in (0, -signal.SIGTERM)
    world.settle()


def test_F13_a_worker_without_descriptors_waits_and_leaves_nothing_half_claimed(world, tmp_path):
    world.coordinator()
    worker = world.worker(processes=2)
    first, second = started(world, 2, tmp_path / "gate")
    waiting = world.producer.submit_many(10, "effect")

    used = len([*Path(f"/proc/{worker.pid}/fd").iterdir()])
    soft, hard = resource.prlimit(worker.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (used, hard))
    os.kill(first.pid, signal.SIGKILL)
    worker.wait_for("event=fork_failed")
    held = world.broker.loads([*worker.executors()])
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (soft, hard))
    (tmp_path / "gate").touch()

    states = world.wait_until_final(first.id, second.id, *waiting)
    assert [s.crashes for s in states] == [1] + [0] * 11
    assert {s.status for s in states} == {Status.COMPLETED}
    assert sum(held.values()) <= 1 + len(waiting)
    world.settle()


def test_F13_an_executor_without_descriptors_claims_nothing_that_it_cannot_start(world):
    worker = world.leader()
    world.wait_until_final(world.producer.submit("effect"))
    ((_, pid),) = worker.executors().items()
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, limits[1]))
    world.broker.link.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    ids = world.producer.submit_many(5, "effect")
    worker.wait_for("event=redis_away")

    states = world.live(ids).values()
    # It was idle, so the first one was handed to it; it claims no other.
    assert [s.status for s in states if s.status != Status.PENDING] in ([], [Status.ASSIGNED])
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)

    states = world.wait_until_final(*ids)
    assert {(s.status, s.starts, s.crashes) for s in states} == {(Status.COMPLETED, 1, 0)}
    world.settle()


NEWER = "tests.faults.newer_settings"


def test_F14_a_type_that_only_newer_code_knows_waits_for_newer_code(world):
    world.coordinator()
    old = world.worker()
    message = TaskMessage(
        id=a_task().id, type="tests.faults.newer.tasks.from_newer_code", submitted_us=now_us()
    )
    world.producer.send([message])
    old.wait_for("event=unknown_type")
    world.wait_for(message.id, Status.SCHEDULED)
    assert old.stop() == 0

    world.leader("--no-coordinator", settings=NEWER)

    (state,) = world.wait_until_final(message.id)
    assert (state.status, state.starts, state.failures, state.crashes) == (
        Status.COMPLETED, 1, 0, 0,
    )  # fmt: skip
    assert "from_newer_code" in state.attempts[0].error
    world.settle()


def test_F15_a_definition_of_a_newer_format_is_given_back_as_it_came(world):
    worker = world.leader()
    world.wait_until_final(world.producer.submit("effect"))
    one = a_task()
    definition = one.encode().replace(b"1|", b"2|", 1)

    world.broker.run("submit", 0, 0, 0, 0, 0, "", 0, one.id, definition, 0, "")
    worker.wait_for("event=unreadable")

    state = world.wait_for(one.id, Status.SCHEDULED)
    assert (state.starts, state.failures, state.crashes) == (0, 0, 0)
    assert world.broker.link.call("HGET", keys.key(0, "payloads"), one.id) == definition
    world.wait_until_final(world.producer.submit("effect"))
    world.broker.cancel([one.id])


def test_F15_scripts_of_two_builds_live_side_by_side(world):
    """A script is called by the hash of its text, so another build's is another script."""
    world.leader(processes=2)
    other_build = EditedLink(world.server.url)
    other_build.edit("-- submit: ", "-- submit, of another build: ", only="submit")
    other_build.edit("-- exchange: ", "-- exchange, of another build: ", only="exchange")
    theirs = Broker(other_build)
    theirs.fleet.announce("theirs", {}, executors=["theirs:0:x"])
    world.producer.broker = theirs
    ids = []
    for _ in range(20):
        ids += world.producer.submit_many(5, "effect")
        claimed = theirs.claim("theirs:0:x", "theirs", ["default"], 1)
        held = {task.message.id: claimed.token for task in claimed.claimed}
        theirs.release("theirs:0:x", held)

    states = world.wait_until_final(*ids)

    assert {s.status for s in states} == {Status.COMPLETED}
    world.settle()
    theirs.fleet.resign("theirs")
    theirs.link.close()
