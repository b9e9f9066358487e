"""One attempt, as its context sees it: what it may ask, and what it says until that is written."""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from django.utils.functional import SimpleLazyObject
from redis.exceptions import RedisError

from tasks_app.broker.answers import Remark
from tasks_app.compat import TaskResult
from tasks_app.conf import conf
from tasks_app.context import TaskContext, encoded
from tasks_app.exceptions import QueueUnavailable, TaskLost, ValueTooLarge
from tasks_app.message import now_us
from tasks_app.remarks import LONGEST_NOTE, LONGEST_TEXT, Line, Progress, encode
from tasks_app.workflows.parents import parents_of

from .errors import clean
from .interrupts import Interrupts
from .job import Job

if TYPE_CHECKING:
    from .notebook import Notebook

SAVE_SECONDS = 10.0  # for which a checkpoint, or a look at the parents, waits for Redis
SAVE_PAUSE_SECONDS = 0.2  # between two tries of that
FIRST_VERSION = 2  # of a task that is claimed for the first time, and so has said nothing yet
EXACT = 2**53  # whole numbers below it are so in JSON, for every reader
EPOCH_FENCES = 1_000_000_000  # room for an epoch's versions

Key = tuple[str, str]  # id, token


class Surroundings(Protocol):
    """What a page must know of the process that it is in."""

    interrupts: Interrupts
    ahead_us: int
    notebook: "Notebook"

    def result_of(self, job: Job, started_us: int) -> TaskResult: ...


class Page:
    """Made for each attempt, so it costs nothing until the task asks or says something.

    Any thread of the task's may use it, also one that outlives the attempt.
    """

    # Not in __init__, which every task pays for.
    is_over = False
    is_lost = False  # somebody else holds the task
    written_at = 0.0  # time.monotonic()
    told_at = 0.0  # the recorder, at first the begin of this page
    _is_taken_up = False
    _context: TaskContext | None = None
    _progress: tuple[float, float | None, str, int] | None = None  # not written yet
    _lines: deque[bytes] = deque(maxlen=0)  # not written yet
    _sent: Remark | None = None  # that may have been written, and is sent again
    _serial = 0

    def __init__(self, surroundings: Surroundings, job: Job, started_us: int):
        self._surroundings = surroundings
        self.job = job
        self._started_us = started_us

    @property
    def key(self) -> Key:
        return self.job.message.id, self.job.token

    # --- for the context ---

    @property
    def parents(self) -> Sequence[TaskResult]:
        task_id, secrets = self.job.message.id, self.job.secrets
        look = partial(_until_answered, lambda: list(parents_of(task_id, secrets)))
        return SimpleLazyObject(look)

    @property
    def context(self) -> TaskContext:
        if self._context is None:
            self._context = TaskContext(self)
        return self._context

    @property
    def result(self) -> TaskResult:
        return self._surroundings.result_of(self.job, self._started_us)

    @property
    def is_cancelled(self) -> bool:
        if self.is_over or self.is_lost:
            return True
        return self._surroundings.interrupts.is_cancelled(self.job)

    @property
    def seconds_left(self) -> float | None:
        limit = self.job.message.timeout
        return limit - (now_us() - self._started_us) / 1e6 if limit else None

    @property
    def deadline_left(self) -> float | None:
        deadline_us = self.job.message.deadline_us
        return (deadline_us - now_us() - self._surroundings.ahead_us) / 1e6 if deadline_us else None

    @property
    def fence(self) -> int:
        # Each claim is a later version; what was restored after a loss is in a later epoch.
        return self.job.state.epoch * EPOCH_FENCES + self.job.state.version

    def report(self, done: float, total: float | None, note: str) -> None:
        """Raise TypeError or ValueError if these are no numbers."""
        total = None if total is None else _number(total)
        self._progress = (_number(done), total, str(note), now_us())
        self._take_up()

    def write(self, text: str, level: int, logger: str = "") -> None:
        if self._lines.maxlen == 0:
            self._lines = deque(maxlen=conf().task_log_lines)
        state = self.job.state
        line = Line(
            text=clean(text, LONGEST_TEXT), level=logging.getLevelName(level), logger=logger,
            at_us=now_us(), run=state.run, attempt=state.starts + 1,
        )  # fmt: skip
        self._lines.append(encode(line) + b"\n")
        self._take_up()

    def load(self) -> dict[str, Any]:
        if self.job.state.version <= FIRST_VERSION:
            return {}
        task_id, shard = self.job.message.id, self.job.lane.shard
        text = _until_answered(lambda: self._surroundings.notebook.load(task_id, shard))
        return msgspec.json.decode(text) if text else {}

    def save(self, state: dict[str, Any]) -> None:
        text, most = encoded(state), conf().max_checkpoint_bytes
        if len(text) > most:
            raise ValueTooLarge(f"The state has {len(text):,} bytes as JSON; {most:,} is the most.")
        remark, shard = Remark(*self.key, checkpoint=text), self.job.lane.shard
        if not self.is_over and not self.is_lost:
            send = self._surroundings.notebook.send
            self.is_lost = bool(_until_answered(lambda: send([remark], shard, tells=True)))
        if self.is_over or self.is_lost:
            raise TaskLost("Somebody else has the task by now, or it is over; nothing was stored.")

    # --- for the notebook ---

    def news(self) -> Remark | None:
        """What is not written yet. Lines that were given before come again, with their number."""
        said, self._progress = self._progress, None
        progress = self._encoded(*said) if said else b""
        if self._sent is not None:
            self._sent = replace(self._sent, progress=progress) if progress else self._sent
        elif progress or self._lines:
            self._serial += 1
            some = [self._lines.popleft() for _ in range(len(self._lines))]
            self._sent = Remark(
                *self.key, serial=self._serial, progress=progress,
                lines=_newest(some, conf().task_log_bytes),
            )  # fmt: skip
        return self._sent

    def written(self, *, was_refused: bool) -> bool:
        """Note that this is done. Return whether there is more by now."""
        self._sent, self.written_at = None, time.monotonic()
        self.is_lost = self.is_lost or was_refused
        self._is_taken_up = False  # before the look, so that nothing falls between them
        self._is_taken_up = not self.is_lost and bool(self._progress or self._lines)
        return self._is_taken_up

    def _take_up(self) -> None:
        if not self._is_taken_up and not self.is_over and not self.is_lost:
            self._is_taken_up = True
            self.told_at = self.told_at or time.monotonic()
            self._surroundings.notebook.take_up(self)

    def _encoded(self, done: float, total: float | None, note: str, at_us: int) -> bytes:
        state = self.job.state
        return encode(
            Progress(
                done=done,
                total=total,
                note=clean(note, LONGEST_NOTE),
                at_us=at_us,
                run=state.run,
                attempt=state.starts + 1,
            )
        )


def _until_answered(call: Callable[[], Any]) -> Any:
    """Make a call that may be repeated. Raise QueueUnavailable after some seconds without Redis."""
    until = time.monotonic() + SAVE_SECONDS
    while True:
        try:
            return call()
        except (QueueUnavailable, RedisError) as error:
            if time.monotonic() > until:
                raise QueueUnavailable(f"Redis was away for too long: {error}") from error
        time.sleep(SAVE_PAUSE_SECONDS)


def _newest(lines: list[bytes], most_bytes: int) -> bytes:
    """As many of the last lines as have so many bytes."""
    size = 0
    for n, line in enumerate(reversed(lines)):
        size += len(line)
        if size > most_bytes:
            return b"".join(lines[len(lines) - n :])
    return b"".join(lines)


def _number(value: Any) -> float:
    number = float(value)
    if not isfinite(number):
        raise ValueError(f"Progress must be told in finite numbers, not {value!r}.")
    return int(number) if number.is_integer() and abs(number) < EXACT else number
