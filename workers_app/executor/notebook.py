"""What an executor's tasks say of themselves, on its way to Redis: a few times a second for each.

The courier writes what is due, and an exchange what is left of a task before it reports its end: so
the last word is there before the outcome. While Redis is away only the newest progress and lines
are kept, and no task waits. A checkpoint does not come this way: see ``page.py``.
"""

import logging
import threading
import time
from collections.abc import Iterable, Sequence

from redis.exceptions import RedisError

from tasks_app.broker import Broker
from tasks_app.broker.answers import Remark, Settlement
from tasks_app.exceptions import QueueUnavailable, TaskSystemError

from .page import Key, Page

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 0.3  # between two writes for one task
RECORD_SECONDS = 10.0  # between two copies in the database, of a task that runs and saves nothing
AGAIN_SECONDS = 1.0  # after a try that failed


class Notebook:
    """The pages that have something to write, of one executor. Tasks never wait for its lock."""

    def __init__(self, broker: Broker, executor: str):
        self._broker = broker
        self._executor = executor
        self._pages: dict[Key, Page] = {}
        self._lock = threading.Lock()
        self._not_before = 0.0  # time.monotonic()

    def take_up(self, page: Page) -> None:
        """Note that a page has something to write."""
        self._pages[page.key] = page

    def send(self, remarks: Sequence[Remark], shard: int, *, tells: bool = False) -> list[str]:
        """Write now. Return the ids of those that we do not hold. Raise QueueUnavailable."""
        return self._broker.remark(self._executor, remarks, tells=tells, shard=shard)

    def load(self, task_id: str, shard: int) -> bytes:
        """The last checkpoint of a task, as JSON; b"": it has none. Raise QueueUnavailable."""
        return self._broker.checkpoint(task_id, shard)

    def tick(self) -> None:
        """Write what is due. A Redis that is away is left alone for a while."""
        now = time.monotonic()
        if not self._pages or now < self._not_before:
            return
        due = [p for p in list(self._pages.values()) if now - p.written_at >= PAUSE_SECONDS]
        try:
            self._write(due, now)
        except QueueUnavailable as error:
            self._not_before = time.monotonic() + AGAIN_SECONDS
            logger.info("event=remarks_wait error=%s", error)

    def flush(self, settlements: Iterable[Settlement]) -> None:
        """Write what is left of tasks that have ended. Raise QueueUnavailable."""
        if self._pages:
            keys = ((each.id, each.token) for each in settlements)
            self._write([self._pages[key] for key in keys if key in self._pages])

    def _write(self, pages: list[Page], now: float | None = None) -> None:
        """Write, for each shard in one go; at ``now``, tell the recorder too if it is time."""
        with self._lock:
            of_shard: dict[int, list[Page]] = {}
            for page in pages:
                of_shard.setdefault(page.job.lane.shard, []).append(page)
            for shard, some in of_shard.items():
                self._write_shard(some, shard, now)

    def _write_shard(self, pages: list[Page], shard: int, now: float | None) -> None:
        news = {page: remark for page in pages if (remark := page.news())}
        tells = now is not None and any(now - page.told_at > RECORD_SECONDS for page in news)
        refused = self._sent(list(news.values()), shard, tells=tells) if news else ()
        for page in pages:
            self._pages.pop(page.key, None)
            if tells:
                page.told_at = now
            if page.written(was_refused=page.key[0] in refused):
                self.take_up(page)

    def _sent(self, remarks: list[Remark], shard: int, *, tells: bool) -> list[str]:
        try:
            return self.send(remarks, shard, tells=tells)
        except QueueUnavailable:
            raise
        except (TaskSystemError, RedisError):  # it would fail again, and outcomes wait for this
            logger.exception("event=remarks_dropped tasks=%s", [each.id for each in remarks])
            return []
