"""The sentence on a task that its status alone does not explain."""

import pytest

from tasks_app.message import Attempt, State
from tasks_app.note import LOST, NOBODY_KNOWS, SUSPECT, UNKNOWN_TYPE, note_of
from tasks_app.states import Status


def state(status, *attempts, crashes=0, run=1):
    lines = b"\n".join(attempt.encode() for attempt in attempts)
    return State(status=status, crashes=crashes, run=run, lines=lines)


UNKNOWN = Attempt(outcome="pending", error_type=UNKNOWN_TYPE)
SILENT = Attempt(outcome="pending", error_type=LOST)
CRASH = Attempt(outcome="crashed", number=1, error_type=LOST)


@pytest.mark.parametrize("status", [Status.PENDING, Status.SCHEDULED, Status.ASSIGNED])
def test_a_type_that_no_worker_knows_is_named_while_it_waits(status):
    assert note_of(state(status, UNKNOWN)) == NOBODY_KNOWS


def test_what_has_started_or_ended_is_held_up_no_more():
    for status in (Status.PROCESSING, Status.COMPLETED, Status.CANCELLED, Status.EXPIRED):
        assert note_of(state(status, UNKNOWN)) == ""


def test_a_task_of_a_worker_that_fell_silent_may_have_begun():
    assert note_of(state(Status.PENDING, SILENT)) == SUSPECT


def test_crashes_are_counted_until_a_task_is_poison():
    assert "died. It runs again" in note_of(state(Status.PENDING, CRASH, crashes=1))
    assert "died 2 times. It runs" in note_of(state(Status.RETRYING, CRASH, CRASH, crashes=2))
    poison = note_of(state(Status.FAILED, CRASH, CRASH, CRASH, crashes=3))
    assert poison.startswith("Poison:") and "died 3 times" in poison


def test_an_ordinary_failure_needs_no_note():
    failed = Attempt(outcome="failed", number=1, error_type="builtins.ValueError")

    assert note_of(state(Status.FAILED, failed)) == ""
    assert note_of(state(Status.FAILED, CRASH, failed, crashes=1)) == ""
    assert note_of(state(Status.PENDING)) == ""


def test_the_next_run_begins_without_the_note_of_the_one_before():
    assert note_of(state(Status.PENDING, UNKNOWN, run=2)) == ""
