"""How a worker's slots spread over processes and threads. Pure."""

import os

from .control import PoolConfig

FEWEST_CPUS = 4  # so that the default pool has a process for each slot on small machines too


def layout(config: PoolConfig) -> list[int]:
    """The threads of each process."""
    processes = config.processes
    if not processes and config.threads:
        processes = -(-config.pool_size // config.threads)
    return shares(config.pool_size, processes or processes_for(config.pool_size))


def processes_for(slots: int, cpus: int | None = None) -> int:
    """A process for each slot, up to two for each processor: a crash then hits one task only."""
    return max(1, min(slots, 2 * max(cpus or os.cpu_count() or 1, FEWEST_CPUS)))


def shares(slots: int, processes: int) -> list[int]:
    """The threads of each process: as even as can be, and at least one."""
    fewest, more = divmod(max(slots, processes), processes)
    return [fewest + 1] * more + [fewest] * (processes - more)
