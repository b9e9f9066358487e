"""What an executor has in hand and what of it has started, in memory that its supervisor reads too.

Whether a task starts or is taken away is decided here, under one lock: about a microsecond, and no
round trip. The memory outlives the executor, so that a crash is charged to what had started only.
"""

import mmap
import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from struct import Struct

SLOTS = 512  # tasks in one executor's hands

EMPTY, WAITING, STARTED, ENDED, TAKEN = range(5)  # what a slot's byte says

_COUNTS = Struct("QQQ")  # slices written, tasks completed, tasks failed
_STATES = 64
_ROWS = _STATES + SLOTS
_ROW = Struct("255p65p")  # id, token
_SIZE = _ROWS + SLOTS * _ROW.size

PATIENCE = 0.2  # seconds; an executor that was stopped may hold the lock for ever


class Board:
    """Made by the supervisor before it forks an executor, and shared by the two.

    The executor writes slices, starts and ends; the supervisor reads, and takes away.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _SIZE)
        self._lock = multiprocessing.get_context("fork").Lock()
        self._free = deque(range(SLOTS))  # the executor's

    # --- by the executor ---

    @property
    def room(self) -> int:
        return len(self._free)

    def put(self, ids: Sequence[str], token: str) -> list[int]:
        """Write down a slice. Return the slot of each."""
        memory, key = self._memory, token.encode()
        slots = [self._free.pop() for _ in ids]
        with self._lock:
            for slot, task_id in zip(slots, ids, strict=True):
                _ROW.pack_into(memory, _ROWS + slot * _ROW.size, task_id.encode(), key)
                memory[_STATES + slot] = WAITING
            slices, completed, failed = _COUNTS.unpack_from(memory)
            _COUNTS.pack_into(memory, 0, slices + 1, completed, failed)
        return slots

    def start(self, slot: int) -> bool:
        """Mark a task as started. Return False if it was taken away: then it must not run."""
        memory, lock = self._memory, self._lock
        lock.acquire()
        waits = memory[_STATES + slot] == WAITING
        if waits:
            memory[_STATES + slot] = STARTED
        lock.release()
        return waits

    def end(self, slot: int) -> None:
        """Mark a started task as over; its outcome is still to be reported."""
        self._memory[_STATES + slot] = ENDED

    def clear(self, slots: Iterable[int], completed: int = 0, failed: int = 0) -> None:
        """Forget tasks that were reported or taken away, and count them."""
        for slot in slots:
            self._memory[_STATES + slot] = EMPTY
            self._free.append(slot)
        if completed or failed:
            with self._lock:
                before = _COUNTS.unpack_from(self._memory)
                _COUNTS.pack_into(
                    self._memory, 0, before[0], before[1] + completed, before[2] + failed
                )

    # --- by both ---

    def take(self) -> dict[str, str]:
        """Take away what has not started: id -> token. Nothing, if the lock cannot be had."""
        if not self._lock.acquire(timeout=PATIENCE):
            return {}
        try:
            taken = list(self._slots(WAITING))
            for slot in taken:
                self._memory[_STATES + slot] = TAKEN
            return dict(map(self._row, taken))
        finally:
            self._lock.release()

    def held(self, *states: int) -> dict[str, str]:
        """The tasks (id -> token) in some states, by default in any: also of a dead executor."""
        return {
            task_id: token
            for state in states or (WAITING, STARTED, ENDED, TAKEN)
            for task_id, token in map(self._row, self._slots(state))
        }

    def running(self) -> dict[str, str]:
        """What has started and is not over: id -> token."""
        return self.held(STARTED)

    def began(self) -> dict[str, str]:
        """What would be charged with a crash now: started, whether or not it is over."""
        return self.held(STARTED, ENDED)

    # --- by the supervisor ---

    def counts(self) -> tuple[int, int]:
        """How many tasks were reported as completed and as failed."""
        return _COUNTS.unpack_from(self._memory)[1:]

    def load(self) -> tuple[int, int]:
        """How many tasks are started and how many wait in hand."""
        states = self._states()
        return states.count(STARTED), states.count(WAITING)

    def glance(self) -> bytes:
        """Equal to an earlier one if nothing was written, started or ended since."""
        return self._memory[:_ROWS]

    def close(self) -> None:
        self._memory.close()

    def _states(self) -> bytes:
        return self._memory[_STATES:_ROWS]

    def _slots(self, state: int) -> Iterator[int]:
        states, slot = self._states(), -1
        while (slot := states.find(state, slot + 1)) >= 0:
            yield slot

    def _row(self, slot: int) -> tuple[str, str]:
        task_id, token = _ROW.unpack_from(self._memory, _ROWS + slot * _ROW.size)
        return task_id.decode(errors="replace"), token.decode()
