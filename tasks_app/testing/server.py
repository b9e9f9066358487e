"""The server that tests talk to: one of this process, or the one that the environment names."""

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

from workers_app.embedded.guardian import answers, binary
from workers_app.embedded.locks import FileLock
from workers_app.embedded.places import MOST_SOCKET_BYTES
from workers_app.tether import end_with_parent

ADDRESS = "DTPS_TEST_REDIS_URL"  # environment variable: a server to be used instead
START_SECONDS = 60
NEW_SECONDS = 60  # for which a directory may be one whose server is about to start
NAME = "dtps-test-"  # that its directory begins with


class Server:
    """A Valkey on a Unix socket, with its files in a private directory."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.directory = _directory()
        sweep(self.directory.parent)
        self.socket = self.directory / "valkey.sock"
        self.url = f"unix://{self.socket}?db=0"
        try:
            self._process = self._started()
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise

    def is_running(self) -> bool:
        """Whether it can still be used; by who was forked, as long as its owner lives."""
        if os.getpid() != self.owner:
            return answers(self.socket)
        return self._process.poll() is None

    def close(self) -> None:
        """End it and remove its files."""
        if os.getpid() != self.owner:
            return
        if (process := getattr(self, "_process", None)) is not None:
            process.kill()
            process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _started(self) -> subprocess.Popen:
        lock = FileLock(self.directory / "lock")
        lock.try_alone()  # and then the server has it: see sweep()
        # With a file, since "fsync" is refused where nothing is written down.
        with (self.directory / "log").open("wb") as log, closing(lock):
            return subprocess.Popen(  # noqa: S603 (our own words)
                [
                    _program(), "--port", "0", "--unixsocket", os.fspath(self.socket),
                    "--unixsocketperm", "700", "--dir", os.fspath(self.directory), "--save", "",
                    "--appendonly", "yes", "--appendfsync", "no",
                    "--maxmemory-policy", "noeviction",
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[lock.fd],
                preexec_fn=partial(_in_child, os.getpid(), _is_in_main_thread()),
            )  # fmt: skip

    def _wait_until_ready(self) -> None:
        until = time.monotonic() + START_SECONDS
        while not answers(self.socket):
            if self._process.poll() is not None or time.monotonic() > until:
                said = (self.directory / "log").read_text(errors="replace")
                raise RuntimeError(f"The server of the tests did not start:\n{said}")
            time.sleep(0.01)


def _directory() -> Path:
    """A new one, for our eyes only, whose path leaves room for the name of a socket."""
    name = tempfile.mkdtemp(prefix=NAME)
    if len(os.fsencode(name)) + len("/valkey.sock") > MOST_SOCKET_BYTES:
        Path(name).rmdir()
        name = tempfile.mkdtemp(prefix=NAME, dir="/tmp")
    return Path(name)


def sweep(parent: Path) -> None:
    """Remove what processes have left that were killed, as Django's test runner ends its own."""
    for directory in parent.glob(f"{NAME}*"):
        with suppress(OSError):  # it is somebody else's, or gone
            if time.time() - directory.stat().st_mtime > NEW_SECONDS:
                with closing(FileLock(directory / "lock")) as lock:
                    if lock.try_alone():
                        shutil.rmtree(directory, ignore_errors=True)


def _program() -> str:
    try:
        return binary()
    except SystemExit as error:
        raise RuntimeError(f"{error} For tests the variable is {ADDRESS}.") from error


def _is_in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _in_child(parent: int, is_tied: bool) -> None:
    """Ctrl-C is for the tests. And the kernel would end a child with the *thread* that made it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if is_tied:
        end_with_parent(parent, signal.SIGKILL)


_server: Server | None = None
_lock = threading.Lock()


def address() -> str:
    """Where the server of this process' tests listens; the first call starts it."""
    global _server
    if given := os.environ.get(ADDRESS):
        return given
    with _lock:
        if _server is None or not _server.is_running():
            _stop()
            _server = Server()
        return _server.url


@atexit.register
def _stop() -> None:
    if _server is not None:
        _server.close()
