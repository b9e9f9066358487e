"""The supervisor's sleep, which any signal ends."""

import os
import select
import signal
from collections.abc import Callable


class Wakeup:
    """Handles the signals of a supervisor: ``on_stop`` for those that end it."""

    def __init__(self, on_stop: Callable[[], None]):
        self._reader, writer = os.pipe()
        for end in (self._reader, writer):
            os.set_blocking(end, False)
        # Handlers alone would not do: a signal just before the sleep would not end it.
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: on_stop())
        signal.signal(signal.SIGINT, lambda *_: on_stop())
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def wait(self, seconds: float) -> None:
        """Sleep until a signal comes, for so long at most."""
        if select.select([self._reader], [], [], max(0.0, seconds))[0]:
            os.read(self._reader, 4096)
