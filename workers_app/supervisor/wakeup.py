"""The supervisor's sleep, which any signal ends, and any of some files that can be read."""

import os
import select
import signal
from collections.abc import Callable

ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
HEARD = (signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2)  # none of which ends a supervisor


class Wakeup:
    """Handles the signals of a supervisor: ``on_stop`` for those that end it."""

    def __init__(self, on_stop: Callable[[], None]):
        self._reader, writer = os.pipe()
        for end in (self._reader, writer):
            os.set_blocking(end, False)
        # Handlers alone would not do: a signal just before the sleep would not end it.
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in ENDS:
            signal.signal(number, lambda *_: on_stop())
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup leaves it
            signal.signal(signal.SIGHUP, lambda *_: on_stop())
        for number in HEARD:
            signal.signal(number, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {*ENDS, *HEARD, signal.SIGHUP})

    def wait(self, seconds: float, *files: int) -> None:
        """Sleep until a signal comes or a file can be read, for so long at most."""
        poll = select.poll()  # select() knows no file beyond the thousandth
        for file in (self._reader, *files):
            poll.register(file, select.POLLIN)
        ready = poll.poll(max(0.0, seconds) * 1000)
        if any(file == self._reader for file, _ in ready):
            os.read(self._reader, 4096)

    def close(self) -> None:
        """The end has come: who hurries it now must not make a failure of it.

        While an interpreter ends, signals have their defaults again, unless they are ignored.
        """
        for number in (*ENDS, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
