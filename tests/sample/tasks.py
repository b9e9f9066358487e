"""Task types for tests. Some of them are for tests of real processes: see their first lines."""

import asyncio
import os
import signal as signals
import sys
import time
from pathlib import Path

from asgiref.sync import sync_to_async

from tasks_app.compat import task

from .awkward import elsewhere  # noqa: F401  to be found, like any other
from .effects import (  # noqa: F401  and so are those
    effect,
    effect_after_failures,
    effect_in_c,
    effect_in_coroutine,
    effect_of_poison,
    effect_of_tenant,
    effect_until,
    effect_with_memory,
    effect_with_result,
    effect_without_end,
)
from .files import write
from .orders import say_when  # noqa: F401
from .secretive import keep_quiet, log_in, log_in_wrongly, make_token  # noqa: F401
from .stubborn import *  # noqa: F403
from .telling import (  # noqa: F401
    ask_for_retries,
    count_on,
    hold_on,
    log_much,
    look_around,
    look_around_in_a_coroutine,
    snooze_until,
    snooze_until_in_a_coroutine,
    tell_until,
    work_until_cancelled,
)


@task
def record(path, text):
    """Append one line to a file."""
    write(path, text)


@task
def block_until(path, seconds=60):
    """Run until a file exists."""
    until = time.monotonic() + seconds
    while not Path(path).exists():
        if time.monotonic() > until:
            raise TimeoutError(f"{path} did not appear within {seconds} s")
        time.sleep(0.01)


@task
def die(signal=int(signals.SIGKILL)):
    """Kill the process that runs this."""
    os.kill(os.getpid(), signal)


@task
def raise_error(message="Broken on purpose."):
    """Fail."""
    raise ValueError(message)


@task
def big_result(n):
    """Return a text of n bytes."""
    return "x" * n


@task
def bad_result():
    """Return what is not JSON."""
    return object()


@task
def echo(*args, **kwargs):
    """Return all that came in."""
    return {"args": list(args), "kwargs": kwargs}


@task
def awkward_names(task, args, queue, priority, timeout, id):
    """Take arguments that are called like our own."""
    return [task, args, queue, priority, timeout, id]


@task
async def async_echo(value):
    """Return the value, from a coroutine."""
    await asyncio.sleep(0)
    return value


@task
async def call_sync_code_in_a_coroutine():
    """Return what a function returns that runs in asgiref's thread."""
    return await sync_to_async(os.getpid)()


@task
async def meet(path, tasks):
    """Wait until so many of these run at once, which each says in a file."""
    record.func(path, "here")
    while len(Path(path).read_text().splitlines()) < tasks:
        await asyncio.sleep(0.01)


@task(takes_context=True)
def context_attempt(context):
    """Return the number of this attempt, and what it sees of itself."""
    result = context.task_result
    return [context.attempt, result.status, result.id]


@task
def leave():
    """Raise SystemExit."""
    sys.exit(3)


@task
def interrupt():
    """Raise KeyboardInterrupt."""
    raise KeyboardInterrupt


@task(max_attempts=3, backoff=0)
def fail_until(path, times):
    """Fail so many times, counted in a file, then return the count."""
    with Path(path).open("a+") as file:
        file.write("x")
        file.flush()
        count = os.fstat(file.fileno()).st_size
    if count <= times:
        raise RuntimeError(f"Failure {count} of {times}.")
    return count


class Overloaded(ConnectionError):
    """An exception of our own that inherits from one of Python's."""


@task(max_attempts=3, backoff=0)
def raise_overloaded():
    """Fail as a server that is too busy."""
    raise Overloaded("too busy")


def odd_backoff(failures, error):
    """Raise what would end the process, where a pause is asked for."""
    sys.exit(f"after {failures} failures, the last one a {type(error).__name__}")


@task(max_attempts=2, backoff=odd_backoff)
def fail_with_an_odd_backoff():
    """Fail, and have a function that cannot say for how long to wait."""
    raise ValueError("on purpose")


@task(unique=["doc"])
def once_a_doc(doc, text=""):
    """Be unique by declaration."""
    return text


@task(priority=50, queue_name="mail", max_attempts=5, backoff=2.5, timeout=30)
def declared():
    """Declare every option.

    And more text.
    """
