"""What a worker is told: how to be at its start, and orders while it runs."""

import os
import re
import secrets
import socket
from dataclasses import dataclass
from typing import Any, Self

from tasks_app.exceptions import InvalidCall

STOP = {"order": "stop"}  # drain and end, as SIGTERM says it

USUAL_SLOTS, MOST_USUAL_SLOTS = 5, 10  # of a worker that is not told
MOST_SLOTS = 1000  # of one worker; more hosts are the better answer then
LONGEST_ID = 64  # what the history has room for

_KEYS = {  # the API's words -> ours
    "poolSize": "pool_size",
    "minWorkers": "min_workers",
    "maxWorkers": "max_workers",
    "processes": "processes",
    "threads": "threads",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolConfig:
    """How a worker is to be. A bound that is not given stretches to fit the size."""

    pool_size: int = USUAL_SLOTS  # slots at the start
    enable_steal: bool = True
    min_workers: int = 1  # bounds for the autoscaler, in slots
    max_workers: int = MOST_USUAL_SLOTS
    queues: tuple[str, ...] = ("default",)
    processes: int = 0  # 0: as many as suit the size and the machine
    threads: int = 0  # of each process; 0: as the size asks for
    name: str = ""

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> Self:
        """Read the API's form, every key optional. Raise InvalidCall."""
        errors: dict[str, list[str]] = {}
        said: dict[str, Any] = {}
        for key, name in _KEYS.items():
            if given.get(key) is not None:
                said[name] = given[key]
                if key not in ("processes", "threads") or given[key] != 0:
                    _check_count(key, given[key], errors)
        if given.get("enableSteal") is not None:
            said["enable_steal"] = given["enableSteal"]
            if not isinstance(given["enableSteal"], bool):
                errors["enableSteal"] = ["Must be true or false."]
        if given.get("queues"):
            said["queues"] = tuple(given["queues"])
        if given.get("name"):
            said["name"] = str(given["name"])
        if errors:
            raise InvalidCall(errors)
        return cls.fitted(**said)

    @classmethod
    def fitted(cls, **said: Any) -> Self:
        """Build one whose unsaid bounds fit what was said. Raise InvalidCall if that cannot be."""
        processes, threads = said.get("processes"), said.get("threads")
        if processes or threads:
            product = (processes or os.cpu_count() or 1) * (threads or 1)
            said.setdefault("pool_size", product)
        low, high = said.get("min_workers"), said.get("max_workers")
        if "pool_size" not in said:
            said["pool_size"] = max(low or 1, min(USUAL_SLOTS, high or USUAL_SLOTS))
        size = said["pool_size"]
        said["min_workers"] = low if low is not None else min(1, size)
        said["max_workers"] = high if high is not None else max(MOST_USUAL_SLOTS, size)
        errors = {}
        if processes and threads and size != processes * threads:
            errors["poolSize"] = ["Must be processes times threads, if both are given."]
        if said["min_workers"] > size:
            errors["minWorkers"] = ["Must be at most poolSize."]
        if said["max_workers"] < size:
            errors["maxWorkers"] = ["Must be at least poolSize."]
        if errors:
            raise InvalidCall(errors)
        return cls(**said)

    def to_json(self) -> dict[str, Any]:
        """The form of the API: what it was given, and the rest if it says something."""
        said = {
            "poolSize": self.pool_size,
            "enableSteal": self.enable_steal,
            "minWorkers": self.min_workers,
            "maxWorkers": self.max_workers,
        }
        if self.queues != ("default",):
            said["queues"] = list(self.queues)
        more = {"processes": self.processes, "threads": self.threads, "name": self.name}
        return said | {key: value for key, value in more.items() if value}


def _check_count(key: str, value: Any, errors: dict[str, list[str]]) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_SLOTS:
        errors[key] = [f"Must be a whole number from 1 to {MOST_SLOTS}."]


def new_worker_id(name: str = "") -> str:
    """A name for one start of a worker, never used before: whose silence began is then known."""
    readable = re.sub(r"[^A-Za-z0-9_.-]+", "-", name or socket.gethostname())
    return f"{readable[: LONGEST_ID - 9]}-{secrets.token_hex(4)}"
