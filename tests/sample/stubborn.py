"""Task types that do not end when they are asked to, for tests of those who see to it."""

import asyncio
import contextlib
import ctypes
import logging
import os
import signal as signals
import subprocess
import sys
import time
from pathlib import Path

from tasks_app.compat import task

from .files import LONGEST_SECONDS, write

__all__ = [
    "be_deaf", "block_in_c", "block_the_loop", "crash_in_c", "grow", "hold_the_lock",
    "keep_the_loop", "leave_at_once", "obey", "obey_in_a_coroutine", "run_out_of_memory",
    "start_others", "stay", "stay_in_a_coroutine",
]  # fmt: skip


def _stay(path):
    until = time.monotonic() + LONGEST_SECONDS
    while not Path(path).exists() and time.monotonic() < until:
        with contextlib.suppress(BaseException):
            time.sleep(0.01)


@task
def stay(path):
    """Run until a file exists, whatever is raised in here."""
    _stay(path)
    return "stayed"


@task
def obey(path, seconds=LONGEST_SECONDS):
    """Run until a file exists, or end with what is raised in here."""
    until = time.monotonic() + seconds
    while not Path(path).exists() and time.monotonic() < until:
        time.sleep(0.01)
    return "obeyed nobody"


@task
async def stay_in_a_coroutine(path):
    """Run until a file exists, whatever is raised in here."""
    until = time.monotonic() + LONGEST_SECONDS
    while not Path(path).exists() and time.monotonic() < until:
        with contextlib.suppress(BaseException):
            await asyncio.sleep(0.01)


@task
async def obey_in_a_coroutine(path, seconds=LONGEST_SECONDS):
    """Run until a file exists, or end with what is raised in here."""
    until = time.monotonic() + seconds
    while not Path(path).exists() and time.monotonic() < until:
        await asyncio.sleep(0.01)
    return "obeyed nobody"


@task
async def block_the_loop(path):
    """Run until a file exists, without giving other coroutines their turn."""
    until = time.monotonic() + LONGEST_SECONDS
    while not Path(path).exists() and time.monotonic() < until:
        time.sleep(0.01)
    return "let go"


@task
async def keep_the_loop(path):
    """The same, whatever is raised in here."""
    _stay(path)


@task
def block_in_c(seconds):
    """Sleep in C: other threads of this process move, this one hears nothing."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:  # a signal ends usleep
        ctypes.CDLL(None).usleep(int((until - time.monotonic()) * 1_000_000))


@task
def hold_the_lock(seconds):
    """Wait in C with the interpreter's lock held: nothing in this process moves, signals or not."""
    c = ctypes.PyDLL(None)
    mutex = ctypes.create_string_buffer(128)  # zeros are an unlocked one
    until = (ctypes.c_long * 2)(int(time.time() + seconds), 0)
    c.pthread_mutex_lock(mutex)
    c.pthread_mutex_timedlock(mutex, until)


@task
def start_others(path):
    """Start a process, and one in a session of its own; write their numbers down, and stay."""
    words = [sys.executable, "-c", f"import time; time.sleep({LONGEST_SECONDS})"]
    others = [subprocess.Popen(words, start_new_session=apart) for apart in (False, True)]
    for other in others:
        write(path, other.pid)
    _stay(f"{path}.end")
    for other in others:
        other.kill()


@task
def crash_in_c(text=""):
    """Log a line and read from where nothing is."""
    logging.getLogger("tests.sample").warning("About to crash: %s", text)
    ctypes.string_at(0)


@task
def leave_at_once(code=3):
    """End the process with no further word."""
    os._exit(code)


@task
def run_out_of_memory():
    """Ask for more memory than there is."""
    return len(bytearray(1 << 62))


@task
def grow(megabytes):
    """Keep some memory for as long as this process lives."""
    _kept.append(b"x" * (megabytes * 1024 * 1024))
    return os.getpid()


@task
def be_deaf(path):
    """Ignore SIGTERM from now on, say so in a file, and go on until another one exists."""
    signals.signal(signals.SIGTERM, signals.SIG_IGN)
    write(path, os.getpid())
    _stay(f"{path}.end")


_kept = []
