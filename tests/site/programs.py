"""Real programs of the project, each with everything that it writes in a directory of its own."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil

from tests.conftest import PATIENCE_SECONDS, wait_until

ROOT = Path(__file__).parents[2]
FOREIGN = ("DTPS_REDIS_URL", "DATABASE_URL", "DTPS_PROFILE", "PORT", "TMPDIR")


def environment(var, **more):
    """What a program gets to see: the site's own settings, and nothing of this run's."""
    ours = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    return {
        **ours,
        "DJANGO_SETTINGS_MODULE": "dtps_site.settings",
        "DTPS_VAR_DIR": os.fspath(var),
        "PYTHONUNBUFFERED": "1",
        **more,
    }


class Program:
    """A Python program in a session of its own, its output in a file."""

    def __init__(self, *words, env, ignores_sigint=False):
        self.output = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the program runs)
        self.process = subprocess.Popen(
            [sys.executable, *words], cwd=ROOT, env=env, stdin=subprocess.PIPE,
            stdout=self.output, stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=ignore_sigint if ignores_sigint else None,
        )  # fmt: skip

    @property
    def pid(self):
        return self.process.pid

    def said(self):
        return os.pread(self.output.fileno(), 1_000_000, 0).decode(errors="replace")

    def wait_for(self, text):
        """Wait until it has said ``text``; fail with all that it said if it ends before."""

        def has_said_it():
            ended = self.process.poll() is not None  # looked at first: then all is said
            assert text in self.said() or not ended, self.said()
            return text in self.said()

        wait_until(has_said_it, f"{text!r} in the output")
        return self.said()

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        """Wait for its end; return its exit code."""
        return self.process.wait(PATIENCE_SECONDS)

    def family(self):
        """The process and all below it, now."""
        top = psutil.Process(self.pid)
        return [top, *top.children(recursive=True)]

    def close(self):
        """End it and what is below it by force, if it still runs."""
        if self.process.poll() is None:
            for process in self.family():
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            self.process.wait()
        self.process.stdin.close()
        self.output.close()


def ignore_sigint():
    """As a shell starts what it puts into the background."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def are_gone(processes):
    """Whether all have ended; not every machine's first process buries the orphans at once."""
    return not any(is_alive(process) for process in processes)


def is_alive(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def reserved_port():
    """A socket that keeps a free port ours, while nobody listens on it."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", 0))
    return reserved
