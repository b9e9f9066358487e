"""A running task that is asked to end gets one exception, in its own code and nowhere else."""

import asyncio
import json
import os
import random
import signal
import sys
import threading
import time
import uuid

import pytest

from tasks_app.broker import broker
from tasks_app.exceptions import TaskCancelled, TaskTimeout
from tasks_app.message import State, TaskMessage, now_us
from tasks_app.registry import TaskType
from tasks_app.states import Status
from workers_app.executor.board import CANCELLED, TIMED_OUT, Board
from workers_app.executor.interrupts import Interrupts
from workers_app.executor.job import Job
from workers_app.executor.lanes import Lane
from workers_app.executor.notebook import Notebook
from workers_app.executor.runner import Runner

from ..conftest import wait_until
from .test_runner import declared

ROUNDS = 2_000
LONGEST_TASK = 0.0004  # seconds; about as long as it takes until it is asked
LANE = Lane(0, ["x"])


class SlowBoard(Board):
    """Answers late on where to send an exception, when the task that it is for may be over."""

    def thread(self, slot):
        time.sleep(0.0002)
        return super().thread(slot)


@pytest.fixture
def board():
    board = SlowBoard()
    yield board
    board.close()


@pytest.fixture
def interrupts(board):
    """With the signal's handler, and switching threads as often as possible."""
    interrupts = Interrupts(board)
    before = signal.signal(signal.SIGUSR1, lambda *_: interrupts.interrupt_main())
    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.00001)
    yield interrupts
    sys.setswitchinterval(interval)
    signal.signal(signal.SIGUSR1, before)


@pytest.fixture
def runner(interrupts):
    return Runner("w", interrupts, Notebook(broker(), "w:0:x"))


def started(board, function, *, is_async=False, timeout=1.5, **options):
    """A job whose task has just started, in this thread."""
    message = TaskMessage(
        id=str(uuid.uuid4()), type="t", submitted_us=now_us(), timeout=timeout, **options
    )
    (slot,) = board.put([message.id], "token", [1500])
    assert board.start(slot)
    kind = TaskType(name="t", task=declared(function), is_async=is_async)
    return Job(slot, message, State(status=Status.ASSIGNED), "token", LANE, kind)


def ask(board, job, reason=TIMED_OUT):
    return board.ask(job.slot, job.message.id, job.token, reason)


class Watch(threading.Thread):
    """Plays the supervisor and the lookout: asks what runs, and interrupts, all the time."""

    def __init__(self, board, interrupts, reason=TIMED_OUT, share=1.0):
        super().__init__(daemon=True)
        self.board, self.interrupts, self.reason, self.share = board, interrupts, reason, share
        self.asked = 0
        self.is_over = False

    def run(self):
        rng = random.Random(1)
        while not self.is_over:
            for each in self.board.attempts():
                if rng.random() < self.share and self.board.ask(*each[:3], self.reason):
                    self.asked += 1
                    os.kill(os.getpid(), signal.SIGUSR1)
            self.interrupts.look()
            time.sleep(rng.uniform(0, LONGEST_TASK))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.is_over = True
        self.join()


def spin(seconds):
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass
    return "over"


def outcomes_of(settlements):
    """How many completed, and how many were timed out; fails on anything else."""
    completed = [s for s in settlements if s.outcome == "completed"]
    failed = [json.loads(s.line) for s in settlements if s.outcome == "failed"]
    assert len(completed) + len(failed) == len(settlements)
    assert {each["error_type"] for each in failed} <= {"tasks_app.exceptions.TaskTimeout"}
    assert {each["error"] for each in failed} <= {
        "The attempt took longer than its limit of 1.5 s."
    }
    return len(completed), len(failed)


def run_many(board, runner, rounds, rng, settlements):
    """Tasks that end at about the moment at which they are interrupted, one after the other."""
    for _ in range(rounds):
        seconds = rng.uniform(0, LONGEST_TASK)
        job = started(board, lambda seconds=seconds: spin(seconds))
        settlements.append(runner.run(job))
        assert board.end(job.slot)
        board.clear([job.slot])


def test_a_task_in_the_main_thread_has_one_outcome_whenever_it_is_interrupted(
    board, interrupts, runner
):
    settlements = []

    with Watch(board, interrupts) as watch:
        run_many(board, runner, ROUNDS, random.Random(2), settlements)
    completed, timed_out = outcomes_of(settlements)

    assert completed + timed_out == ROUNDS
    assert 0 < timed_out <= watch.asked


def test_tasks_in_threads_have_one_outcome_whenever_they_are_interrupted(board, interrupts, runner):
    settlements, broken = [], []

    def work(seed):
        try:
            rng = random.Random(seed)
            run_many(board, runner, ROUNDS // 2, rng, settlements)
            spin(0.01)  # nothing that is late may arrive here
        except BaseException as error:  # noqa: BLE001
            broken.append(error)

    threads = [threading.Thread(target=work, args=[seed]) for seed in range(3)]
    with Watch(board, interrupts, share=0.5) as watch:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    completed, timed_out = outcomes_of(settlements)

    assert broken == []
    assert completed + timed_out == 3 * (ROUNDS // 2)
    assert 0 < timed_out <= watch.asked


def test_coroutines_have_one_outcome_whenever_they_are_interrupted(board, interrupts, runner):
    settlements, rng = [], random.Random(3)

    async def wait_and_spin():
        for _ in range(rng.randrange(5)):
            await asyncio.sleep(rng.choice([0, LONGEST_TASK]))
            spin(rng.uniform(0, LONGEST_TASK))
        return "over"

    async def work():
        for _ in range(ROUNDS // 20):
            job = started(board, wait_and_spin, is_async=True)
            settlements.append(await runner.arun(job))
            await asyncio.sleep(0)  # a second exception would arrive here
            assert board.end(job.slot)
            board.clear([job.slot])

    async def work_at_once():
        await asyncio.gather(*(work() for _ in range(20)))

    broken = []

    def run():
        try:
            asyncio.run(work_at_once())
        except BaseException as error:  # noqa: BLE001
            broken.append(error)

    thread = threading.Thread(target=run)
    with Watch(board, interrupts, share=0.1) as watch:
        thread.start()
        thread.join()
    completed, timed_out = outcomes_of(settlements)

    assert broken == []
    assert completed + timed_out == ROUNDS // 20 * 20
    assert 0 < timed_out <= watch.asked


def test_a_cancelled_task_has_no_outcome(board, interrupts, runner, caplog):
    def obey():
        ask(board, job, CANCELLED)
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(60)

    job = started(board, obey)

    assert runner.run(job) is None
    assert not board.end(job.slot)
    assert "event=failed" not in caplog.text


def test_who_swallows_a_cancellation_has_no_outcome_either(board, interrupts, runner):
    def swallow():
        ask(board, job, CANCELLED)
        try:
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(60)
        except TaskCancelled:
            return "mine"

    job = started(board, swallow)
    runner.run(job)

    assert not board.end(job.slot)


def test_who_swallows_a_timeout_may_still_return(board, interrupts, runner):
    def swallow():
        ask(board, job)
        try:
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(60)
        except TaskTimeout as error:
            return str(error)

    job = started(board, swallow)
    settlement = runner.run(job)

    assert json.loads(settlement.line)["result"] == (
        "The attempt took longer than its limit of 1.5 s."
    )
    assert board.end(job.slot)


def test_a_timed_out_attempt_is_retried_as_any_failure(board, interrupts, runner):
    def wait():
        ask(board, job)
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(60)

    job = started(board, wait, max_attempts=2)
    settlement = runner.run(job)

    assert settlement.outcome == "retry"
    assert __file__ in json.loads(settlement.line)["traceback"].splitlines()[1]


def in_a_loop(runner, interrupts, board, coroutine, reason=TIMED_OUT, **options):
    """Run a coroutine task in a thread, ask it to end once it runs, and return its outcome."""
    found = {}

    async def run():
        found["job"] = started(board, coroutine, is_async=True, **options)
        found["settlement"] = await runner.arun(found["job"])
        await asyncio.sleep(0)
        found["cancelling"] = asyncio.current_task().cancelling()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    wait_until(lambda: list(interrupts.coroutines()), "the coroutine")
    assert ask(board, found["job"], reason)

    def is_over():
        interrupts.look()
        return not thread.is_alive()

    wait_until(is_over, "its end")
    return found


def test_a_coroutine_gets_the_exception_where_it_waits(board, interrupts, runner):
    async def innermost():
        try:
            await asyncio.sleep(60)
        except TaskTimeout as error:
            return ["innermost", str(error)]

    async def outer():
        async with asyncio.timeout(50):
            return await innermost()

    found = in_a_loop(runner, interrupts, board, outer)
    attempt = json.loads(found["settlement"].line)

    assert attempt["result"] == ["innermost", "The attempt took longer than its limit of 1.5 s."]
    assert found["cancelling"] == 0


def test_a_coroutine_that_waits_for_another_task_gets_it_too(board, interrupts, runner):
    async def outer():
        await asyncio.gather(asyncio.sleep(60), asyncio.sleep(60))

    found = in_a_loop(runner, interrupts, board, outer, max_attempts=2)

    assert found["settlement"].outcome == "retry"
    assert json.loads(found["settlement"].line)["error_type"].endswith(".TaskTimeout")


def test_a_coroutine_that_keeps_the_loop_is_interrupted_like_a_thread(board, interrupts, runner):
    async def keep():
        await asyncio.sleep(0)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            time.sleep(0.001)

    found = in_a_loop(runner, interrupts, board, keep)

    assert json.loads(found["settlement"].line)["error_type"].endswith(".TaskTimeout")


def test_a_cancelled_coroutine_has_no_outcome(board, interrupts, runner):
    async def wait():
        await asyncio.sleep(60)

    found = in_a_loop(runner, interrupts, board, wait, CANCELLED)

    assert found["settlement"] is None
    assert not board.end(found["job"].slot)


def test_what_a_coroutine_cancels_itself_stays_a_cancellation(board, interrupts, runner):
    async def cancel_itself():
        asyncio.current_task().cancel()
        await asyncio.sleep(60)

    async def run():
        return await runner.arun(started(board, cancel_itself, is_async=True))

    settlement = asyncio.run(run())

    assert json.loads(settlement.line)["error_type"] == "asyncio.exceptions.CancelledError"


def test_one_that_is_asked_before_its_code_has_begun_is_interrupted_by_the_next_look(
    board, interrupts, runner
):
    job = started(board, lambda: time.sleep(60))
    ask(board, job)
    os.kill(os.getpid(), signal.SIGUSR1)  # too early: nobody is there to hear it

    with Watch(board, interrupts):
        settlement = runner.run(job)

    assert outcomes_of([settlement]) == (0, 1)
