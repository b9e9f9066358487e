"""The board: a task starts or is taken away, never both, whoever dies meanwhile."""

import os
import signal

import pytest

from workers_app.board import Board

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
    assert board.counts() == (1, 0)


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
