"""Results that dead executors wrote to disk while Redis was away, and never got rid of."""

import logging
from dataclasses import dataclass
from pathlib import Path

from tasks_app.broker.answers import Settlement

from ..executor.spool import orphans, read_spool, spool_path

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Leftover:
    """The spool of one executor that is gone."""

    executor: str
    path: Path
    results: list[tuple[int, Settlement]]  # shard, outcome

    @property
    def by_shard(self) -> dict[int, list[Settlement]]:
        found: dict[int, list[Settlement]] = {}
        for shard, settlement in self.results:
            found.setdefault(shard, []).append(settlement)
        return found

    def discard(self) -> None:
        """It was delivered."""
        self.path.unlink(missing_ok=True)


def leftover_of(executor: str) -> Leftover | None:
    """What one executor of ours has left, if anything."""
    path = spool_path(executor)
    return _read(executor, path) if path.exists() else None


def leftovers() -> list[Leftover]:
    """What executors of any worker on this host have left that are gone with their supervisor."""
    try:
        return [found for executor, path in orphans() if (found := _read(executor, path))]
    except OSError as error:
        logger.warning("event=spools_unreadable error=%s", error)
        return []


def _read(executor: str, path: Path) -> Leftover | None:
    try:
        return Leftover(executor, path, read_spool(path))
    except OSError as error:
        logger.warning("event=spool_unreadable path=%s error=%s", path, error)
        return None
