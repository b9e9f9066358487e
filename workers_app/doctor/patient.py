"""The system as the doctor sees it: asked once, when the first check wants to know."""

import time
from functools import cached_property
from typing import Any

from tasks_app.broker import broker
from tasks_app.broker.answers import Registered, Stats
from tasks_app.registry import TaskType, task_types

from ..embedded import server as embedded

Info = dict[str, str]


class Patient:
    """Raises QueueUnavailable, RedisError or a database's error where it cannot be asked."""

    def __init__(self) -> None:
        self.broker = broker()

    def call(self, *command: Any) -> Any:
        return self.broker.link.call(*command)

    @property
    def is_embedded(self) -> bool:
        """Whether Redis is the server that our own processes start."""
        return embedded.places() is not None

    @cached_property
    def info(self) -> Info:
        """What the server says of itself."""
        lines = self.call("INFO").decode(errors="replace").splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def option(self, name: str) -> str:
        """One of the server's options. Raise ResponseError if it does not tell."""
        _, value = self.call("CONFIG", "GET", name)
        return value.decode()

    @cached_property
    def stats(self) -> Stats:
        return self.broker.stats()

    @cached_property
    def register(self) -> dict[str, Registered]:
        """Every worker on the register, lost ones too."""
        return self.broker.fleet.workers()

    @cached_property
    def workers(self) -> list[Registered]:
        """The workers that are alive."""
        return [worker for worker in self.register.values() if worker.is_alive]

    @cached_property
    def types(self) -> dict[str, TaskType]:
        """The task types that the code here knows."""
        return task_types()

    def pings(self, count: int) -> list[float]:
        """How long the server took to answer so many times, in ms."""
        took = []
        for _ in range(count):
            began = time.perf_counter()
            self.call("PING")
            took.append((time.perf_counter() - began) * 1000)
        return took
