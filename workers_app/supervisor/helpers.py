"""The places of a worker's other children: the coordinator and the guard."""

import logging
import os
import signal
import time
from collections.abc import Callable

from tasks_app.conf import conf

from ..coordinator import coordinator
from ..embedded import server as embedded
from .child import Lifeline, fork_child
from .crash import how_it_ended
from .guard import Watch, keep_watch
from .seat import Seat, title_of

logger = logging.getLogger(__name__)


class Helper(Seat):
    """One child that is replaced when it dies."""

    name = ""

    def __init__(self, worker: str):
        super().__init__()
        self._worker = worker
        self._pid = 0

    @property
    def is_there(self) -> bool:
        return self._pid != 0

    def fill(self, lifeline: Lifeline) -> None:
        """Fork it, if it is not there. Raise OSError if that is not possible now."""
        if self._pid == 0 and self.is_free:
            self.take()
            self._pid = self._fork(f"{title_of(self._worker)} {self.name}", lifeline)
            logger.info("event=%s_started worker=%s pid=%d", self.name, self._worker, self._pid)

    def _fork(self, title: str, lifeline: Lifeline) -> int:
        raise NotImplementedError

    def look(self) -> None:
        """Notice its death."""
        if self._pid:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._pid = 0
                self.leave(status)
                reason = how_it_ended(status)
                logger.error("event=%s_died worker=%s %s", self.name, self._worker, reason)

    def end(self, seconds: float = 0.0, is_hurried: Callable[[], bool] = lambda: False) -> None:
        """Let it end in order; by force if that takes too long."""
        if self._pid == 0:
            return
        os.kill(self._pid, signal.SIGTERM)
        until = time.monotonic() + seconds
        while os.waitpid(self._pid, os.WNOHANG)[0] == 0:
            if time.monotonic() >= until or is_hurried():
                os.kill(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)
                break
            time.sleep(0.02)
        self._pid = 0


class CoordinatorSeat(Helper):
    """The place of the coordinator, which idles while another one leads."""

    name = "coordinator"

    def _fork(self, title: str, lifeline: Lifeline) -> int:
        return fork_child(
            title,
            lifeline,
            self._coordinate,
            lambda: os._exit(0),  # until it has a handler of its own, there is nothing to end
        )

    def _coordinate(self) -> None:
        embedded.keep()  # the supervisor has no time for that
        coordinator.main_in_child(self._worker)


class GuardSeat(Helper):
    """The place of the guard, which outlives the supervisor by a moment."""

    name = "guard"

    def __init__(self, worker: str, watch: Watch):
        super().__init__(worker)
        self._watch = watch

    def _fork(self, title: str, lifeline: Lifeline) -> int:
        return fork_child(
            title, lifeline, lambda: self._keep(lifeline), lambda: None, leads=True, outlives=True
        )

    def _keep(self, lifeline: Lifeline) -> None:
        keep_watch(
            self._watch, lifeline.theirs, f"{title_of(self._worker)} executor",
            conf().lease_seconds, is_strict=conf().on_lease_lost == "stop",
        )  # fmt: skip
