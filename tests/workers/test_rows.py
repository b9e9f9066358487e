"""What a row says of a task, for every way in which a task can stand and end."""

import pytest

from tasks_app.message import Attempt, TaskMessage
from workers_app.coordinator.rows import LONGEST_ERROR, Row, printable, row_of


def definition(**fields):
    return TaskMessage(id="t", type="test", submitted_us=1_000_000, **fields).encode()


def state(status, *attempts, run=1, version=3, failures=0, owner="", changed_ms=9):
    header = f"{status}|2|{run}|{version}|1|{failures}|0|{owner}|{changed_ms}\n".encode()
    return header + b"".join(attempt.encode() + b"\n" for attempt in attempts)


DONE = Attempt(
    number=1, worker="w1", started_us=2_000_000, ended_us=3_000_000, outcome="completed", result=4
)


def test_a_waiting_task_has_no_state():
    row = row_of("t", definition(queue="mail/ü", priority=-60), None)

    assert row == Row(
        id="t", type="test", queue="mail/ü", priority=-60, status="pending", worker="",
        submitted_us=1_000_000, started_us=0, finished_us=0, epoch=1, run=1, version=1,
        failures=0, deadline_missed=False, error="",
        definition=definition(queue="mail/ü", priority=-60), state=b"",
    )  # fmt: skip


def test_a_completed_task_tells_who_did_it_and_when():
    row = row_of("t", definition(deadline_us=2_999_999), state("completed", DONE))

    assert (row.status, row.worker, row.started_us, row.finished_us) == (
        "completed", "w1", 2_000_000, 3_000_000
    )  # fmt: skip
    assert (row.epoch, row.run, row.version, row.error) == (2, 1, 3, "")
    assert row.deadline_missed


def test_a_deadline_that_was_met_is_not_missed():
    assert not row_of(
        "t", definition(deadline_us=3_000_000), state("completed", DONE)
    ).deadline_missed
    assert not row_of("t", definition(deadline_us=1), state("retrying", DONE)).deadline_missed


def test_the_last_failure_is_told_and_the_first_start():
    first = Attempt(worker="w1", started_us=5, ended_us=6, outcome="retrying", error="one")
    second = Attempt(worker="w2", started_us=7, ended_us=8, outcome="failed", error_type="Two")

    row = row_of("t", definition(), state("failed", first, second, failures=2))

    assert (row.started_us, row.finished_us, row.worker) == (5, 8, "w2")
    assert (row.failures, row.error) == (2, "Two")


def test_a_running_task_started_when_that_was_published():
    row = row_of("t", definition(), state("processing", owner="w3:0:ab", changed_ms=7))

    assert (row.worker, row.started_us, row.finished_us) == ("w3", 7000, 0)


def test_an_expired_task_finished_when_it_expired_and_not_with_its_last_attempt():
    before = Attempt(worker="w1", started_us=5, ended_us=6, outcome="retrying", error="one")

    assert row_of("t", definition(), state("expired", before)).finished_us == 9000


def test_a_new_run_starts_anew():
    row = row_of("t", definition(), state("pending", DONE, run=2, version=4))

    assert (row.run, row.started_us, row.finished_us) == (2, 0, 0)


def test_error_text_is_made_fit_for_every_database():
    said = Attempt(outcome="failed", error="\0" + "é" * 1000)

    error = row_of("t", definition(), state("failed", said)).error

    assert len(error) == LONGEST_ERROR
    assert error.startswith("\\x00é")
    assert printable("a\ud800\0b", 20) == "a\\ud800\\x00b"


@pytest.mark.parametrize(
    ("definition", "state"),
    [
        (b"", None),
        (b"\xff\xfe", None),
        (b"2|default|0|0\n" + definition().partition(b"\n")[2], None),
        (b"1|default|0|0\n{}", None),
        (b'1|default|0|0\n{"type":"test","submitted_us":"now"}', None),
        (b'1|%ff|0|0\n{"type":"\xff","submitted_us":1}', None),
        (definition(), b"\xff\xfe"),
        (definition(), b"completed"),
        (definition(), b"nonsense|1|1|1|1|0|0||1\n"),
        (definition(), state("failed") + b"no JSON\n"),
        (definition(), state("failed") + b'{"error":"\xff"}\n'),
        (definition(), state("failed") + rb'{"error":"\ud800"}' + b"\n"),
        (definition(), state("failed") + b'{"result":' + b"[" * 100_000 + b"\n"),
    ],
)
def test_what_no_task_encodes_to_is_refused_by_one_error(definition, state):
    with pytest.raises(ValueError):
        row_of("t", definition, state)
