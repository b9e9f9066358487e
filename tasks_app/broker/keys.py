"""The names of everything in Redis: built here and in ``lua/parts/keys.lua``, nowhere else."""

from ..conf import conf
from ..message import escaped


def shard_of(queue: str) -> int:
    """The shard that a queue lives in."""
    return conf().shards.get(queue, 0)


def shards() -> list[int]:
    """Every shard in use."""
    return sorted({0, *conf().shards.values()})


def anchor(shard: int = 0) -> str:
    """What all keys of a shard begin with; its braces keep them in one cluster slot."""
    return f"{conf().namespace}:{{s{shard}}}"


def key(shard: int, name: str) -> str:
    return f"{anchor(shard)}:{name}"


def ready(queue: str) -> str:
    return key(shard_of(queue), f"q:{escaped(queue)}:ready")


def scheduled(queue: str) -> str:
    return key(shard_of(queue), f"q:{escaped(queue)}:scheduled")


def held(shard: int, executor: str) -> str:
    return key(shard, f"held:{executor}")


def wake(shard: int, executor: str) -> str:
    return key(shard, f"wake:{executor}")


def bell(worker: str) -> str:
    """The list that gets an entry when there is an order for a worker."""
    return key(0, f"workers:bell:{worker}")
