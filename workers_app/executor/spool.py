"""Outcomes on disk while Redis is away, so that a crash of their executor does not lose them.

One file an executor, locked while that lives; one line of JSON an outcome, so that what a killed
process had written can be read up to its last whole line.
"""

import fcntl
import logging
import os
import stat
import tempfile
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote, unquote

import msgspec

from tasks_app.broker.answers import Settlement
from tasks_app.conf import conf

logger = logging.getLogger(__name__)

SUFFIX = ".spool"


class _Line(msgspec.Struct, frozen=True):
    shard: int
    settlement: Settlement


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Line).decode


class SpoolFull(OSError):
    """The file has reached its limit."""


class Spool:
    """The file of one executor. There is none until something is written."""

    def __init__(self, directory: Path, executor: str, limit: int):
        self.path = directory / _name(executor)
        self._limit = limit  # bytes
        self._size = 0
        self._file: int | None = None

    def append(self, outcomes: Iterable[tuple[int, Settlement]]) -> None:
        """Write some outcomes (shard, settlement); they are on the disk when this returns.

        Raise SpoolFull, or any other OSError; none of them is written then.
        """
        lines = b"".join(_encode(_Line(*each)) + b"\n" for each in outcomes)
        if self._size + len(lines) > self._limit:
            raise SpoolFull(f"{self.path} may have {self._limit} bytes.")
        if self._file is None:
            self._file = self._open()
        try:
            self._write(lines)
        except OSError:
            os.ftruncate(self._file, self._size)  # or the next line would continue a torn one
            raise
        self._size += len(lines)

    def clear(self) -> None:
        """Forget all: it was delivered."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            self._size = 0

    def close(self) -> None:
        """Remove the file."""
        if self._file is not None:
            self.path.unlink(missing_ok=True)
            os.close(self._file)
            self._file, self._size = None, 0

    def _open(self) -> int:
        _make_private(self.path.parent)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        file = os.open(self.path, flags, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        _sync(self.path.parent)  # its name, too, is to be on the disk
        return file

    def _write(self, lines: bytes) -> None:
        left = memoryview(lines)
        while left:
            left = left[os.write(self._file, left) :]
        os.fsync(self._file)


def spool_directory() -> Path:
    """Where executors that talk to the configured server keep their spools."""
    base = conf().spool_dir or f"{tempfile.gettempdir()}/dtps-spool-{os.getuid()}"
    server = sha256(f"{conf().redis_url} {conf().namespace}".encode()).hexdigest()[:16]
    return Path(base) / server


def spool_path(executor: str) -> Path:
    """The file of one executor, if it has any."""
    return spool_directory() / _name(executor)


def orphans() -> list[tuple[str, Path]]:
    """The spools (executor, file) that no living process holds."""
    found = sorted(spool_directory().glob(f"*{SUFFIX}"))
    return [(unquote(path.name[: -len(SUFFIX)]), path) for path in found if _is_free(path)]


def read_spool(path: Path) -> list[tuple[int, Settlement]]:
    """The outcomes (shard, settlement) in a file, up to the first line that is not whole."""
    outcomes = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            outcomes.append((_decode(line).shard, _decode(line).settlement))
        except msgspec.DecodeError:
            logger.error("event=spool_torn path=%s outcomes=%d", path, len(outcomes))
            break
    return outcomes


def _name(executor: str) -> str:
    return quote(executor, safe="") + SUFFIX


def _is_free(path: Path) -> bool:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(file)


def _sync(directory: Path) -> None:
    file = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _make_private(directory: Path) -> None:
    """See to it that a directory is ours alone: the results of tasks are nobody else's business.

    Raise OSError if it is somebody else's, or if somebody else could put another in its place.
    """
    for each in (directory.parent, directory):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
    above, found = directory.parent.lstat(), directory.lstat()
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    if not is_ours or above.st_uid not in (0, os.getuid()):
        raise PermissionError(f"{directory} is not a directory of our own.")
    directory.chmod(0o700)
