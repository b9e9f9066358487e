"""Task types whose effects can be counted: every execution says when it starts and when it ends.

What it says is one line of a file in ``DTPS_VAR_DIR``: task, attempt, pid, a word that is never
used again, "start" or "end", and the moment. The word is the task's result, so that one can see
which execution a result came from.
"""

import asyncio
import ctypes
import os
import resource
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from tasks_app.compat import task

from .files import write

LOG = "effects"  # in DTPS_VAR_DIR


def _say(context, word, what):
    line = f"{context.task_result.id} {context.attempt} {os.getpid()} {word} {what}"
    write(Path(os.environ["DTPS_VAR_DIR"]) / LOG, f"{line} {time.monotonic_ns()}")


@contextmanager
def counted(context):
    """The effect of one execution; it has an end only if nothing is raised."""
    word = token_hex(8)
    _say(context, word, "start")
    yield word
    _say(context, word, "end")


@task(takes_context=True)
def effect(context, seconds=0.0):
    """Take so long."""
    with counted(context) as word:
        time.sleep(seconds)
    return word


@task(takes_context=True, per="tenant")
def effect_of_tenant(context, tenant, seconds=0.0):
    """Take so long for somebody, each of whom has limits of his own."""
    with counted(context) as word:
        time.sleep(seconds)
    return word


@task(takes_context=True)
async def effect_in_coroutine(context, seconds=0.0):
    """Take so long, as a coroutine."""
    with counted(context) as word:
        await asyncio.sleep(seconds)
    return word


@task(takes_context=True)
def effect_until(context, gate, seconds=120):
    """Run until a file exists."""
    with counted(context) as word:
        until = time.monotonic() + seconds
        while not Path(gate).exists():
            if time.monotonic() > until:
                raise TimeoutError(f"{gate} did not appear within {seconds} s")
            time.sleep(0.01)
    return word


@task(takes_context=True, max_attempts=5, backoff=0.05)
def effect_after_failures(context, failures):
    """Fail so many times before it returns."""
    with counted(context) as word:
        if context.attempt <= failures:
            raise ValueError(f"Failure {context.attempt} of {failures}.")
    return word


@task(takes_context=True)
def effect_of_poison(context, how):
    """End the process that runs this."""
    with counted(context):
        POISONS[how]()


def _segfault():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)


POISONS = {
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: os._exit(7),
    "segfault": _segfault,
    "abort": lambda: (resource.setrlimit(resource.RLIMIT_CORE, (0, 0)), os.abort()),
}


@task(takes_context=True)
def effect_in_c(context, seconds):
    """Sleep in C without letting go of the interpreter's lock: no other thread runs meanwhile."""
    with counted(context) as word:
        ctypes.PyDLL(None).sleep(int(seconds))
    return word


@task(takes_context=True)
def effect_without_end(context, pid_path):
    """Swallow whatever is raised, ignore SIGTERM, and have a child of its own; never return."""
    with counted(context):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen(["/bin/sleep", "600"])
        Path(pid_path).write_text(str(child.pid))
        while True:
            with suppress(BaseException):  # that is what it is for
                time.sleep(0.05)


@task(takes_context=True)
def effect_with_memory(context, megabytes):
    """Keep so much memory for good."""
    with counted(context) as word:
        _kept.append(bytearray(os.urandom(1024) * 1024 * megabytes))
    return word


_kept = []


@task(takes_context=True)
def effect_with_result(context, result):
    """Return what Python's eval makes of a text."""
    with counted(context):
        value = eval(result)
    return value
