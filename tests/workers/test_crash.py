"""The cause of a crash stands in the history; what kills its process three times is poison."""

import signal

import pytest

from tasks_app.states import Status
from workers_app.supervisor.crash import LONGEST_TRACE, how_it_ended, lost

from ..conftest import wait_until


@pytest.mark.parametrize(
    ("status", "peak", "sentence"),
    [
        (signal.SIGKILL, 0, "The process was killed by signal SIGKILL."),
        (11, 123_400_000, "The process was killed by signal SIGSEGV (peak memory 123 MB)."),
        (63, 0, "The process was killed by signal number 63."),
        (3 << 8, 0, "The process exited with code 3."),
    ],
)
def test_an_end_is_told_in_a_sentence(status, peak, sentence):
    assert how_it_ended(status, peak) == sentence


def test_a_long_trace_keeps_its_end():
    attempt = lost("w", "It died.", trace="x" * LONGEST_TRACE + "the end")

    assert len(attempt.traceback) == LONGEST_TRACE
    assert attempt.traceback.endswith("the end")


@pytest.fixture(scope="module")
def worker(start):
    process = start("runworker", "--id", "crashing", "--processes", "1", "--threads", "1",
                    "--min", "1", "--max", "1", "--no-coordinator")  # fmt: skip
    process.wait_for("event=executor_started")
    return process


def test_a_crash_is_told_with_its_signal_its_memory_its_last_lines_and_its_stack(queue, worker):
    state = queue.wait_until_final(queue.submit("crash_in_c", "remember me"))

    assert (state.status, state.crashes, state.failures) == (Status.FAILED, 3, 0)
    first, second, last = state.attempts
    assert "killed by signal SIGSEGV (peak memory " in first.error
    assert first.memory_bytes > 1_000_000
    assert "About to crash: remember me" in first.traceback
    assert "in crash_in_c" in first.traceback
    assert last.error.startswith("Poison: ")
    assert not second.error.startswith("Poison: ")
    wait_until(lambda: queue.said("crashing")["crashed"] >= 3, "three crashes in the register")


def test_an_exit_by_a_task_is_told_with_its_code(queue, worker):
    state = queue.wait_until_final(queue.submit("die", int(signal.SIGABRT)))

    assert "SIGABRT" in state.attempts[0].error
