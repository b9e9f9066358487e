"""The sampler: keeps one sample of the metrics a second, from which the live page draws."""

from tasks_app.broker import Broker

from ...said import load
from ...service import Service


class Sampler(Service):
    """Samples counters that only grow; whoever shows them computes rates."""

    def __init__(self, broker: Broker):
        super().__init__()
        self._broker = broker

    def tick(self) -> float:
        """Keep a sample; the pause ends with the server's second."""
        stats = self._broker.stats()
        workers = self._broker.fleet.workers().values()
        self._broker.fleet.keep_sample(
            {
                "at_ms": stats.at_ms,
                "completed": stats.count("completed"),
                "failed": stats.count("failed"),
                "submitted": stats.count("submitted"),
                "ready": stats.ready,
                "scheduled": stats.scheduled,
                "active_workers": sum(worker.is_alive for worker in workers),
                **load(workers),
            }
        )
        return seconds_to_next(stats.at_ms)


def seconds_to_next(at_ms: int) -> float:
    """The time to the next full second, or to the one after it if that is just about to come."""
    rest = 1.0 - at_ms % 1000 / 1000
    return rest if rest > 0.5 else rest + 1.0
