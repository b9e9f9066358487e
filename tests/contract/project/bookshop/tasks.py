"""The bookshop's tasks."""

import asyncio
import contextvars
import os
import sys
import time
from functools import partial

from django.apps import apps
from django.db import connection, transaction
from django.utils import translation

from .api import task

LANGUAGE = contextvars.ContextVar("language", default="none")


def rows(name):
    """The rows of a model: this module is imported while the apps load."""
    return apps.get_model("bookshop", name).objects


@task
def add(first, second=0):
    """Add two numbers."""
    return first + second


@task
def give_back(*args, **kwargs):
    """Return all that came in."""
    return {"args": list(args), "kwargs": kwargs}


@task
def awkward_names(task, args, kwargs, queue, queue_name, priority, timeout, id, alias, backend):
    """Take arguments that are called like what a backend has."""
    return [task, args, kwargs, queue, queue_name, priority, timeout, id, alias, backend]


@task
async def slowly(value):
    """Return a value, from a coroutine."""
    await asyncio.sleep(0.01)
    return value


@task
async def count_books():
    """Ask the database, from a coroutine."""
    return await rows("Book").acount()


@task(takes_context=True)
def look_at_myself(context, *args):
    """Return what an attempt is told of itself."""
    result = context.task_result
    return {
        "attempt": context.attempt,
        "id": result.id,
        "status": result.status,
        "attempts": result.attempts,
        "workers": len(result.worker_ids),
        "priority": result.task.priority,
        "queue": result.task.queue_name,
        "run_after": result.task.run_after and result.task.run_after.isoformat(),
        "backend": [result.backend, result.task.backend],
        "args": result.args,
        "has_started": result.started_at == result.last_attempted_at is not None,
    }


@task(takes_context=True)
def ask_for_myself(context):
    """Return what an attempt finds where everybody looks."""
    result = context.task_result
    result.refresh()
    return [result.status, result.attempts, result.is_finished]


@task(takes_context=True)
async def ask_for_myself_in_a_coroutine(context):
    """Return what an attempt finds where everybody looks."""
    result = await context.task_result.task.aget_result(context.task_result.id)
    return [result.status, result.attempts, result.is_finished]


@task(priority=50, queue_name="mail")
def important():
    """Be declared with options."""


@task(takes_context=True, max_attempts=3, backoff=0)
def third_time_lucky(context):
    """Fail twice."""
    if context.attempt < 3:
        raise ConnectionError(f"attempt {context.attempt}")
    return [error.exception_class_path for error in context.task_result.errors]


@task(max_attempts=2, backoff=0)
def never_lucky():
    """Fail twice, for good."""
    raise LookupError("never")


@task
def fail():
    """Fail once: nobody has asked for a retry."""
    raise ValueError("on purpose")


class OwnError(Exception):
    """An exception that needs more than a message."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


@task
def fail_in_an_own_way():
    """Raise what no other process can make from its message."""
    raise OwnError(7, "odd")


@task
def leave(name):
    """Raise what would end the process."""
    raise {
        "SystemExit": SystemExit(3),
        "KeyboardInterrupt": KeyboardInterrupt(),
        "GeneratorExit": GeneratorExit(),
        "BaseException": BaseException("bare"),
    }[name]


@task
async def leave_a_coroutine():
    """Raise SystemExit on the event loop."""
    sys.exit(3)


@task
def awaited():
    """Be heard by a receiver that is a coroutine function."""


@task
async def awaited_in_a_coroutine():
    """Be heard by a receiver that is a coroutine function."""


@task
def touchy():
    """Be heard by a receiver that breaks."""
    return "fine"


@task
def give_bytes(text):
    """Return bytes."""
    return text.encode()


@task
def give_what_no_json_has(kind):
    """Return what cannot be kept."""
    return {
        "object": object(),
        "nan": float("nan"),
        "set": {1},
        "latin1": b"\xe9",
        "surrogate": "\ud800",
    }[kind]


@task
def print_page(text):
    """Leave a row behind."""
    rows("Page").create(text=text)
    return os.getpid()


@task
def draw_cover(pk):
    """Look at the row that whoever enqueued this has just made."""
    return rows("Book").get(pk=pk).title


@task
def is_in_a_transaction():
    """Tell whether a commit is somebody else's business."""
    return connection.in_atomic_block


@task
def leave_a_transaction_open(text):
    """Begin a transaction and never end it."""
    rows("Page").create(text=f"{text}: before")
    transaction.set_autocommit(False)
    rows("Page").create(text=f"{text}: inside")
    return "done"


@task
def chain(text):
    """Enqueue another task, once what it needs has been committed."""
    with transaction.atomic():
        page = rows("Page").create(text=text)
        transaction.on_commit(partial(print_page.enqueue, f"{text}: {page.pk}"))


@task
def speak(language):
    """Return the language before, and leave another one behind."""
    before = [translation.get_language(), LANGUAGE.get()]
    translation.activate(language)
    LANGUAGE.set(language)
    return before


@task
async def speak_in_a_coroutine(language):
    """Return the language before, and leave another one behind."""
    before = [translation.get_language(), LANGUAGE.get()]
    translation.activate(language)
    LANGUAGE.set(language)
    return before


@task(queue_name="reports", backend="reports")
def report(number):
    """Be declared for another alias."""
    return number


@task(queue_name="line", backend="anything")
def hold_the_line(title):
    """Keep a worker of one slot busy until a book is there."""
    until = time.monotonic() + 60
    while not rows("Book").filter(title=title).exists():
        if time.monotonic() > until:
            raise TimeoutError(title)
        time.sleep(0.02)


@task(queue_name="line", backend="anything")
def stand_in_line(text):
    """Say when it was one's turn."""
    rows("Page").create(text=text)


@task(queue_name="Bücher & mehr: a b", backend="anything")
def odd_queue():
    """Wait in a queue with an odd name."""
    return "out"


if os.environ.get("BOOKSHOP_IS_OLD") != "1":

    @task
    def new_task():
        """Be in a newer version of the bookshop than its worker has."""
