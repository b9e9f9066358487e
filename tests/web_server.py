"""The site as it runs: daphne in a process of its own, which tests may kill and start again."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


class WebServer:
    """Serves on a free port of 127.0.0.1, the same one after every start."""

    def __init__(self, environment, log, application="dtps_site.asgi:application", directory=ROOT):
        self.application, self.directory = application, directory
        self.environment = {**os.environ, **environment}
        self.log = Path(log)
        self.process = None
        # Bound but never listening: it keeps the port ours while no server runs.
        self._reserved = _bound(0)
        self.port = self._reserved.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.socket_url = f"ws://127.0.0.1:{self.port}"

    def start(self):
        """Start it; whoever connects from now on is served once it is up."""
        with _bound(self.port) as listener, self.log.open("ab") as log:
            listener.listen(128)
            self.process = subprocess.Popen(
                [sys.executable, "-m", "daphne", "--fd", str(listener.fileno()),
                 self.application],
                cwd=self.directory, env=self.environment, pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def kill(self):
        """End it as a crash would, and wait until it is gone."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def close(self):
        self.kill()
        self._reserved.close()


def _bound(port):
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound
