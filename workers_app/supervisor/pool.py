"""How a worker's slots spread over processes and threads. Pure."""

import os

from ..control import PoolConfig

FEWEST_CPUS = 4  # so that the default pool has a process for each slot on small machines too

PROCESSES, THREADS = "processes", "threads"  # what a pool has more of when it grows


def layout(config: PoolConfig) -> list[int]:
    """The threads of each process at the start."""
    processes = config.processes
    if not processes and config.threads:
        processes = -(-config.pool_size // config.threads)
    return shares(config.pool_size, processes or processes_for(config.pool_size))


def kind_of(config: PoolConfig) -> str:
    """Whether a pool grows by processes of one thread each, or by the threads of its processes."""
    return THREADS if config.threads > 1 or max(layout(config)) > 1 else PROCESSES


def spread(config: PoolConfig, kind: str, slots: int) -> list[int]:
    """The threads of each process once there are so many slots."""
    if kind == PROCESSES:
        return [1] * slots
    return shares(slots, min(slots, len(layout(config))))


def processes_for(slots: int, cpus: int | None = None) -> int:
    """A process for each slot, up to two for each processor: a crash then hits one task only."""
    return max(1, min(slots, 2 * max(cpus or os.cpu_count() or 1, FEWEST_CPUS)))


def shares(slots: int, processes: int) -> list[int]:
    """The threads of each process: as even as can be, and at least one."""
    fewest, more = divmod(max(slots, processes), processes)
    return [fewest + 1] * more + [fewest] * (processes - more)
