"""The Python stack of each running task, also of one that holds the interpreter's lock."""

import logging
import signal
import time
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from tasks_app.broker import Broker
from tasks_app.exceptions import TaskSystemError

from ..executor.blackbox import stacks_by_task, stacks_by_thread
from .lease import Lease
from .overrun import seconds_of
from .seat import Child

logger = logging.getLogger(__name__)

DUMP_SECONDS = 0.3  # for all processes to write their stacks
LOOK_SECONDS = 0.05


@dataclass
class Request:
    """Somebody waits for the stacks of all executors."""

    name: str
    marks: dict[Child, int]  # where in its box each dump begins
    until: float


class Stacks:
    """Asks executors by a signal and collects what they wrote a little later."""

    def __init__(self, broker: Broker, worker: str, lease: Lease):
        self._broker = broker
        self._worker = worker
        self._lease = lease
        self._requests: list[Request] = []

    @property
    def next_moment(self) -> float | None:
        return min((request.until for request in self._requests), default=None)

    def ask(self, name: str, children: list[Child]) -> None:
        """Have everybody write down its stacks."""
        marks = {}
        for child in children:
            marks[child] = child.box.stacks_mark()
            child.tell(signal.SIGUSR2)
        self._requests.append(Request(name, marks, time.monotonic() + DUMP_SECONDS))

    def tick(self, children: list[Child], now: float) -> None:
        """Answer those whose time has come, with what is known of who is still there."""
        for request in [each for each in self._requests if each.until <= now]:
            self._requests.remove(request)
            try:
                self._broker.fleet.answer(request.name, self._answer(request, children))
            except (TaskSystemError, RedisError) as error:
                self._lease.note_silence(error)

    def _answer(self, request: Request, children: list[Child]) -> dict[str, Any]:
        tasks, others = [], []
        for child in children:
            mark = request.marks.get(child)
            if mark is None:
                continue  # it began later
            dump = child.box.read_stacks(mark)
            stacks, coroutines = stacks_by_thread(dump), stacks_by_task(dump)
            attempts = child.board.attempts()
            tasks += [
                {
                    "id": each.id,
                    "executor": child.executor,
                    "thread": each.thread,
                    "seconds": round(seconds_of(each), 3),
                    "stack": coroutines.get(each.id) or stacks.get(each.thread, ""),
                }
                for each in attempts
            ]
            with_tasks = {each.thread for each in attempts}
            rest = [stack for thread, stack in stacks.items() if thread not in with_tasks]
            if rest:
                others.append("\n".join([f"{child.executor}:", *rest]))
        return {"worker": self._worker, "tasks": tasks, "others": "\n\n".join(others)}
