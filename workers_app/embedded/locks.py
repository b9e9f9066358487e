"""Locks on files. The kernel takes them back when their last holder ends, however it ends."""

import fcntl
import os
from pathlib import Path


class FileLock:
    """A lock on one file; a forked child holds it too, a started program does not."""

    def __init__(self, path: Path):
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def share(self) -> None:
        """Hold it together with others; wait while somebody has it alone."""
        fcntl.flock(self.fd, fcntl.LOCK_SH)

    def try_alone(self) -> bool:
        """Hold it alone. Return False, with nothing changed, if anybody else holds it."""
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def is_shared(self) -> bool:
        """Whether somebody else holds it, but not alone. Holds nothing itself afterwards."""
        if self.try_alone():
            self.let_go()
            return False
        try:
            fcntl.flock(self.fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self.let_go()
        return True

    def let_go(self) -> None:
        fcntl.flock(self.fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Forget the file; the lock goes with the last process that has it open."""
        os.close(self.fd)
