"""Reports for an executor whose main loop is busy inside a task."""

import logging
import threading

from redis.exceptions import RedisError

from tasks_app.exceptions import TaskSystemError

from .exchange import Exchanger
from .lanes import Lane
from .notebook import Notebook

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.025  # two of them pass before anything is reported: 50 ms at the latest


class Courier(threading.Thread):
    """Sees to it that nothing done is kept back, and that what runs is known as processing.

    It looks whether the main loop made an exchange since its last look; if so it leaves the
    reporting to the next one, and so costs nothing while short tasks rush through.
    """

    def __init__(self, exchanger: Exchanger, lanes: list[Lane], notebook: Notebook):
        super().__init__(name="courier", daemon=True)
        self.awake = threading.Event()  # cleared while the executor has nothing in hand
        self._exchanger = exchanger
        self._lanes = lanes
        self._notebook = notebook
        self._calls_seen = -1
        self._published: set[tuple[str, str]] = set()  # (id, token)
        self._nudged = threading.Event()

    def nudge(self) -> None:
        """Report at once: nobody else is about to."""
        self._nudged.set()

    def run(self) -> None:
        while True:
            self.awake.wait()
            is_nudged = self._nudged.wait(TICK_SECONDS)
            self._nudged.clear()
            try:
                if is_nudged:
                    self._report()
                else:
                    self.tick()
                self._notebook.tick()
            except (TaskSystemError, RedisError) as error:
                logger.info("event=courier_waits error=%s", error)
            except Exception:
                logger.exception("event=courier_failed")

    def tick(self) -> None:
        """Report and publish, if the main loop has not done so since the last tick."""
        if self._exchanger.calls != self._calls_seen:
            self._calls_seen = self._exchanger.calls
            return
        self._report()
        self._publish()
        self._calls_seen = self._exchanger.calls

    def _report(self) -> None:
        for lane in self._lanes:
            self._exchanger.finish(lane)

    def _publish(self) -> None:
        running = set(self._exchanger.board.running().items())
        news = [task_id for task_id, _ in running - self._published]
        if news:
            for lane in self._lanes:
                self._exchanger.start(lane, news)
        self._published = running
