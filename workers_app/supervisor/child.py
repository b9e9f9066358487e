"""What a forked child does first, and how it ends."""

import logging
import os
import random
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

from asgiref.sync import SyncToAsync
from django.db import connections
from setproctitle import setproctitle

from tasks_app.broker import connection as redis_connection

from ..tether import end_with_parent

logger = logging.getLogger(__name__)

SIGNALS = {  # which the supervisor handles
    signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGCHLD,
    signal.SIGUSR1, signal.SIGUSR2,
}  # fmt: skip

# Ctrl-C reaches a whole group, and the supervisor decides. Whoever wants to be told by one of the
# others says so later; until then it must not end the child. None is ignored: what a task starts
# would inherit that.
UNHEARD = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class Lifeline:
    """A pipe that ends when the supervisor does, however it ends, on any system."""

    def __init__(self) -> None:
        self.theirs, self._ours = os.pipe()

    def let_go(self) -> None:
        """In a child: only the supervisor is to hold the other end."""
        os.close(self._ours)

    def hold(self) -> None:
        """In a child: end at once when the supervisor is gone."""
        threading.Thread(target=self._watch, name="lifeline", daemon=True).start()

    def _watch(self) -> None:
        os.read(self.theirs, 1)
        os.kill(os.getpid(), signal.SIGKILL)


def fork_child(
    title: str,
    lifeline: Lifeline,
    work: Callable[[], None],
    on_stop: Callable[[], None],
    *,
    leads: bool = False,
    outlives: bool = False,
) -> int:
    """Run ``work`` in a new process and return its pid; ``on_stop`` is what SIGTERM calls there.

    One that ``leads`` has a session and so a process group of its own. One that ``outlives`` the
    supervisor is not ended with it. No socket crosses the fork, and no signal is lost while the
    child gets ready.
    """
    connections.close_all()
    redis_connection.close_all()
    _flush()
    parent = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        pid = os.fork()
    except OSError:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        raise
    if pid:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return pid
    _be(title, lifeline, work, on_stop, leads=leads, tied_to=None if outlives else parent)


def _be(
    title: str,
    lifeline: Lifeline,
    work: Callable[[], None],
    on_stop: Callable[[], None],
    *,
    leads: bool,
    tied_to: int | None,
) -> NoReturn:
    """Be the child, from its first step to its end."""
    code = 1
    try:
        if leads:
            os.setsid()
        _begin(title, lifeline, on_stop)
        if tied_to is not None:
            end_with_parent(tied_to, signal.SIGKILL)
            lifeline.hold()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        work()
        code = 0
    except BaseException:
        logger.exception("event=child_failed title=%s", title)
    finally:
        _flush()
        os._exit(code)  # what the supervisor registered for its own exit is not ours to do


def _forget_threads() -> None:
    """Let coroutines have a thread for sync code that is here: asgiref would wait for its own for
    ever, if that was used before the fork, as by an app that is made ready with it.
    """
    SyncToAsync.single_thread_executor = ThreadPoolExecutor(max_workers=1)


def _begin(title: str, lifeline: Lifeline, on_stop: Callable[[], None]) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, lambda *_: on_stop())
    for number in UNHEARD:
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    _forget_threads()
    random.seed()  # or all children would draw the same numbers
    setproctitle(title)
    lifeline.let_go()


def _flush() -> None:
    """Write out what is buffered: a fork would copy it, and os._exit() forget it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # closed, or none at all
            continue
