"""Runs a service in the main thread until a signal asks it to end."""

import signal
import time

from .service import Service

LOOK_SECONDS = 0.05  # between two looks at what the signal handler noted
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def asked_to_end() -> list[int]:
    """From now on note the signals that ask for an end, each time, and return that growing list.

    The handler only notes: it may come while any lock is held. It is installed whatever the
    parent left, since a shell's background job starts with SIGINT ignored.
    """
    asked: list[int] = []
    for number in SIGNALS:
        signal.signal(number, lambda number, _: asked.append(number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    return asked


def serve(service: Service, asked: list[int]) -> None:
    """Tick until somebody asked for an end."""
    while not asked:
        until = time.monotonic() + service.attempt()
        while not asked and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, LOOK_SECONDS))
