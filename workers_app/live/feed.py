"""Demo work: a gentle stream of every demo type, so that there is something to look at."""

import logging
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from tasks_app import registry
from tasks_app.broker import broker
from tasks_app.conf import conf
from tasks_app.enqueue import TaskRequest, submit
from tasks_app.exceptions import QueueFull
from tasks_app.message import LEVELS, now_us, priority_of

from ..service import Service

logger = logging.getLogger(__name__)

MOST_WAITING = (
    200  # the feed pauses while more than these wait: it must not pile up without workers
)
FULL_PAUSE = 2.0  # seconds

TEXTS = (
    "To be, or not to be, that is the question",
    "The quick brown fox jumps over the lazy dog and over the lazy cat",
    "It was the best of times, it was the worst of times, it was the age of wisdom",
)


class Feed(Service):
    """Submits about ``rate`` tasks a second."""

    def __init__(self, rate: float, rng: Random):
        super().__init__()
        self.rate = rate
        self.rng = rng
        self.files = readable_files()

    def tick(self) -> float:
        """Submit one task, unless too many wait already; return the pause before the next."""
        if broker().stats().ready >= MOST_WAITING:
            return FULL_PAUSE
        try:
            submit([self.request()])
        except QueueFull as error:
            logger.info("feed: waiting: %s", error)
            return FULL_PAUSE
        return self.rng.expovariate(self.rate)

    def request(self) -> TaskRequest:
        """A task of a random demo type, with a random priority; some are due, some come later."""
        kinds = [kind for kind in KINDS if kind != "checksum" or self.files]
        name = self.rng.choice(kinds)
        now, rng = now_us(), self.rng
        return TaskRequest(
            type=registry.get(name),
            args=[KINDS[name](self)],
            priority=priority_of(rng.choice(LEVELS)),
            deadline_us=now + rng.randrange(5_000_000, 60_000_000) if rng.random() < 0.2 else 0,
            run_after_us=now + rng.randrange(1_000_000, 15_000_000) if rng.random() < 0.1 else 0,
            max_attempts=4,
            backoff=0.5,
        )

    def some_file(self) -> dict[str, Any]:
        return {"file": self.rng.choice(self.files)}

    def some_text(self) -> Any:
        return (
            self.some_file() if self.files and self.rng.random() < 0.3 else self.rng.choice(TEXTS)
        )


# A type of tasks_app.tasks -> what to give it.
KINDS: dict[str, Callable[[Feed], Any]] = {
    "test": lambda feed: {"hello": feed.rng.randrange(1000)},
    "wordcount": Feed.some_text,
    "primes": lambda feed: feed.rng.randrange(10_000, 300_000),
    "sleep": lambda feed: round(feed.rng.uniform(0.1, 2.0), 2),
    "sleep_async": lambda feed: round(feed.rng.uniform(0.1, 2.0), 2),
    "checksum": Feed.some_file,
    "flaky": lambda feed: 0.3,
}


def readable_files() -> list[str]:
    """Some files below the directory that the demo types may read, as they take them."""
    root = Path(conf().files_root)
    if not conf().files_root or not root.is_dir():
        return []
    return sorted(str(path.relative_to(root)) for path in root.glob("*.md") if path.is_file())[:50]
