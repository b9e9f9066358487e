"""An executor in a process of its own; the test plays its supervisor, with the board in hand."""

import asyncio
import contextlib
import os
import signal
from secrets import token_hex

import psutil
import pytest
from asgiref.sync import sync_to_async

from tasks_app.broker import Broker, connection, keys
from tasks_app.broker.answers import Settlement
from tasks_app.broker.connection import Link
from tasks_app.states import Status
from workers_app.executor.blackbox import BlackBox, stacks_by_task, stacks_by_thread
from workers_app.executor.board import CANCELLED, TIMED_OUT, Board
from workers_app.executor.executor import Executor
from workers_app.executor.spool import read_spool, spool_path
from workers_app.supervisor.child import Lifeline, fork_child
from workers_app.supervisor.crash import lost

from ..conftest import wait_until

TIMEOUT = "tasks_app.exceptions.TaskTimeout"


class Running:
    """An executor that runs, and what its supervisor knows of it."""

    def __init__(self, queue, queues=("default",), threads=1, **options):
        self.broker = queue.broker
        self.name = f"w1:0:{token_hex(4)}"
        self.board, self.box, self.lifeline = Board(), BlackBox(), Lifeline()
        self.broker.fleet.announce("w1", {}, executors=[self.name])
        self.executor = None  # in the child
        self.pid = fork_child(
            "executor under test", self.lifeline,
            lambda: self._run(queues, threads, options), lambda: self.executor.stop(), leads=True,
        )  # fmt: skip

    def _run(self, queues, threads, options):
        self.box.open()
        link = Link(self.broker.link.url, timeout=1.0)
        self.executor = Executor(
            Broker(link), self.name, "w1", queues, threads, self.board, **options
        )
        self.executor.run()

    def attempt(self, task_id):
        """What the board says of a running task."""
        found = {each.id: each for each in self.board.attempts()}
        return found.get(task_id)

    def wait_until_idle(self):
        """Until it sleeps, and whoever wakes it makes it ask for all that it can take."""
        call, idle = self.broker.link.call, keys.key(0, "q:default:idle")
        wait_until(
            lambda: call("ZSCORE", idle, self.name) and not call("LLEN", keys.wake(0, self.name)),
            "an idle executor",
        )

    def wait_for(self, task_id):
        return wait_until(lambda: self.attempt(task_id), f"the start of {task_id}")

    def ask(self, task_id, reason=TIMED_OUT):
        attempt = self.wait_for(task_id)
        assert self.board.ask(*attempt[:3], reason)
        os.kill(self.pid, signal.SIGUSR1)

    def end(self, number=signal.SIGTERM):
        """End it. Return how it ended."""
        os.kill(self.pid, number)
        _, status = os.waitpid(self.pid, 0)
        self.pid = None
        return os.waitstatus_to_exitcode(status)

    def close(self):
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                self.end(signal.SIGKILL)
        self.board.close()
        self.box.close()


@pytest.fixture(autouse=True)
def _spools(settings, tmp_path):
    settings.DTPS = {**settings.DTPS, "SPOOL_DIR": str(tmp_path / "spools")}


@pytest.fixture
def run(queue, _spools):
    """Starts executors, which are ended with the test; and so is what they leave in Redis."""
    queue.broker.link.call("FLUSHALL")
    started = []

    def run(**options):
        started.append(Running(queue, **options))
        return started[-1]

    yield run
    for each in started:
        each.close()


POOLS = [{}, {"kind": "threads"}, {"threads": 2}]


@pytest.mark.parametrize("options", POOLS, ids=["main", "one-thread", "threads"])
def test_a_task_over_its_limit_ends_and_its_executor_goes_on(queue, run, tmp_path, options):
    executor = run(**options)
    task_id = queue.submit("obey", str(tmp_path / "gate"), timeout=0.05)

    executor.ask(task_id)
    state = queue.wait_until_final(task_id)
    after = queue.wait_until_final(queue.submit("echo"))

    assert (state.status, state.starts, state.failures) == (Status.FAILED, 1, 1)
    assert state.attempts[0].error_type == TIMEOUT
    assert state.attempts[0].error == "The attempt took longer than its limit of 0.05 s."
    assert after.status == Status.COMPLETED
    assert executor.end() == 0


def test_a_coroutine_over_its_limit_ends_and_others_beside_it_do_not(queue, run, tmp_path):
    executor = run()
    gate = tmp_path / "gate"
    beside = queue.submit("obey_in_a_coroutine", str(gate))
    task_id = queue.submit("obey_in_a_coroutine", str(tmp_path / "never"), timeout=0.05)
    executor.wait_for(beside)

    executor.ask(task_id)
    state = queue.wait_until_final(task_id)
    gate.touch()

    assert state.attempts[0].error_type == TIMEOUT
    assert queue.wait_until_final(beside).status == Status.COMPLETED


def test_a_project_that_used_asyncio_before_the_fork_has_working_coroutines(queue, run):
    asyncio.run(sync_to_async(queue.broker.stats)())  # in a thread that no child will have

    run()

    task_id = queue.submit("call_sync_code_in_a_coroutine")
    assert queue.wait_until_final(task_id).status == Status.COMPLETED


def test_a_main_thread_in_c_does_not_keep_a_coroutine_from_being_interrupted(queue, run, tmp_path):
    executor = run()
    task_id = queue.submit("obey_in_a_coroutine", str(tmp_path / "never"), timeout=0.05)
    executor.wait_for(task_id)
    executor.wait_for(queue.submit("block_in_c", 60))

    executor.ask(task_id)

    assert queue.wait_until_final(task_id).attempts[0].error_type == TIMEOUT


@pytest.mark.parametrize("name", ["obey", "obey_in_a_coroutine"])
def test_a_cancelled_task_ends_and_stays_cancelled(queue, run, tmp_path, name):
    executor = run()
    task_id = queue.submit(name, str(tmp_path / "gate"))
    executor.wait_for(task_id)

    queue.broker.cancel([task_id])
    (running,) = executor.board.cancel([task_id])
    executor.ask(running.id, CANCELLED)
    wait_until(lambda: not executor.board.held(), "a free slot")
    state = queue.state(task_id)

    assert (state.status, [each.outcome for each in state.attempts]) == (
        Status.CANCELLED, ["cancelled"],
    )  # fmt: skip
    assert queue.wait_until_final(queue.submit("echo")).status == Status.COMPLETED
    assert queue.broker.stats().count("stale") == 0
    assert "event=failed" not in executor.box.last_lines(100)


def test_the_late_end_of_an_abandoned_task_counts_for_nothing(queue, run, tmp_path):
    executor = run(kind="threads", threads=2)
    gate = tmp_path / "gate"
    task_id = queue.submit("stay", str(gate))
    executor.ask(task_id)  # in vain
    attempt = executor.attempt(task_id)

    assert executor.board.abandon(*attempt[:3])
    settled = Settlement(
        id=task_id, token=attempt.token, outcome="failed", line=b'{"outcome":"failed"}'
    )
    assert queue.broker.finish(executor.name, [settled]) == []
    assert executor.board.load() == (0, 0)
    gate.touch()
    wait_until(lambda: not executor.board.held(), "a free slot")
    after = queue.wait_until_final(queue.submit("echo"))

    assert queue.state(task_id).status == Status.FAILED
    assert after.status == Status.COMPLETED
    assert queue.broker.stats().count("stale") == 0


def test_an_executor_ends_though_an_abandoned_task_does_not(queue, run, tmp_path):
    executor = run(kind="threads")
    task_id = queue.submit("stay", str(tmp_path / "gate"))
    attempt = executor.wait_for(task_id)

    executor.board.abandon(*attempt[:3])

    assert executor.end() == 0
    assert executor.board.abandoned == 1


def test_a_pool_of_threads_grows_and_shrinks_with_nothing_interrupted(queue, run, tmp_path):
    executor = run(kind="threads", threads=1)
    gate, second = tmp_path / "gate", tmp_path / "second"
    ids = [queue.submit("block_until", str(gate)) for _ in range(3)]
    executor.wait_for(ids[0])
    threads = psutil.Process(executor.pid).num_threads()

    executor.board.threads = 3
    os.kill(executor.pid, signal.SIGUSR1)
    wait_until(lambda: executor.board.load()[0] == 3, "three at once")
    executor.board.threads = 1
    os.kill(executor.pid, signal.SIGUSR1)
    gate.touch()
    assert {queue.wait_until_final(i).status for i in ids} == {Status.COMPLETED}
    wait_until(lambda: psutil.Process(executor.pid).num_threads() == threads, "the others' end")
    more = [queue.submit("block_until", str(second)) for _ in range(3)]
    executor.wait_for(more[0])
    assert executor.board.load()[0] == 1
    second.touch()

    assert {queue.wait_until_final(i).status for i in more} == {Status.COMPLETED}
    assert {queue.state(i).starts for i in ids + more} == {1}


def test_an_idle_executor_of_two_queues_runs_what_it_steals(queue, run):
    thief = run(queues=("default", "mail"))
    victim = f"w1:1:{token_hex(4)}"
    queue.broker.fleet.announce("w1", {}, executors=[victim, thief.name])
    wait_until(lambda: queue.broker.taker("w1", victim, ["default"]) == thief.name, "an offer")
    queue.broker.pause("default")  # so that the thief does not just claim them
    ids = [queue.submit("echo", n) for n in range(200)]
    queue.broker.resume("default")
    claimed = queue.broker.exchange(victim, "w1", ["default"], limit=200, idle_ms=0)
    held = {task.message.id: claimed.token for task in claimed.claimed}

    wait_until(lambda: queue.broker.taker("w1", victim, ["default"]) == thief.name, "an offer")
    moved = queue.broker.steal(victim, thief.name, held)

    assert len(moved) == len(held) > 0
    assert {queue.wait_until_final(i).starts for i in ids} == {1}
    assert thief.board.counts().stolen == len(moved)


def test_one_that_does_not_steal_offers_nothing(queue, run):
    executor = run(queues=("default", "mail"), steals=False)
    idle = keys.key(0, "q:default:idle")

    wait_until(lambda: queue.broker.link.client().zcard(idle), "an idle executor")

    assert queue.broker.taker("w1", f"not {executor.name}", ["default"]) == ""


def test_a_suspect_is_published_before_it_starts_so_that_a_second_loss_is_charged(queue, run):
    task_id = queue.submit("die")
    first = run()
    _, status = os.waitpid(first.pid, 0)
    first.pid = None
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    queue.broker.reap(
        "w1", first.name, reason=lost("w1", "It died."), started=list(first.board.began()),
        queues=["default"],
    )  # fmt: skip
    assert queue.wait_for(task_id, Status.PENDING).is_suspect

    second = run()
    os.waitpid(second.pid, 0)
    second.pid = None
    state = queue.state(task_id)

    assert (state.status, state.starts) == (Status.PROCESSING, 2)


def test_a_hundred_coroutines_leave_room_for_others(queue, run, tmp_path):
    executor = run()
    gate = tmp_path / "gate"
    ids = [queue.submit("obey_in_a_coroutine", str(gate)) for _ in range(100)]
    wait_until(lambda: executor.board.load()[0] == 100, "all at once")

    last = queue.wait_until_final(queue.submit("echo"))
    more = [queue.submit("obey_in_a_coroutine", str(gate)) for _ in range(3)]
    wait_until(lambda: executor.board.load()[1], "one that waits in hand")
    gate.touch()

    assert last.status == Status.COMPLETED
    assert {queue.wait_until_final(i).status for i in ids + more} == {Status.COMPLETED}


def test_its_beats_stop_while_something_holds_the_interpreters_lock(queue, run):
    executor = run()
    wait_until(lambda: executor.board.beats() > 3, "some beats")
    executor.wait_for(queue.submit("hold_the_lock", 60))

    def is_mute():
        before = executor.board.beats()
        with contextlib.suppress(AssertionError):
            wait_until(lambda: executor.board.beats() > before, "a beat", seconds=0.5)
        return executor.board.beats() == before

    wait_until(is_mute, "silence")
    mark = executor.box.stacks_mark()
    os.kill(executor.pid, signal.SIGUSR2)

    def stack():
        return stacks_by_thread(executor.box.read_stacks(mark)).get(
            executor.board.attempts()[0].thread
        )

    assert "in hold_the_lock" in wait_until(stack, "its stack")


def test_the_stacks_of_its_coroutines_are_shown_by_task(queue, run, tmp_path):
    executor = run()
    task_id = queue.submit("obey_in_a_coroutine", str(tmp_path / "gate"))
    executor.wait_for(task_id)
    mark = executor.box.stacks_mark()

    def stack():  # it is published as running a moment before its code is
        os.kill(executor.pid, signal.SIGUSR2)
        return stacks_by_task(executor.box.read_stacks(mark)).get(task_id)

    assert "in obey_in_a_coroutine" in wait_until(stack, "its stack")


@pytest.fixture
def away(queue, server):
    """Takes the server away, and brings it back."""

    class Away:
        def __enter__(self):
            server.kill()
            connection.close_all()

        def __exit__(self, *_):
            server.start()

    yield Away()
    if server.process.poll() is not None:
        server.start()


def spooled(executor):
    path = spool_path(executor.name)
    return read_spool(path) if path.exists() else []


@pytest.mark.parametrize("options", POOLS, ids=["main", "one-thread", "threads"])
def test_what_ends_while_redis_is_away_is_on_disk_and_survives_its_executor(
    queue, run, away, tmp_path, options
):
    executor = run(**options)
    gate = tmp_path / "gate"
    task_id = queue.submit("block_until", str(gate))
    executor.wait_for(task_id)

    with away:
        gate.touch()
        wait_until(lambda: spooled(executor), "its outcome on disk")
        executor.end(signal.SIGKILL)
    ((shard, settlement),) = spooled(executor)

    assert queue.broker.finish(executor.name, [settlement], shard) == []
    assert queue.state(task_id).status == Status.COMPLETED


def test_what_other_threads_end_during_an_outage_is_on_disk_too_and_gone_when_delivered(
    queue, run, away, tmp_path
):
    executor = run(kind="threads", threads=3)
    gates = [tmp_path / f"gate-{n}" for n in range(3)]
    ids = [queue.submit("block_until", str(gate)) for gate in gates]
    for task_id in ids:
        executor.wait_for(task_id)

    with away:
        for done, gate in enumerate(gates):
            gate.touch()
            wait_until(lambda done=done: len(spooled(executor)) == done + 1, "one more on disk")
    assert {queue.wait_until_final(i).status for i in ids} == {Status.COMPLETED}
    wait_until(lambda: spooled(executor) == [], "an empty spool")

    assert executor.end() == 0
    assert not spool_path(executor.name).exists()


def test_with_its_spool_full_an_executor_starts_nothing_more_until_redis_is_back(
    queue, run, away, settings, tmp_path
):
    settings.DTPS = {**settings.DTPS, "SPOOL_MAX_BYTES": 100, "SLICE_SECONDS": 5}
    gate, path, first_gate = tmp_path / "gate", tmp_path / "ran", tmp_path / "first"
    executor = run(queues=("default", "mail"))  # of two: no task is handed over by itself
    before = queue.submit("obey_in_a_coroutine", str(first_gate))
    executor.wait_for(before)
    for _ in range(20):
        queue.wait_until_final(queue.submit("echo"))  # so that it takes many at once
    queue.broker.pause("default")
    first = queue.submit("block_until", str(gate), priority=50)
    behind = [queue.submit("record", str(path), "ran") for _ in range(5)]
    executor.wait_until_idle()  # else it may be about to ask for one task only
    queue.broker.resume("default")
    executor.wait_for(first)
    wait_until(lambda: executor.board.load() == (2, 5), "a slice in hand")

    with away:
        first_gate.touch()
        wait_until(lambda: "event=spool_full" in executor.box.last_lines(), "a full spool")
        gate.touch()
        wait_until(lambda: executor.board.load() == (0, 5), "the end of what ran")
        beats = executor.board.beats()
        wait_until(lambda: executor.board.beats() > beats + 5, "time to start more")
        assert executor.board.load() == (0, 5)
        assert not path.exists()

    ids = [before, first, *behind]
    assert {queue.wait_until_final(i).status for i in ids} == {Status.COMPLETED}
    assert {queue.state(i).starts for i in ids} == {1}
