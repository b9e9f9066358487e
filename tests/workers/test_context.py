"""From inside a task: what it says is kept, what it asks for happens; with real workers."""

import json
from pathlib import Path

import pytest

from tasks_app import current, lookup
from tasks_app.context import TaskContext
from tasks_app.message import now_us
from tasks_app.remarks import Remarks
from tasks_app.states import FINAL, Status
from workers_app.coordinator.services.recorder import Recorder

from ..conftest import wait_until

LINES, BYTES = 40, 6000


@pytest.fixture(scope="module")
def worker(start):
    process = start(
        "runworker", "--id", "teller", "--processes", "1", "--threads", "2", "--min", "2",
        "--max", "2", "--no-coordinator",
        env={"TEST_DTPS": json.dumps({"TASK_LOG_LINES": LINES, "TASK_LOG_BYTES": BYTES})},
    )  # fmt: skip
    process.wait_for("event=executor_started")
    return process


def lines_of(path):
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def result_of(queue, task_id):
    state = queue.wait_until_final(task_id)
    assert state.status == Status.COMPLETED, state
    return state.attempts[-1].result


def said(queue, task_id):
    return queue.broker.remarks([task_id]).get(task_id, Remarks())


def test_a_killed_task_goes_on_from_its_checkpoint(queue, worker, tmp_path):
    path = str(tmp_path / "steps")

    task_id = queue.submit("count_on", path, 6, 3)

    assert result_of(queue, task_id) == 6
    assert lines_of(path) == ["0", "1", "2", "3", "4", "5"]
    assert queue.state(task_id).crashes == 1
    progress = said(queue, task_id).progress
    assert (progress.done, progress.total, progress.note) == (6, 6, "counting")
    assert (progress.run, progress.attempt) == (1, 2)


def test_a_retry_by_an_operator_goes_on_from_the_checkpoint(queue, worker, tmp_path):
    path = str(tmp_path / "steps")
    task_id = queue.submit("count_on", path, 3, 0)
    result_of(queue, task_id)
    state = queue.state(task_id)

    queue.broker.retry(queue.broker.must_get(task_id).message, state)

    wait_until(lambda: queue.state(task_id).run == 2, "the second run")
    assert result_of(queue, task_id) == 3
    assert lines_of(path) == ["0", "1", "2"]


@pytest.mark.parametrize("name", ["snooze_until", "snooze_until_in_a_coroutine"])
def test_a_task_that_snoozed_five_times_has_had_one_attempt(queue, worker, name):
    task_id = queue.submit(name, 5, 0.02, max_attempts=1)

    assert result_of(queue, task_id) == [5, 1]
    state = queue.state(task_id)
    assert (state.failures, state.starts, state.crashes) == (0, 1, 0)
    snoozed, done = state.attempts
    assert (snoozed.outcome, snoozed.snoozes, snoozed.number) == ("scheduled", 5, 0)
    assert done.number == 1


def test_a_snoozing_task_is_scheduled_meanwhile(queue, worker):
    task_id = queue.submit("snooze_until", 1, 600)

    state = queue.wait_for(task_id, "scheduled")

    assert state.attempts[0].snoozes == 1
    assert task_id in queue.broker.scheduled_ids("default", 10)
    queue.broker.cancel([task_id])


def test_a_retry_that_is_asked_for_is_a_failure_with_its_own_pause(queue, worker):
    task_id = queue.submit("ask_for_retries", 3)

    assert result_of(queue, task_id) == 3
    state = queue.state(task_id)
    assert (state.failures, state.starts) == (2, 3)
    first = state.attempts[0]
    assert (first.outcome, first.error_type) == ("retrying", "builtins.LookupError")
    assert first.error == "nothing there yet"


def test_a_retry_that_is_asked_for_once_too_often_fails(queue, worker):
    state = queue.wait_until_final(queue.submit("ask_for_retries", 9))

    assert (state.status, state.failures) == (Status.FAILED, 3)


def test_progress_is_seen_while_the_task_runs_and_the_last_word_is_kept(queue, worker, tmp_path):
    path = tmp_path / "end"
    task_id = queue.submit("tell_until", str(path), 2000)

    wait_until(lambda: said(queue, task_id).progress, "the first progress")
    wait_until(lambda: said(queue, task_id).progress.done == 2000, "the last one")
    assert queue.state(task_id).status not in FINAL
    path.touch()

    result_of(queue, task_id)
    assert said(queue, task_id).log[-1].text == "did step 2000"
    assert said(queue, task_id).log[-1].level == "WARNING"


def test_a_task_that_ends_at_once_has_the_last_word_too(queue, worker, tmp_path):
    path = tmp_path / "end"
    path.touch()
    ids = [queue.submit("tell_until", str(path), 3) for _ in range(20)]

    for task_id in ids:
        result_of(queue, task_id)
        remarks = said(queue, task_id)
        assert remarks.progress.note == "step 3"
        assert [line.text for line in remarks.log] == ["did step 1", "did step 2", "did step 3"]


def test_what_a_task_logs_is_kept_whatever_it_is(queue, worker):
    task_id = queue.submit("log_much", 0)

    result_of(queue, task_id)
    first, second, third = said(queue, task_id).log
    assert (first.level, first.logger) == ("ERROR", "shop.packing")
    assert first.text.startswith("packed 3\nTraceback")
    assert first.text.endswith("ValueError: on the way\n")
    assert second.text == "half \\ud800 a pair, and more"
    assert third.text == "wrong %d"
    assert abs(first.at_us - now_us()) < 3600e6


def test_a_log_is_bounded_in_lines_and_bytes(queue, worker):
    task_id = queue.submit("log_much", 500)

    result_of(queue, task_id)
    remarks = said(queue, task_id)
    assert remarks.log[-1].text.startswith("line 499 ")
    assert len(remarks.log) <= LINES
    assert BYTES // 2 < len(remarks.lines) <= BYTES


def test_what_a_holder_saves_that_lost_the_task_is_refused(queue, worker, tmp_path):
    path = tmp_path / "go"
    task_id = queue.submit("hold_on", str(path))
    wait_until(lambda: lines_of(f"{path}.fence"), "the first attempt")
    owner = queue.wait_for(task_id, "processing").owner
    token = queue.broker.held_ids(owner)[task_id]

    assert queue.broker.release(owner, {task_id: token}) == [task_id]
    wait_until(lambda: lines_of(f"{path}.said") == ["second saved"], "the second attempt")
    path.touch()

    wait_until(lambda: len(lines_of(f"{path}.said")) == 2, "the end of the first attempt")
    assert lines_of(f"{path}.said")[1] == "first lost True"
    assert said(queue, task_id).state == {"by": "second"}
    Path(f"{path}.end").touch()
    result_of(queue, task_id)
    first, second = map(int, lines_of(f"{path}.fence"))
    assert first < second


def test_a_context_is_seen_by_what_a_task_calls(queue, worker):
    task_id = queue.submit("look_around")
    found = result_of(queue, task_id)

    assert found["seen"] == {"here": True, "own thread": False}
    assert (found["is_djangos"], found["attempt"], found["id"]) == (True, 1, task_id)
    assert 0 < found["seconds_left"] <= 50
    assert (found["deadline_left"], found["is_cancelled"]) == (None, False)


def test_a_context_is_seen_by_what_a_coroutine_awaits(queue, worker):
    deadline_us = now_us() + 3600_000_000
    task_id = queue.submit("look_around_in_a_coroutine", deadline_us=deadline_us)
    found = result_of(queue, task_id)

    assert found["seen"] == {"here": True, "gathered": True, "task": True, "sync": True}
    assert 0 < found["deadline_left"] <= 3600
    assert said(queue, task_id).state == {"x": 1}


def test_outside_of_a_task_there_is_no_context():
    assert current() is None


def test_a_deaf_task_can_ask_whether_it_is_cancelled(queue, worker, tmp_path):
    path = tmp_path / "said"
    task_id = queue.submit("work_until_cancelled", str(path))
    queue.wait_for(task_id, "processing")

    queue.broker.cancel([task_id])

    wait_until(lambda: lines_of(path) == ["cancelled"], "the task's own end")


@pytest.mark.django_db(transaction=True)
def test_the_history_keeps_what_a_task_said(queue, worker, tmp_path):
    path = tmp_path / "end"
    path.touch()
    task_id = queue.submit("tell_until", str(path), 2)
    result_of(queue, task_id)
    before = lookup.find_remarks(task_id)
    recorder = Recorder(queue.broker)

    wait_until(lambda: recorder.tick() and queue.broker.get(task_id) is None, "the record")

    assert queue.broker.remarks([task_id]) == {}
    assert lookup.find_remarks(task_id) == before
    assert before.progress.done == 2


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "5", None, True, 1e12])
def test_a_pause_that_is_none_is_refused(seconds):
    with pytest.raises(ValueError, match="A pause must be"):
        TaskContext(None).snooze(seconds)
