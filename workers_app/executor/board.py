"""What an executor has in hand and what of it has started, in memory that its supervisor reads too.

Whether a task starts or is taken away, ends or is abandoned, is decided here, under one lock: about
a microsecond, and no round trip. The memory outlives the executor, so that a crash is charged to
what had started only.
"""

import mmap
import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from struct import Struct
from threading import get_ident
from typing import NamedTuple

from .clock import boottime_ns

SLOTS = 512  # tasks in one executor's hands
MOST_STOLEN = 256  # tasks that are handed over to one executor at once

# What a slot's byte says. ABANDONED: started, and nobody waits for its end any more.
EMPTY, WAITING, STARTED, ENDED, TAKEN, ABANDONED = range(6)

# Why the task in a slot was asked to end; 0: it was not.
TIMED_OUT, CANCELLED = 1, 2

_COUNTS = Struct("QQQQQ")  # slices written, tasks completed, failed, stolen, microseconds busy
_NUMBER = Struct("Q")
_STATES = 64
_BEATS = _STATES + SLOTS  # what stands from here on is not seen by a glance
_THREADS = _BEATS + _NUMBER.size
_TURNS = _THREADS + _NUMBER.size
_ROWS = _BEATS + 64
_BEGUN = Struct("QQ")  # the moment of its start, boottime_ns(), and the thread's ident
_write_begun = _BEGUN.pack_into
# _BEGUN, number of the row, limit in ms (0: none), why it is asked to end, id, token
_ROW = Struct("QQQQB255p65p")
_ROW_OF = [_ROWS + slot * _ROW.size for slot in range(SLOTS)]
_ASKED = 4 * _NUMBER.size  # in a row
_SIZE = _ROWS + SLOTS * _ROW.size

PATIENCE = 0.2  # seconds; an executor that was stopped may hold the lock for ever
SHORT_PATIENCE = 0.01  # to look, which a stopped one does not disturb


class Counts(NamedTuple):
    """What an executor has done so far."""

    completed: int
    failed: int
    stolen: int  # tasks that it took from others
    busy_us: int  # that its tasks took, side by side


class Running(NamedTuple):
    """A task that has started."""

    slot: int
    id: str
    token: str
    started_ns: int  # by boottime_ns()
    timeout_ms: int  # 0: it may take as long as it likes
    thread: int  # ident of the thread that started it
    asked: int  # TIMED_OUT, CANCELLED or 0


class Board:
    """Made by the supervisor before it forks an executor, and shared by the two.

    The executor writes slices, starts and ends; the supervisor reads, takes away, asks running
    tasks to end and abandons them.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _SIZE)
        self._lock = multiprocessing.get_context("fork").Lock()
        self._acquire, self._release = self._lock.acquire, self._lock.release
        # The executor's own:
        self._free = deque(range(SLOTS))
        self._rows = 0  # that were ever written
        self._busy_us = 0  # not counted yet
        self._beats = 0
        self._turns = 0

    # --- by the executor ---

    @property
    def room(self) -> int:
        return len(self._free)

    def put(self, ids: Sequence[str], token: str, timeouts_ms: Sequence[int] = ()) -> list[int]:
        """Write down a slice, most urgent first. Return the slot of each."""
        memory, key, number, pack = self._memory, token.encode(), self._rows, _ROW.pack_into
        slots = [self._free.pop() for _ in ids]
        with self._lock:
            for slot, task_id, limit in zip(slots, ids, timeouts_ms or [0] * len(ids), strict=True):
                number += 1
                pack(memory, _ROW_OF[slot], 0, 0, number, limit, 0, task_id.encode(), key)
                memory[_STATES + slot] = WAITING
            self._count(slices=1)
        self._rows = number
        return slots

    def start(self, slot: int) -> bool:
        """Mark a task as started. Return False if it was taken away: then it must not run."""
        memory, state = self._memory, slot + _STATES
        now = boottime_ns()
        self._acquire()
        waits = memory[state] == WAITING
        if waits:
            _write_begun(memory, _ROW_OF[slot], now, get_ident())
            memory[state] = STARTED
        self._release()
        return waits

    def end(self, slot: int) -> bool:
        """Mark a started task as over; its outcome is still to be reported.

        Return False if it was abandoned or cancelled: its outcome counts for nothing then.
        """
        memory, state = self._memory, slot + _STATES
        self._acquire()
        counts = memory[state] == STARTED
        if counts:
            memory[state] = ENDED
            counts = memory[_ROW_OF[slot] + _ASKED] != CANCELLED
        self._release()
        return counts

    def clear(self, slots: Iterable[int], completed: int = 0, failed: int = 0) -> None:
        """Forget tasks that were reported or taken away, and count them."""
        for slot in slots:
            self._memory[_STATES + slot] = EMPTY
            self._free.append(slot)
        if completed or failed:
            with self._lock:
                self._count(completed=completed, failed=failed)

    def count_busy(self, seconds: float) -> None:
        """Note for how long a task, or one after the other, has run."""
        self._busy_us += int(seconds * 1_000_000)

    def count_stolen(self, tasks: int) -> None:
        """Note that tasks were taken from other executors."""
        with self._lock:
            self._count(stolen=tasks)

    def thread(self, slot: int) -> int:
        """The ident of the thread that has started the task in a slot."""
        return _BEGUN.unpack_from(self._memory, _ROW_OF[slot])[1]

    def asked(self, slot: int) -> int:
        """Why the task in a slot was asked to end: TIMED_OUT, CANCELLED; 0 if it was not."""
        return self._memory[_ROW_OF[slot] + _ASKED]

    @property
    def abandoned(self) -> int:
        """How many tasks run on though nobody waits for their end."""
        return self._states().count(ABANDONED)

    def beat(self) -> None:
        """Show that threads of the executor still get their turn."""
        self._beats += 1
        _NUMBER.pack_into(self._memory, _BEATS, self._beats)

    def turn(self) -> None:
        """Show that no coroutine keeps the others from going on."""
        self._turns += 1
        _NUMBER.pack_into(self._memory, _TURNS, self._turns)

    # --- by both ---

    @property
    def threads(self) -> int:
        """The wanted number of threads; 0 if none was ever set."""
        return _NUMBER.unpack_from(self._memory, _THREADS)[0]

    @threads.setter
    def threads(self, wanted: int) -> None:
        _NUMBER.pack_into(self._memory, _THREADS, wanted)

    def take(self, most: int | None = None) -> dict[str, str]:
        """Take away what has not started, least urgent first: id -> token.

        Nothing, if the lock cannot be had.
        """
        with self._locked(PATIENCE) as is_locked:
            if not is_locked:
                return {}
            waiting = sorted(self._slots(WAITING), key=self._number, reverse=True)[:most]
            for slot in waiting:
                self._memory[_STATES + slot] = TAKEN
            return dict(map(self._row, waiting))

    def take_lost(self, held: Mapping[str, str]) -> int:
        """Take away what has not started and is not among what is held (id -> token). Return how
        many that were."""
        with self._locked(PATIENCE) as is_locked:
            waiting = list(self._slots(WAITING)) if is_locked else []
            lost = [slot for slot in waiting if self._row(slot) not in held.items()]
            for slot in lost:
                self._memory[_STATES + slot] = TAKEN
            return len(lost)

    def held(self, *states: int) -> dict[str, str]:
        """The tasks (id -> token) in some states, by default in any: also of a dead executor.

        One that was taken away may have come back under another token: that one counts then.
        """
        return {
            task_id: token
            for state in states or (TAKEN, ABANDONED, WAITING, STARTED, ENDED)
            for task_id, token in map(self._row, self._slots(state))
        }

    def running(self) -> dict[str, str]:
        """What has started and is neither over nor abandoned: id -> token."""
        return self.held(STARTED)

    def began(self) -> dict[str, str]:
        """What has started and is not reported, whether or not it is over: id -> token."""
        return self.held(STARTED, ENDED)

    def spared(self) -> dict[str, str]:
        """What of it would not be charged with a crash now: what is over, while others run.

        If none runs, what is over may be the cause: it can have left behind what kills later.
        """
        return self.held(ENDED) if self.running() else {}

    # --- by the supervisor ---

    def counts(self) -> Counts:
        return Counts(*_COUNTS.unpack_from(self._memory)[1:])

    def slices(self) -> int:
        """How many slices were ever written."""
        return _NUMBER.unpack_from(self._memory)[0]

    def beats(self) -> int:
        """Grows while the executor has something in hand and its threads get their turn."""
        return _NUMBER.unpack_from(self._memory, _BEATS)[0]

    def turns(self) -> int:
        """Grows with the beats, unless a coroutine keeps the event loop."""
        return _NUMBER.unpack_from(self._memory, _TURNS)[0]

    def load(self) -> tuple[int, int]:
        """How many tasks are started and how many wait in hand."""
        states = self._states()
        return states.count(STARTED), states.count(WAITING)

    def glance(self) -> bytes:
        """Equal to an earlier one if nothing was written, started or ended since."""
        return self._memory[:_BEATS]

    def attempts(self) -> list[Running]:
        """All that has started and is neither over nor abandoned."""
        if STARTED not in self._states():
            return []
        # Who holds the lock for longer was stopped, and so changes nothing.
        with self._locked(SHORT_PATIENCE):
            return list(map(self._running, self._slots(STARTED)))

    def ask(self, slot: int, task_id: str, token: str, reason: int) -> bool:
        """Note why a running task is to end. Return False if it is over, or asked already."""
        with self._locked(PATIENCE) as is_locked:
            if not is_locked or not self._runs(slot, task_id, token) or self.asked(slot):
                return False
            self._memory[_ROW_OF[slot] + _ASKED] = reason
            return True

    def cancel(self, ids: Iterable[str]) -> list[Running]:
        """Take away those that have not started; return those that run."""
        wanted = set(ids)
        with self._locked(PATIENCE) as is_locked:
            if not is_locked:
                return []
            for slot in list(self._slots(WAITING)):
                if self._row(slot)[0] in wanted:
                    self._memory[_STATES + slot] = TAKEN
            running = map(self._running, self._slots(STARTED))
            return [each for each in running if each.id in wanted]

    def abandon(self, slot: int, task_id: str, token: str) -> bool:
        """Wait no more for the end of a running task. Return False if it is over."""
        with self._locked(PATIENCE) as is_locked:
            if not is_locked or not self._runs(slot, task_id, token):
                return False
            self._memory[_STATES + slot] = ABANDONED
            return True

    def close(self) -> None:
        self._memory.close()

    # --- with the lock in hand, or not in need of it ---

    @contextmanager
    def _locked(self, seconds: float) -> Iterator[bool]:
        is_locked = self._lock.acquire(timeout=seconds)
        try:
            yield is_locked
        finally:
            if is_locked:
                self._lock.release()

    def _count(self, slices: int = 0, completed: int = 0, failed: int = 0, stolen: int = 0) -> None:
        busy_us, self._busy_us = self._busy_us, 0
        before = _COUNTS.unpack_from(self._memory)
        more = (slices, completed, failed, stolen, busy_us)
        _COUNTS.pack_into(self._memory, 0, *map(int.__add__, before, more))

    def _runs(self, slot: int, task_id: str, token: str) -> bool:
        return self._states()[slot] == STARTED and self._row(slot) == (task_id, token)

    def _states(self) -> bytes:
        return self._memory[_STATES:_BEATS]

    def _slots(self, state: int) -> Iterator[int]:
        states, slot = self._states(), -1
        while (slot := states.find(state, slot + 1)) >= 0:
            yield slot

    def _read(self, slot: int) -> tuple[int, int, int, int, int, str, str]:
        *numbers, task_id, token = _ROW.unpack_from(self._memory, _ROW_OF[slot])
        return *numbers, task_id.decode(errors="replace"), token.decode()

    def _row(self, slot: int) -> tuple[str, str]:
        return self._read(slot)[5:]

    def _number(self, slot: int) -> int:
        return self._read(slot)[2]

    def _running(self, slot: int) -> Running:
        started_ns, thread, _, timeout_ms, asked, task_id, token = self._read(slot)
        return Running(slot, task_id, token, started_ns, timeout_ms, thread, asked)
