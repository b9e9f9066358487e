"""Task types that ask and tell their context, for tests of real workers."""

import asyncio
import logging
import os
import signal
import threading
import time
from pathlib import Path

from asgiref.sync import sync_to_async

from tasks_app import current
from tasks_app.compat import TaskContext as DjangosContext
from tasks_app.compat import task
from tasks_app.exceptions import TaskLost

from .files import LONGEST_SECONDS, wait_for, write

logger = logging.getLogger("shop.packing")


@task(takes_context=True)
def count_on(context, path, until, die_at):
    """Do steps, each noted in a file; after one of them, once, the process is killed."""
    for n in range(context.state.get("done", 0), until):
        write(path, n)
        context.state["done"] = n + 1
        context.save()
        context.progress(n + 1, until, "counting")
        if n + 1 == die_at and not Path(f"{path}.died").exists():
            Path(f"{path}.died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return context.state["done"]


def _snooze(times, seconds):
    context = current()
    context.state["snoozes"] = context.state.get("snoozes", -1) + 1
    if context.state["snoozes"] < times:
        context.save()
        try:
            context.snooze(seconds)
        except Exception as error:  # noqa: BLE001 (as users write it)
            return f"swallowed {error!r}"
    return [context.state["snoozes"], context.attempt]


@task
def snooze_until(times, seconds):
    """Snooze so many times, then return how often that was, and the attempt's number."""
    return _snooze(times, seconds)


@task
async def snooze_until_in_a_coroutine(times, seconds):
    """The same, in a coroutine."""
    return _snooze(times, seconds)


@task(max_attempts=3, backoff=600, give_up_on=[BaseException])
def ask_for_retries(succeed_at):
    """Ask for another attempt, at once, until one of that number."""
    context = current()
    if context.attempt == succeed_at:
        return context.attempt
    try:
        raise LookupError("nothing there yet")
    except LookupError:
        context.retry(in_seconds=0)


@task(takes_context=True)
def tell_until(context, path, steps):
    """Tell of steps, as fast as it can, and then wait until a file exists."""
    for n in range(1, steps + 1):
        context.progress(n, steps, f"step {n}")
        context.log(f"did step {n}", "warning")
    wait_for(path)
    return steps


@task
def log_much(lines):
    """Log by ``logging`` in all ways; then so many lines."""
    logger.debug("unheard")
    try:
        raise ValueError("on the way")
    except ValueError:
        logger.exception("packed %d", 3)
    logging.getLogger("quiet").info("half \ud800 a pair, %s", "and more")
    logger.info("wrong %d", "number")
    for n in range(lines):
        logger.info("line %d %s", n, "x" * 100)


@task(takes_context=True)
def hold_on(context, path):
    """The first time wait for a file and save; the next time save at once, and say so."""
    first = not Path(f"{path}.begun").exists()
    Path(f"{path}.begun").touch()
    write(f"{path}.fence", context.fence)
    if first:
        wait_for(path)
    context.state["by"] = "first" if first else "second"
    try:
        context.save()
        write(f"{path}.said", f"{context.state['by']} saved")
    except TaskLost:
        write(f"{path}.said", f"{context.state['by']} lost {context.is_cancelled}")
    if not first:
        wait_for(f"{path}.end")


@task(timeout=50, takes_context=True)
def look_around(context):
    """Return what the context says, here and in what it calls."""
    seen = {}

    def look(name):
        seen[name] = current() is context

    look("here")
    thread = threading.Thread(target=look, args=["own thread"])
    thread.start()
    thread.join()
    return _seen(context, seen)


@task(timeout=50, takes_context=True)
async def look_around_in_a_coroutine(context):
    """The same, in a coroutine and what it awaits."""
    seen = {}

    async def look(name):
        seen[name] = current() is context

    await look("here")
    await asyncio.gather(look("gathered"), asyncio.create_task(look("task")))
    await sync_to_async(lambda: seen.update(sync=current() is context))()
    context.state["x"] = 1
    await context.asave()
    return _seen(context, seen)


def _seen(context, seen):
    return {
        "seen": seen,
        "is_djangos": isinstance(context, DjangosContext),
        "attempt": context.attempt,
        "id": context.task_result.id,
        "seconds_left": context.seconds_left,
        "deadline_left": context.deadline_left,
        "is_cancelled": context.is_cancelled,
    }


@task(takes_context=True)
def work_until_cancelled(context, path):
    """Work, deaf to exceptions, until the context says that it is cancelled."""
    until = time.monotonic() + LONGEST_SECONDS
    while not context.is_cancelled and time.monotonic() < until:
        try:
            time.sleep(0.01)
        except Exception:  # noqa: BLE001 (as users write it)
            continue
    write(path, "cancelled" if context.is_cancelled else "waited in vain")
