"""What is known of a process that can no longer speak for itself."""

import ctypes
import logging
import os
import signal
import threading

import pytest

from workers_app.executor.blackbox import MOST_BYTES, BlackBox, stacks_by_task, stacks_by_thread

from ..conftest import wait_until

logger = logging.getLogger("tests.blackbox")


@pytest.fixture
def box():
    box = BlackBox()
    yield box
    box.close()
    box.close()  # twice is no harm


@pytest.fixture
def in_child(box):
    """Runs a function in a process with the box open. Gives its pid; it is ended with the test."""
    pids = []

    def start(function):
        pid = os.fork()
        if pid == 0:
            try:
                box.open()
                function()
            finally:
                os._exit(0)
        pids.append(pid)
        return pid

    yield start
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            continue


def test_a_crash_leaves_the_last_lines_of_the_log_and_where_it_was(box, in_child):
    def crash():
        for number in range(30):
            logger.warning("line %d", number)
        ctypes.string_at(0)

    _, status = os.waitpid(in_child(crash), 0)
    lines = box.last_lines(5).splitlines()

    assert os.WTERMSIG(status) == signal.SIGSEGV
    assert [line.split("tests.blackbox ")[1] for line in lines[:5]] == [
        f"line {number}" for number in range(25, 30)
    ]
    assert lines[5].startswith("Fatal Python error: Segmentation fault")
    assert any("in crash" in line for line in lines)


def test_a_log_without_end_is_bounded_and_a_record_that_is_no_good_is_left_out(box, in_child):
    class Evil:
        def __str__(self):
            raise ValueError("no text")

    def talk():
        logging.raiseExceptions = False
        for number in range(3000):
            logger.warning("%s line %d", "x" * 100, number)
        logger.warning("%s", Evil())
        logger.warning("half \ud800 the end")

    os.waitpid(in_child(talk), 0)

    assert len(box.last_lines(10_000)) < MOST_BYTES + 10_000
    assert "line 2999" in box.last_lines(2)
    assert box.last_lines(1).endswith("the end")


def test_a_process_that_said_nothing_left_nothing(box, in_child):
    os.waitpid(in_child(lambda: None), 0)

    assert box.last_lines() == ""


def test_stacks_come_by_thread_even_while_the_interpreters_lock_is_held(box, in_child):
    ready, told = os.pipe()

    def wait_in_a_thread():
        threading.Event().wait()

    def hold_the_lock():
        thread = threading.Thread(target=wait_in_a_thread, daemon=True)
        thread.start()
        os.write(told, f"{threading.get_ident()} {thread.ident}".encode())
        ctypes.PyDLL(None).sleep(60)
        ctypes.PyDLL(None).sleep(60)  # the signal ends the first one

    pid = in_child(hold_the_lock)
    main, thread = map(int, os.read(ready, 100).split())
    os.close(ready)
    os.close(told)
    mark = box.stacks_mark()

    def dumped():
        os.kill(pid, signal.SIGUSR2)
        stacks = stacks_by_thread(box.read_stacks(mark))
        return stacks if thread in stacks else None

    stacks = wait_until(dumped, "a dump")

    assert "in hold_the_lock" in stacks[main]
    assert "in wait_in_a_thread" in stacks[thread]


def test_a_mark_parts_one_dump_from_those_before_it(box, in_child):
    ready, told = os.pipe()

    def wait():
        os.write(told, b"x")
        threading.Event().wait()

    pid = in_child(wait)
    os.read(ready, 1)
    os.close(ready)
    os.close(told)

    def dump():
        mark = box.stacks_mark()
        os.kill(pid, signal.SIGUSR2)
        wait_until(lambda: stacks_by_thread(box.read_stacks(mark)), "a dump")
        return box.read_stacks(mark)

    dump()
    assert dump().count("most recent call first") == 1


def test_a_dump_is_read_by_threads_and_by_coroutines():
    text = (
        "Thread 0x00007f01 (most recent call first):\n  File a, line 1 in x\n\n"
        'Current thread 0x00007f02 [MainThread] (most recent call first):\n  File "b", line 2\n'
        "Coroutine of task 0192-ab:\n  File c\n    code\n\n"
        "Thread 0x00007f03 (most recent call first):\n  File d\n"
    )

    assert stacks_by_thread(text) == {
        0x7F01: "  File a, line 1 in x", 0x7F02: '  File "b", line 2', 0x7F03: "  File d",
    }  # fmt: skip
    assert stacks_by_task(text) == {"0192-ab": "  File c\n    code"}
    assert stacks_by_thread("") == {}
