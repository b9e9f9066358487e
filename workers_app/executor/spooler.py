"""Keeps what is done and not reported on disk while Redis is away."""

import logging
import threading
from collections.abc import Sequence

from tasks_app.broker.answers import Settlement

from .lanes import Lane
from .spool import Spool, SpoolFull

logger = logging.getLogger(__name__)


class Spooler:
    """Knows what an executor has done, and which of it is in its spool."""

    def __init__(self, spool: Spool, lanes: Sequence[Lane]):
        self.is_away = False  # Redis: what is done from now on must be written down
        self.is_full = False  # nothing more is to be done: it would be in memory only
        self._spool = spool
        self._lanes = lanes
        self._in_flight: list[tuple[int, Settlement]] = []  # shard, outcome
        self._written: set[tuple[str, str]] = set()  # id, token
        self._lock = threading.Lock()

    def note_away(self, shard: int, in_flight: Sequence[Settlement]) -> None:
        """Redis does not answer to a report: keep it, and all that is done meanwhile."""
        self._in_flight = [(shard, each) for each in in_flight]
        self.is_away = True
        self.write_down()

    def write_down(self) -> None:
        """Write what is not written yet. Called by whoever has finished something."""
        with self._lock:
            done = [(lane.shard, each) for lane in self._lanes for _, each in lane.done.copy()]
            news = [each for each in self._in_flight + done if _key(each[1]) not in self._written]
            if not news:
                return
            try:
                self._spool.append(news)
                self._written.update(_key(settlement) for _, settlement in news)
            except OSError as error:
                if not self.is_full:
                    word = "full" if isinstance(error, SpoolFull) else "failed"
                    logger.error("event=spool_%s path=%s error=%s", word, self._spool.path, error)
                self.is_full = True

    def note_delivered(self, outcomes: Sequence[Settlement]) -> None:
        """Redis has answered: it has these outcomes."""
        if not self.is_away and not self._written:
            return
        with self._lock:
            self.is_away = self.is_full = False
            self._in_flight = []
            self._written.difference_update(map(_key, outcomes))
            if not self._written:
                self._spool.clear()

    def close(self) -> None:
        """All is delivered, and nothing more will be done."""
        self._spool.close()


def _key(settlement: Settlement) -> tuple[str, str]:
    return settlement.id, settlement.token
