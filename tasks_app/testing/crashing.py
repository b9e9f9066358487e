"""Crashes on order: which attempt is lost as by a killed worker, and when in its life."""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import NoReturn

from workers_app.executor.notebook import Notebook

from ..broker.answers import Remark
from ..compat import Task
from ..registry import name_of

START, CHECKPOINT, FINISH = "start", "checkpoint", "finish"
MOMENTS = {
    START: "as it begins: nothing of its code has run",
    CHECKPOINT: "right after it has saved its state",
    FINISH: "when its code has run, and nobody has heard of it",
}


class Killed(BaseException):
    """Ends an attempt at its checkpoint, as SIGKILL would end its process: as far as Python can."""


@dataclass
class Crash:
    """An order: to lose so many attempts, of one type or of any."""

    at: str
    type: str = ""  # "": of any
    left: int | None = 1  # None: all, as long as the order stands

    def __post_init__(self) -> None:
        if self.at not in MOMENTS:
            near = get_close_matches(str(self.at), MOMENTS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"at must be one of {', '.join(MOMENTS)}, not {self.at!r}.{hint}")


class Crashes:
    """The orders that stand, oldest first."""

    def __init__(self) -> None:
        self._orders: list[Crash] = []

    def order(self, task: Task | None, at: str, times: int | None) -> Crash:
        """Raise ValueError for a moment that there is not."""
        crash = Crash(at, name_of(task) if task is not None else "", times)
        self._orders.append(crash)
        return crash

    def withdraw(self, crash: Crash) -> None:
        if crash in self._orders:
            self._orders.remove(crash)

    def of(self, type_name: str) -> Crash | None:
        """The order that the next attempt of a type is for."""
        for crash in self._orders:
            if crash.left != 0 and crash.type in ("", type_name):
                return crash
        return None

    def happened(self, crash: Crash) -> None:
        if crash.left is not None:
            crash.left -= 1


class PerilousNotebook(Notebook):
    """Once ``is_armed``, whoever saves a checkpoint is killed right after."""

    is_armed = False
    has_killed = False

    def send(self, remarks: list[Remark], shard: int, *, tells: bool = False) -> list[str]:
        refused = super().send(remarks, shard, tells=tells)
        if self.is_armed and any(remark.checkpoint for remark in remarks):
            self._kill()
        return refused

    def _kill(self) -> NoReturn:
        self.has_killed = True
        raise Killed("The test wanted a crash after a checkpoint.")
