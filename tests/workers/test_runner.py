"""One attempt, whatever the task does: always an outcome, and one that can be kept."""

import asyncio
import copy
import json
import uuid

import pytest
from django.db import connection, transaction
from django.utils import translation
from msgspec import structs

from tasks_app.broker import broker
from tasks_app.compat import signals, task_backends
from tasks_app.message import State, TaskMessage, now_us
from tasks_app.registry import TaskType
from tasks_app.states import Status
from workers_app.executor.board import Board
from workers_app.executor.database import tidy
from workers_app.executor.errors import LONGEST_TRACEBACK
from workers_app.executor.interrupts import Interrupts
from workers_app.executor.job import Job
from workers_app.executor.lanes import Lane
from workers_app.executor.notebook import Notebook
from workers_app.executor.runner import Runner

from ..sample.tasks import echo


def job(function, *args, state=None, is_async=False, **options):
    message = TaskMessage(
        id=str(uuid.uuid4()), type="t", submitted_us=now_us(), args=list(args), **options
    )
    kind = TaskType(name="t", task=declared(function), is_async=is_async)
    return Job(0, message, state or State(status=Status.ASSIGNED), "token", Lane(0, ["x"]), kind)


def declared(function):
    """A task of a function that lives in a test, which a declaration would refuse."""
    task = copy.copy(echo)
    object.__setattr__(task, "func", function)
    return task


def new_runner():
    return Runner("w", Interrupts(Board()), Notebook(broker(), "w:0:x"))


def run(function, *args, **options):
    settlement = new_runner().run(job(function, *args, **options))
    return settlement, json.loads(settlement.line or b"{}")


def returns(value):
    return lambda: value


def test_a_returned_value_is_kept_as_plain_json():
    settlement, attempt = run(returns({"a": (1, 2), 3: b"text"}))

    assert settlement.outcome == "completed"
    assert attempt["result"] == {"a": [1, 2], "3": "text"}


CYCLE = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, float("nan"), b"\xff", "half \ud800", 10**20000, CYCLE, {"\ud800": 1}],
    ids=["object", "set", "nan", "bytes", "surrogate", "number", "cycle", "key"],
)
def test_a_value_that_cannot_be_kept_fails_the_task_for_good(value):
    settlement, attempt = run(returns(value), max_attempts=5)

    assert settlement.outcome == "failed"
    assert attempt["error_type"] in ("builtins.TypeError", "builtins.ValueError")
    assert attempt["error"]


def test_a_result_up_to_its_limit_is_kept_and_a_longer_one_is_not(settings):
    settings.DTPS = {**settings.DTPS, "MAX_RESULT_BYTES": 1000}

    assert run(returns("x" * 998))[0].outcome == "completed"
    assert run(returns("x" * 1100))[1]["error_type"] == "tasks_app.exceptions.ValueTooLarge"


class EvilError(Exception):
    def __str__(self):
        raise SystemExit("not even a text")

    __repr__ = __str__


class EvilMeta(type):
    @property
    def __module__(cls):
        raise SystemExit


def raises(make, *args):
    """A task that raises; it makes the error itself, since pytest could not even show some."""

    def function():
        raise make(*args)

    return function


def group():
    return ExceptionGroup("g", [EvilError()])


def of_an_evil_class():
    return EvilMeta("Evil", (Exception,), {})()


@pytest.mark.parametrize(
    "task",
    [
        raises(EvilError),
        raises(group),
        raises(of_an_evil_class),
        raises(SystemExit, 0),
        raises(KeyboardInterrupt),
        raises(GeneratorExit),
        raises(Exception, "half \ud800, none \0"),
    ],
    ids=["text", "group", "class", "exit", "interrupt", "generator", "characters"],
)
def test_whatever_is_raised_becomes_a_failure_with_a_clean_text(task):
    settlement, attempt = run(task)

    assert settlement.outcome == "failed"
    assert attempt["error_type"] and attempt["traceback"]
    assert "\0" not in attempt.get("error", "") + attempt["traceback"]


def test_a_traceback_without_end_is_cut():
    def deep(left):
        if left:
            deep(left - 1)
        raise ValueError("x" * 1_000_000)

    _, attempt = run(deep, 900)

    assert len(attempt["traceback"]) < LONGEST_TRACEBACK + 100
    assert attempt["traceback"].startswith("Traceback")


def test_a_failure_is_retried_until_the_attempts_are_used_up():
    first, _ = run(raises(OSError), max_attempts=3)
    last, attempt = run(
        raises(OSError), max_attempts=3, state=State(status=Status.ASSIGNED, failures=2, starts=5)
    )

    assert (first.outcome, last.outcome) == ("retry", "failed")
    assert last.pause_ms == 0
    assert attempt["number"] == 6


def test_a_task_whose_expiry_has_passed_since_the_claim_goes_back_unstarted():
    def never():
        raise AssertionError("ran")

    settlement, attempt = run(never, expires_us=now_us() - 1_000_000)

    assert (settlement.outcome, settlement.pause_ms, attempt) == ("turned_away", 0, {})


def test_the_servers_clock_decides_about_expiry():
    runner = new_runner()
    runner.begin_slice(now_us() // 1000 - 60_000)  # the server is a minute behind

    assert runner.run(job(returns(1), expires_us=now_us() - 1)).outcome == "completed"


def test_a_coroutine_is_run_by_the_same_rules():
    async def double(number):
        await asyncio.sleep(0)
        return number * 2

    async def leave():
        raise SystemExit

    runner = new_runner()

    async def both():
        return [
            await runner.arun(job(double, 2, is_async=True)),
            await runner.arun(job(leave, is_async=True)),
        ]

    done, left = asyncio.run(both())

    assert (done.outcome, json.loads(done.line)["result"]) == ("completed", 4)
    assert left.outcome == "failed"


def test_nothing_of_one_task_is_seen_by_the_next():
    def switch():
        translation.activate("de")

    before = translation.get_language()
    run(switch)

    assert run(translation.get_language)[1]["result"] == before


def test_listeners_hear_of_the_start_and_of_the_end_and_cannot_change_it():
    heard = []

    def listen(sender, task_result, signal, **kwargs):
        heard.append((sender, task_result.status, list(task_result.worker_ids)))
        raise SystemExit("a receiver that is no good")

    kind = TaskType.of(echo)
    message = TaskMessage(id="1", type=kind.name, submitted_us=now_us())
    real = Job(0, message, State(status=Status.ASSIGNED), "token", Lane(0, ["x"]), kind)
    signals.task_started.connect(listen)
    signals.task_finished.connect(listen)
    try:
        settlement = new_runner().run(real)
    finally:
        signals.task_started.disconnect(listen)
        signals.task_finished.disconnect(listen)

    backend = type(task_backends["default"])
    assert heard == [(backend, "RUNNING", ["w"]), (backend, "SUCCESSFUL", ["w"])]
    assert settlement.outcome == "completed"


@pytest.mark.django_db(transaction=True)
class TestDatabase:
    def insert(self):
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO tasks_app_quarantine (task_id, definition, state, reason, created_at)"
                " VALUES ('x', '', '', '', '2026-01-01')"
            )

    def count(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM tasks_app_quarantine")
            return cursor.fetchone()[0]

    def open_atomic(self):
        transaction.atomic().__enter__()
        self.insert()

    def switch_autocommit_off(self):
        transaction.set_autocommit(False)
        self.insert()

    def begin_by_hand(self):
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
        self.insert()

    @pytest.mark.parametrize("leave", ["open_atomic", "switch_autocommit_off", "begin_by_hand"])
    def test_a_transaction_that_a_task_left_open_is_rolled_back(self, leave):
        settlement, _ = run(getattr(self, leave))

        assert settlement.outcome == "completed"
        assert not connection.in_atomic_block
        assert connection.get_autocommit()
        assert self.count() == 0

    def test_what_a_task_committed_stays_and_its_connection_too(self):
        run(self.insert)
        raw = connection.connection

        assert self.count() == 1
        tidy()
        assert connection.connection is raw


def test_a_task_whose_type_nobody_learnt_in_time_fails_with_the_reason(settings):
    settings.DTPS = {**settings.DTPS, "UNKNOWN_TYPE_SECONDS": 60}
    new, old = (job(returns(1))._replace(type=None) for _ in range(2))
    old = old._replace(
        message=structs.replace(old.message, submitted_us=old.message.submitted_us - 61_000_000)
    )

    assert new_runner().run(new).outcome == "turned_away"
    settlement = new_runner().run(old)

    attempt = json.loads(settlement.line)
    assert (settlement.outcome, attempt["outcome"]) == ("failed", "failed")
    assert "There is no task type 't'" in attempt["error"]


def test_for_ever_is_a_time_too(settings):
    settings.DTPS = {**settings.DTPS, "UNKNOWN_TYPE_SECONDS": 0}
    old = job(returns(1))._replace(type=None)
    old = old._replace(message=structs.replace(old.message, submitted_us=1))

    assert new_runner().run(old).outcome == "turned_away"
