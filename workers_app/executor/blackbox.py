"""What is known of an executor's process when it can no longer speak for itself.

Its last log lines and what Python says of a crash, and the stacks of its threads whenever it gets
SIGUSR2. The files have no name and are in memory, where the system has such; they are the
supervisor's too, and so outlive the process.
"""

import faulthandler
import fcntl
import logging
import os
import re
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterable
from types import FrameType

MOST_BYTES = 64 * 1024  # of log lines; of stacks before they are forgotten, ten times that
LONGEST_RECORD = 4 * 1024  # characters
FATAL = "Fatal Python error"
MOST_FATAL = 8 * 1024  # characters of a crash

_HEAD = re.compile(
    r"^(?:(?:Current thread|Thread) 0x([0-9a-f]+)[^\n]*|Coroutine of task ([^\n]+)):\n",
    re.MULTILINE,
)

# The coroutines that run in this process: id of the task, and its frames, the outermost first.
Coroutines = Iterable[tuple[str, list[FrameType]]]
_coroutines: list[Callable[[], Coroutines]] = []


def show(coroutines: Callable[[], Coroutines]) -> None:
    """Have the stacks of coroutines in this process' dumps, too."""
    _coroutines.append(coroutines)


class BlackBox:
    """Made by the supervisor before it forks an executor; opened by that, read by both."""

    def __init__(self) -> None:
        self._trace = _nameless_file("dtps-trace")
        try:
            self._stacks = _nameless_file("dtps-stacks")
        except OSError:
            os.close(self._trace)
            raise
        self._is_closed = False

    # --- in the executor ---

    def open(self) -> None:
        """Write down from now on what happens in this process. Called in its main thread."""
        # Only the thread that crashed: the others would push the log out.
        faulthandler.enable(self._trace, all_threads=False)
        logging.getLogger().addHandler(_LastLines(self._trace))
        # faulthandler's own handler works even while C code holds the interpreter's lock. Then it
        # calls ours, which waits for its turn.
        signal.signal(signal.SIGUSR2, lambda *_: self._write_coroutines())
        faulthandler.register(signal.SIGUSR2, self._stacks, all_threads=True, chain=True)

    def _write_coroutines(self) -> None:
        for coroutines in _coroutines:
            for task_id, frames in coroutines():
                stack = traceback.StackSummary.extract((each, each.f_lineno) for each in frames)
                text = f"Coroutine of task {task_id}:\n{''.join(stack.format())}\n"
                os.write(self._stacks, text.encode(errors="replace"))

    # --- in the supervisor ---

    def last_lines(self, most: int = 20) -> str:
        """The last lines of its log, then what Python said of a crash; "" if there is nothing."""
        log, fatal, rest = _text(self._trace).partition(FATAL)
        lines = log.splitlines()[-most:]
        return "\n".join([*lines, fatal + rest[:MOST_FATAL]] if fatal else lines).strip()

    def stacks_mark(self) -> int:
        """Where the next dump of stacks will begin."""
        size = os.fstat(self._stacks).st_size
        if size < 10 * MOST_BYTES:
            return size
        os.ftruncate(self._stacks, 0)
        return 0

    def read_stacks(self, mark: int = 0) -> str:
        """What was dumped since a mark was taken."""
        return _text(self._stacks, mark)

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            os.close(self._trace)
            os.close(self._stacks)


class _LastLines(logging.Handler):
    """Keeps the last lines of the log in a file."""

    def __init__(self, file: int):
        super().__init__()
        self._file = file
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)[:LONGEST_RECORD]
            os.write(self._file, f"{line}\n".encode(errors="backslashreplace"))
            size = os.fstat(self._file).st_size
            if size > MOST_BYTES:
                last = os.pread(self._file, MOST_BYTES // 2, size - MOST_BYTES // 2)
                os.ftruncate(self._file, 0)
                os.write(self._file, last)
        except Exception:  # noqa: BLE001, S110 (other handlers tell of a record that is no good)
            pass


def stacks_by_thread(text: str) -> dict[int, str]:
    """The threads of a dump: ident -> stack, most recent call first."""
    return {int(ident, 16): stack for ident, _, stack in _sections(text) if ident}


def stacks_by_task(text: str) -> dict[str, str]:
    """The coroutines of a dump: id of the task -> stack, most recent call last."""
    return {task_id: stack for _, task_id, stack in _sections(text) if task_id}


def _sections(text: str) -> Iterable[tuple[str, str, str]]:
    """Of each thread its ident, of each coroutine its task, and the stack."""
    _, *parts = _HEAD.split(text)
    stacks = (stack.strip("\n") for stack in parts[2::3])
    return zip(parts[::3], parts[1::3], stacks, strict=True)


def _nameless_file(name: str) -> int:
    if hasattr(os, "memfd_create"):
        file = os.memfd_create(name)
    else:
        with tempfile.TemporaryFile(prefix=name) as made:
            file = os.dup(made.fileno())
    fcntl.fcntl(file, fcntl.F_SETFL, os.O_APPEND)
    return file


def _text(file: int, start: int = 0) -> str:
    size = os.fstat(file).st_size
    return os.pread(file, max(0, size - start), start).decode(errors="replace")
