"""A background loop that starts, ticks and stops the same way everywhere."""

import logging
import threading
import time

from django.db import InterfaceError, OperationalError, close_old_connections, connections

from tasks_app.exceptions import LostLead, QueueUnavailable

logger = logging.getLogger(__name__)

# What passes by itself: a server is away, or busy. One line in the log is enough.
PASSING = (QueueUnavailable, OperationalError, InterfaceError)

FIRST_PAUSE = 0.2  # seconds after the first failure, doubled with each further one
LONGEST_PAUSE = 5.0


class Service:
    """A named loop. Subclasses write ``tick``; tests call ``tick`` and need no thread."""

    def __init__(self, stopping: threading.Event | None = None) -> None:
        self.stopping = stopping or threading.Event()
        self._began: float | None = None  # the running tick, on the monotonic clock
        self._failures = 0  # in a row
        self.has_lost_lead = False

    @property
    def name(self) -> str:
        return type(self).__name__.lower()

    def tick(self) -> float:
        """Do one round; return the seconds to wait before the next."""
        raise NotImplementedError

    def run(self) -> None:
        """Tick until ``stop``; a tick that raises is logged and tried again, ever more slowly."""
        try:
            while not self.stopping.is_set():
                self.stopping.wait(self.attempt())
        finally:
            connections.close_all()

    def stop(self) -> None:
        """Ask the loop to end; safe to call twice, or before ``run``."""
        self.stopping.set()

    def busy_seconds(self) -> float:
        """For how long the current tick has been running; 0 between two."""
        began = self._began
        return 0.0 if began is None else time.monotonic() - began

    def attempt(self) -> float:
        """Do one tick; if it raises, log that. Return the pause before the next."""
        self._began = time.monotonic()
        try:
            close_old_connections()
            pause = self.tick()
        except LostLead as error:  # whoever leads now does this service's work
            logger.warning("event=lead_lost service=%s error=%s", self.name, error)
            self.has_lost_lead = True
            self.stop()
            pause = 0.0
        except PASSING as error:
            pause = self._after_failure()
            logger.warning(
                "event=tick_failed service=%s again_in=%.1f error=%s", self.name, pause, error
            )
        except Exception:
            pause = self._after_failure()
            logger.exception("event=tick_failed service=%s again_in=%.1f", self.name, pause)
        else:
            self._failures = 0
        finally:
            self._began = None
        return pause

    def _after_failure(self) -> float:
        self._failures += 1
        return pause_after(self._failures)


def pause_after(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return min(FIRST_PAUSE * 2 ** min(failures - 1, 20), LONGEST_PAUSE)
