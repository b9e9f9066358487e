"""What a forked child does first, and how it ends."""

import logging
import os
import random
import signal
import sys
import threading
from collections.abc import Callable

from django.db import connections
from setproctitle import setproctitle

from tasks_app.broker import connection as redis_connection

from .tether import end_with_parent

logger = logging.getLogger(__name__)

SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}  # which the supervisor handles


class Lifeline:
    """A pipe that ends when the supervisor does, however it ends, on any system."""

    def __init__(self) -> None:
        self._theirs, self._ours = os.pipe()

    def hold(self) -> None:
        """In a child: end at once when the supervisor is gone."""
        os.close(self._ours)
        threading.Thread(target=self._watch, name="lifeline", daemon=True).start()

    def _watch(self) -> None:
        os.read(self._theirs, 1)
        os.kill(os.getpid(), signal.SIGKILL)


def fork_child(
    title: str, lifeline: Lifeline, work: Callable[[], None], on_stop: Callable[[], None]
) -> int:
    """Run ``work`` in a new process and return its pid; ``on_stop`` is what SIGTERM calls there.

    No socket crosses the fork, and no signal is lost while the child gets ready.
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
    code = 1
    try:
        _begin(title, parent, lifeline, on_stop)
        work()
        code = 0
    except BaseException:
        logger.exception("event=child_failed title=%s", title)
    finally:
        _flush()
        os._exit(code)  # what the supervisor registered for its own exit is not ours to do


def _begin(title: str, parent: int, lifeline: Lifeline, on_stop: Callable[[], None]) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, lambda *_: on_stop())
    # Ctrl-C reaches the whole group, and the supervisor decides. Not ignored: what a task starts
    # would inherit that.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    end_with_parent(parent, signal.SIGKILL)
    random.seed()  # or all children would draw the same numbers
    setproctitle(title)
    lifeline.hold()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _flush() -> None:
    """Write out what is buffered: a fork would copy it, and os._exit() forget it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
