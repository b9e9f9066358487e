"""Ends running tasks from inside: ``TaskTimeout`` or ``TaskCancelled`` is raised in their code.

The supervisor watches the time and asks, on the board; here the asked task is interrupted, once.
How depends on where it runs:

- In the main thread, the handler of SIGUSR1 raises: sleeps and waits for the network end at once.
- In any other thread, Python raises the exception there before the next bytecode.
- A coroutine that waits is cancelled, and gets our exception instead of CancelledError where it
  waits; one that keeps the loop from going on is treated as a thread.

Nothing may ever be raised outside of the task's own code. The book for that is ``_running``: an
entry stands in it exactly while the code runs, and whoever interrupts must take it out first
(``dict.pop`` is atomic, so only one does):

- The main thread sets, runs and takes out itself, and its signal handler runs in between bytecodes
  of the same thread: what it finds in the book is not over. It takes the entry out and raises, so
  that a second signal finds none.
- An exception for another thread is on its way for a while. A thread that comes back from the
  task's code and does not find its entry knows that: it waits until the exception was sent, and
  takes it back if it has not arrived. It may arrive in the middle of that, which is still inside
  ``call``, and so it is an exception of the task.
- What cancels a coroutine runs in the loop's thread, so that the coroutine stands still then: it
  waits inside the task's code, or has no entry in ``_awaited`` any more. Its next step throws, and
  that is the end of it; unless what it waits for swallows the cancellation, as user code can
  swallow our exceptions: then the grace is over some time, and the supervisor ends it.

Entries are found by the identity of their jobs and not by slots, which are used again: whoever has
taken one out knows that the task which the board calls asked is the one that runs, and that it
goes on running until IS_SENT. One that is asked before it is in the book is found by the next look,
a moment later.
"""

import asyncio
import ctypes
import logging
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from threading import get_ident
from types import FrameType
from typing import Any

from tasks_app.exceptions import TaskCancelled, TaskTimeout

from .board import CANCELLED, TIMED_OUT, Board
from .job import Job

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.05  # between two looks at the board
LONGEST_WAY = 10_000  # milliseconds that an exception may be on its way to a thread; never seen

CANCEL_TEXT = "The task was cancelled."

JOB, IS_SENT = range(2)  # of an entry; a list costs a quarter of an object

_raise_in_thread = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in_thread.argtypes = (ctypes.c_ulong, ctypes.py_object)
_NOTHING = ctypes.py_object()  # NULL: takes back what has not arrived


class Interrupts:
    """Runs tasks' code so that it can be interrupted, and interrupts what the board asks for."""

    def __init__(self, board: Board):
        self._board = board
        self._main = threading.main_thread().ident
        self._running: dict[int, list] = {}  # id(job) -> entry, while the code of a task runs
        self._awaited: dict[int, _Awaited] = {}  # slot -> coroutine that has begun and is not over
        self._is_turn_due = False  # the loop was asked for a sign, and has not given it

    def call(
        self, job: Job, function: Callable[..., Any], args: Iterable[Any], kwargs: dict[str, Any]
    ) -> Any:
        """Call a function of a task. TaskTimeout or TaskCancelled may be raised in it."""
        entry = [job, False]
        key, running = id(job), self._running
        try:
            running[key] = entry
            return function(*args, **kwargs)
        finally:
            if running.pop(key, None) is None:
                _take_back(entry)

    async def acall(self, job: Job, coroutine: Awaitable[Any]) -> Any:
        """Await what a task's coroutine function returned, with the same exceptions."""
        awaited = _Awaited(self, job, coroutine)
        self._awaited[job.slot] = awaited
        try:
            return await awaited
        finally:
            del self._awaited[job.slot]

    def is_cancelled(self, job: Job) -> bool:
        """Whether a task was asked to end because nobody wants its outcome any more."""
        return self._reason(job) == CANCELLED

    def explain(self, error: BaseException, job: Job) -> None:
        """Give an interruption its message: one that was raised in another thread has none."""
        if self._reason(job) and type(error) in _CLASSES.values() and not error.args:
            error.args = (_text(job) if isinstance(error, TaskTimeout) else CANCEL_TEXT,)

    def coroutines(self) -> Iterator[tuple[str, list[FrameType]]]:
        """The coroutines that have begun: id of the task, and its frames, outermost first."""
        for awaited in list(self._awaited.values()):
            yield awaited.job.message.id, list(_frames(awaited.coroutine))

    def see_turn(self) -> None:
        """Have the board show that coroutines get their turn, if they do or there are none."""
        awaited = next(iter(list(self._awaited.values())), None)
        if awaited is None:
            self._board.turn()
        elif not self._is_turn_due:
            self._is_turn_due = True
            with suppress(RuntimeError):  # the loop has ended
                awaited.loop.call_soon_threadsafe(self._turn)

    def _turn(self) -> None:
        self._is_turn_due = False
        self._board.turn()

    # --- interrupting ---

    def interrupt_main(self) -> None:
        """Raise if the task in the main thread is asked to end. Called by a signal handler."""
        for key, entry in list(self._running.items()):
            if self._is_in_main(entry[JOB]) and self._reason(entry[JOB]):
                entry[IS_SENT] = True
                if self._running.pop(key, None) is not None:
                    raise self._interruption(entry[JOB])

    def look(self) -> None:
        """Interrupt whatever is asked to end. Called by a thread that runs no tasks."""
        for awaited in list(self._awaited.values()):
            if self._reason(awaited.job):
                self._interrupt_coroutine(awaited)
        for entry in list(self._running.values()):
            if self._reason(entry[JOB]) and entry[JOB].slot not in self._awaited:
                if self._is_in_main(entry[JOB]):
                    signal.pthread_kill(self._main, signal.SIGUSR1)  # it came too early before
                else:
                    self._interrupt_thread(entry[JOB], lambda: True)

    def _interrupt_thread(self, job: Job, is_due: Callable[[], bool]) -> None:
        entry = self._running.pop(id(job), None)
        if entry is not None:
            if is_due():
                _raise_in_thread(self._board.thread(job.slot), _CLASSES[self._reason(job)])
            entry[IS_SENT] = True

    def _interrupt_coroutine(self, awaited: "_Awaited") -> None:
        if not awaited.is_asked:
            awaited.is_asked = True
            with suppress(RuntimeError):  # the loop has ended
                awaited.loop.call_soon_threadsafe(self._cancel, awaited)
        elif not awaited.is_interrupted:
            # It had the time from one look to the next. Does it keep the loop? If so it cannot
            # leave its step until IS_SENT, and _cancel() cannot come in between.
            self._interrupt_thread(awaited.job, awaited.interrupt)

    def _cancel(self, awaited: "_Awaited") -> None:
        if self._awaited.get(awaited.job.slot) is awaited and awaited.interrupt():
            awaited.error = self._interruption(awaited.job)
            awaited.task.cancel()

    def _is_in_main(self, job: Job) -> bool:
        return self._board.thread(job.slot) == self._main

    def _reason(self, job: Job) -> int:
        return self._board.asked(job.slot)

    def _interruption(self, job: Job) -> Exception:
        error = _CLASSES[self._reason(job)]()
        self.explain(error, job)
        return error


class _Awaited:
    """A task's coroutine, as our coroutine around it awaits it."""

    def __init__(self, interrupts: Interrupts, job: Job, coroutine: Awaitable[Any]):
        self.job = job
        self.coroutine = coroutine if hasattr(coroutine, "send") else _awaiting(coroutine)
        self.loop = asyncio.get_running_loop()
        self.task = asyncio.current_task()
        self.is_asked = False
        self.is_interrupted = False
        self.error: Exception | None = None  # to be thrown in the place of CancelledError
        self._call = partial(interrupts.call, job)

    def interrupt(self) -> bool:
        """Note that it is interrupted. Return False if it was already."""
        was_interrupted, self.is_interrupted = self.is_interrupted, True
        return not was_interrupted

    def __await__(self) -> "_Awaited":
        return self

    def __next__(self) -> Any:
        return self._call(self.coroutine.send, (None,), {})

    def send(self, value: Any) -> Any:
        return self._call(self.coroutine.send, (value,), {})

    def throw(self, *error: Any) -> Any:
        if self.error is not None and isinstance(error[0], asyncio.CancelledError):
            error, self.error = (self.error,), None
            self.task.uncancel()  # to asyncio it is an error like any other
        return self._call(self.coroutine.throw, error, {})

    def close(self) -> None:
        self.coroutine.close()


_CLASSES = {TIMED_OUT: TaskTimeout, CANCELLED: TaskCancelled}


def _text(job: Job) -> str:
    return f"The attempt took longer than its limit of {job.message.timeout:g} s."


def _take_back(entry: list) -> None:
    """Wait for an exception that was sent to this thread; it may arrive in here."""
    for _ in range(LONGEST_WAY):
        if entry[IS_SENT]:
            break
        time.sleep(0.001)
    _raise_in_thread(get_ident(), _NOTHING)


async def _awaiting(value: Awaitable[Any]) -> Any:
    return await value


def _frames(coroutine: Any) -> Iterator[FrameType]:
    """Where a coroutine stands, where the one that it awaits, and so on."""
    while coroutine is not None:
        parts = {"cr": "cr_await", "gi": "gi_yieldfrom", "ag": "ag_await"}
        kind = next((each for each in parts if hasattr(coroutine, f"{each}_frame")), None)
        if kind is None:
            return
        if (frame := getattr(coroutine, f"{kind}_frame")) is not None:
            yield frame
        coroutine = getattr(coroutine, parts[kind])


class Lookout(threading.Thread):
    """Interrupts and beats while the executor has something in hand.

    It has a thread of its own, since the courier may wait for Redis, and the main thread for C.
    """

    def __init__(self, interrupts: Interrupts, board: Board, awake: threading.Event):
        super().__init__(name="lookout", daemon=True)
        self._interrupts = interrupts
        self._board = board
        self._awake = awake

    def run(self) -> None:
        while True:
            self._awake.wait()
            time.sleep(LOOK_SECONDS)
            self._board.beat()
            try:
                self._interrupts.see_turn()
                self._interrupts.look()
            except Exception:
                logger.exception("event=lookout_failed")
