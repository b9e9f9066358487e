"""The board: a task starts or is taken away, never both, whoever dies meanwhile."""

import os
import signal
import threading

import pytest

from workers_app.executor.board import CANCELLED, TIMED_OUT, Board, Counts, Running
from workers_app.executor.clock import boottime_ns

ROUNDS = 10_000


@pytest.fixture
def board():
    board = Board()
    yield board
    board.close()


def ids(count, first=0):
    return [f"task-{number}" for number in range(first, first + count)]


def test_a_task_that_was_taken_away_does_not_start(board):
    slots = board.put(ids(3), "token")
    assert board.start(slots[0])

    taken = board.take()

    assert taken == {"task-1": "token", "task-2": "token"}
    assert [board.start(slot) for slot in slots] == [False, False, False]
    assert board.load() == (1, 0)


def test_what_a_crash_is_charged_to_is_what_had_started_and_is_not_reported(board):
    slots = board.put(ids(4), "token")
    for slot in slots[:3]:
        board.start(slot)
    board.end(slots[0])
    board.end(slots[1])
    board.clear([slots[0]], completed=1)

    assert set(board.began()) == {"task-1", "task-2"}
    assert set(board.held()) == {"task-1", "task-2", "task-3"}
    assert board.counts()[:2] == (1, 0)


def test_what_is_over_is_spared_while_another_runs(board):
    slots = board.put(ids(3), "token")
    for slot in slots[:2]:
        board.start(slot)
    assert board.spared() == {}

    board.end(slots[0])
    assert board.spared() == {"task-0": "token"}
    board.end(slots[1])
    assert board.spared() == {}  # one of the two may be the cause


def test_slots_are_used_again_and_a_look_tells_two_slices_apart(board):
    first = board.put(["a" * 36], "t" * 32)
    seen = board.glance()
    board.start(first[0])
    board.clear(first)

    second = board.put(["é" * 100], "u" * 32)

    assert second == first
    assert board.glance() != seen
    assert board.held() == {"é" * 100: "u" * 32}


def test_nothing_starts_twice_or_is_lost_while_two_processes_race(board, tmp_path):
    """The executor starts all that it may while another process takes what it can."""
    pid = os.fork()
    if pid == 0:
        _run_all(board, tmp_path / "started")
    taken = []
    while os.waitpid(pid, os.WNOHANG)[0] == 0:
        taken += board.take()
    started = (tmp_path / "started").read_text().split()

    assert len(started) == len(set(started))
    assert len(taken) == len(set(taken))
    assert set(started) | set(taken) == set(ids(ROUNDS))
    assert not set(started) & set(taken)


def _run_all(board, path):
    """In the child: slices of ten, each task of which is started if it still may be."""
    try:
        started = []
        for first in range(0, ROUNDS, 10):
            names = ids(10, first)
            slots = board.put(names, "token")
            for name, slot in zip(names, slots, strict=True):
                if board.start(slot):
                    started.append(name)
                    board.end(slot)
            board.clear(slots)
        path.write_text(" ".join(started))
    finally:
        os._exit(0)


def test_an_executor_that_was_stopped_with_the_lock_in_hand_blocks_nobody(board):
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        board._lock.acquire()
        os.write(told, b"x")
        signal.pause()
    try:
        os.read(ready, 1)

        assert board.take() == {}
        assert board.load() == (0, 0)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(ready)
        os.close(told)


# --- the supervisor's side ---


def all_of(board):
    return {each.id: each for each in board.attempts()}


def test_the_least_urgent_are_taken_first(board):
    board.clear(board.put(ids(7), "old"))  # so that slots are not in order
    board.put(ids(3), "token")
    board.put(ids(2, 3), "token")

    assert list(board.take(2)) == ["task-4", "task-3"]
    assert list(board.take()) == ["task-2", "task-1", "task-0"]
    assert board.take() == {}


def test_a_running_task_is_seen_with_its_start_its_limit_and_its_thread(board):
    slots = board.put(ids(3), "token", [0, 1500, 0])
    before = boottime_ns()
    board.start(slots[1])
    (attempt,) = board.attempts()

    assert before <= attempt.started_ns <= boottime_ns()
    assert attempt == Running(
        slots[1], "task-1", "token", attempt.started_ns, 1500, threading.get_ident(), 0
    )


def test_a_task_is_asked_once_and_only_while_it_runs(board):
    (slot,) = board.put(ids(1), "token")
    assert not board.ask(slot, "task-0", "token", TIMED_OUT)
    board.start(slot)

    assert not board.ask(slot, "task-0", "another", TIMED_OUT)
    assert board.ask(slot, "task-0", "token", TIMED_OUT)
    assert not board.ask(slot, "task-0", "token", CANCELLED)
    assert (board.asked(slot), board.attempts()[0].asked) == (TIMED_OUT, TIMED_OUT)
    assert board.end(slot)
    assert not board.ask(slot, "task-0", "token", TIMED_OUT)


def test_who_comes_into_a_slot_after_one_that_was_asked_is_not(board):
    (slot,) = board.put(ids(1), "token")
    board.start(slot)
    board.ask(slot, "task-0", "token", CANCELLED)
    board.end(slot)
    board.clear([slot])

    assert board.put(ids(1, 1), "token") == [slot]
    assert board.asked(slot) == 0
    assert board.start(slot)
    assert board.end(slot)


def test_of_cancelled_tasks_those_that_wait_never_start_and_those_that_run_are_told(board):
    slots = board.put(ids(4), "token")
    board.start(slots[0])
    board.start(slots[1])

    running = board.cancel(["task-1", "task-2", "elsewhere"])

    assert [each.id for each in running] == ["task-1"]
    assert [board.start(slot) for slot in slots[2:]] == [False, True]


def test_an_abandoned_task_is_charged_with_nothing_and_its_end_counts_for_nothing(board):
    slots = board.put(ids(2), "token")
    for slot in slots:
        board.start(slot)

    assert not board.abandon(slots[0], "task-0", "another")
    assert board.abandon(slots[0], "task-0", "token")
    assert not board.abandon(slots[0], "task-0", "token")
    assert (board.abandoned, board.load()) == (1, (1, 0))
    assert set(all_of(board)) == set(board.began()) == set(board.running()) == {"task-1"}
    assert set(board.held()) == {"task-0", "task-1"}  # it is known, though
    assert (board.end(slots[0]), board.end(slots[1])) == (False, True)


def test_one_that_has_ended_is_not_abandoned(board):
    (slot,) = board.put(ids(1), "token")
    board.start(slot)
    board.end(slot)

    assert not board.abandon(slot, "task-0", "token")


def test_a_cancelled_task_has_no_outcome_that_counts(board):
    (slot,) = board.put(ids(1), "token")
    board.start(slot)
    board.ask(slot, "task-0", "token", CANCELLED)

    assert not board.end(slot)


def test_a_task_that_came_back_is_held_under_its_new_token(board):
    for token in ("old", "new"):
        board.put(ids(1), token)
        if token == "old":
            board.take()

    assert board.held() == {"task-0": "new"}


def test_what_was_done_is_counted(board):
    board.count_busy(0.5)
    board.count_stolen(7)
    board.clear(board.put(ids(3), "token"), completed=2, failed=1)
    board.count_busy(0.25)
    board.put(ids(1), "token")

    assert board.counts() == Counts(completed=2, failed=1, stolen=7, busy_us=750_000)
    assert board.slices() == 2


def test_a_beat_is_no_work(board):
    seen = board.glance()
    board.beat()
    board.beat()

    assert board.beats() == 2
    assert board.glance() == seen


def test_the_number_of_threads_is_the_supervisors_to_set(board):
    assert board.threads == 0

    board.threads = 7

    assert board.threads == 7


def test_ends_and_abandonments_race_and_each_task_has_one_of_them(board):
    """The executor ends what it starts while another process abandons what it sees running."""
    told, heard = os.pipe()
    pid = os.fork()
    if pid == 0:
        _start_and_end(board, heard)
    os.close(heard)
    abandoned = 0
    while os.waitpid(pid, os.WNOHANG)[0] == 0:
        abandoned += sum(board.abandon(*each[:3]) for each in board.attempts())
    with_outcome, without = map(int, os.read(told, 100).split())
    os.close(told)

    assert abandoned == without
    assert min(with_outcome, without) >= 100


def _start_and_end(board, told):
    """In the child: slices of ten, until both kinds of ends have been seen often."""
    try:
        ends = [0, 0]  # without an outcome, with one
        number = 0
        while min(ends) < 100:
            slots = board.put(ids(10, number), "token")
            number += 10
            for slot in slots:
                board.start(slot)
            for slot in slots:
                ends[board.end(slot)] += 1
            board.clear(slots)
        os.write(told, f"{ends[True]} {ends[False]}".encode())
    finally:
        os._exit(0)
