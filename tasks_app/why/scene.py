"""What the reasons are told from: the task, its place, and who might run it, looked at once."""

from dataclasses import dataclass
from typing import Any

from .. import outbox
from ..broker import broker
from ..broker.answers import Registered, Standing
from ..message import State, StoredTask, TaskMessage
from ..registry import stands_elsewhere
from ..sketch import may_know

ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything at (nearly) one moment. Asks Redis three times, whatever waits there."""

    task: StoredTask
    standing: Standing
    workers: dict[str, Registered]
    run_id: str  # of the server that Redis is now
    outboxed: Any = None  # its row in the outbox, if Redis does not have it yet

    @classmethod
    def of(cls, task: StoredTask) -> "Scene":
        """Look round. Raise QueueUnavailable."""
        found, message = broker(), task.message
        standing = found.standing(message.id, message.queue)
        return cls(
            task=task,
            standing=standing,
            workers=found.fleet.workers(),
            run_id=found.run_id(),
            outboxed=None if standing.is_known or task.state.is_final else _row_of(message),
        )

    @property
    def message(self) -> TaskMessage:
        return self.task.message

    @property
    def state(self) -> State:
        return self.task.state

    @property
    def queue(self) -> str:
        return self.message.queue

    @property
    def now_ms(self) -> int:
        return self.standing.at_ms

    @property
    def is_gate_closed(self) -> bool:
        """Whether executors wait until a leader has looked at this server."""
        return self.standing.gate not in ("", self.run_id)

    @property
    def alive(self) -> list[Registered]:
        return [worker for worker in self.workers.values() if worker.is_alive]

    @property
    def serving(self) -> list[Registered]:
        """The live workers of the queue, whatever they do."""
        return [worker for worker in self.alive if self.serves(worker)]

    @property
    def active(self) -> list[Registered]:
        """Those of them that take tasks."""
        return [w for w in self.serving if w.said.get("status", ACTIVE) == ACTIVE]

    @property
    def able(self) -> list[Registered]:
        """Those of them that know the type, as far as one can tell."""
        return [
            w
            for w in self.active
            if may_know(_text(w.said, "known"), self.message.type)
            or stands_elsewhere(self.message.type)
        ]

    def serves(self, worker: Registered) -> bool:
        return self.queue in _list(worker.said, "queues")

    def total(self, workers: list[Registered], name: str) -> int:
        """The sum of what workers say under a name."""
        return sum(count(worker.said, name) for worker in workers)


def _row_of(message: TaskMessage) -> Any:
    rows = (outbox.rows(name).filter(id=message.id).first() for name in outbox.databases())
    return next(filter(None, rows), None)


def count(said: dict[str, Any], name: str) -> int:
    """A whole number from 0 on that a worker says; 0 if it is anything else."""
    value = said.get(name)
    return value if type(value) is int and value >= 0 else 0


def _list(said: dict[str, Any], name: str) -> list[Any]:
    value = said.get(name)
    return value if isinstance(value, list) else []


def _text(said: dict[str, Any], name: str) -> str:
    value = said.get(name)
    return value if isinstance(value, str) else ""
