"""A long-lived process forked from this one, so that it need not import everything again."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from django.core.management import CommandError
from django.db import connections
from setproctitle import setproctitle

from tasks_app.broker import connection as redis_connection

from ..foreground import SIGNALS
from ..tether import end_with_parent


class Forked:
    """Runs ``work`` in a session of its own; ends, as SIGTERM asks for, with its parent.

    Only for a parent with a single thread.
    """

    def __init__(self, title: str, work: Callable[[], None], log: Path | None = None):
        redis_connection.close_all()  # no connection may be shared
        connections.close_all()
        flush()
        self.code: int | None = None  # once it has ended; negative: the signal that killed it
        parent = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # none may reach the parent's handlers
        try:
            self.pid = os.fork()
            if self.pid == 0:
                os._exit(_be(title, work, log, parent))
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        if self.code is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def tell(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


def _be(title: str, work: Callable[[], None], log: Path | None, parent: int) -> int:
    """Be the new process; return its exit code."""
    try:
        _settle(title, log, parent)
        work()
        return 0
    except CommandError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201
        return error.returncode
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 (the process ends here)
        traceback.print_exc()
        return 1
    finally:
        flush()


def _settle(title: str, log: Path | None, parent: int) -> None:
    os.setsid()  # Ctrl-C in the terminal is the parent's affair
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    end_with_parent(parent)
    setproctitle(title)
    _redirect(Path(os.devnull), os.O_RDONLY, [0])
    if log is not None:
        _redirect(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, [1, 2])


def _redirect(path: Path, flags: int, numbers: list[int]) -> None:
    fd = os.open(path, flags, 0o600)
    for number in numbers:
        os.dup2(fd, number)
    os.close(fd)


def flush() -> None:
    """Write out what is buffered: a fork would copy it, and os._exit() forget it."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
