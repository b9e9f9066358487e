"""Real ``manage.py`` processes for tests: started, watched through their log, and always ended."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from ..conftest import wait_until

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = "tests.workers.process_settings"


class Process:
    """One ``manage.py`` command, in a process group of its own, with its log in a file."""

    def __init__(self, *words, redis_url, var_dir, env=None, settings=SETTINGS,
                 preexec_fn=None, project=ROOT):  # fmt: skip
        handle, name = tempfile.mkstemp(prefix="dtps-log-", dir="/tmp")
        self.log_path = Path(name)
        self.words = words
        with os.fdopen(handle, "ab") as log:
            self.popen = subprocess.Popen(
                [sys.executable, str(Path(project, "manage.py")), *words],
                cwd=project,
                env={
                    **os.environ,
                    "DJANGO_SETTINGS_MODULE": settings,
                    "DTPS_REDIS_URL": redis_url,
                    "DTPS_VAR_DIR": str(var_dir),
                    "PYTHONUNBUFFERED": "1",
                    **(env or {}),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=preexec_fn,
            )

    @property
    def pid(self):
        return self.popen.pid

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    @property
    def is_alive(self):
        return self.popen.poll() is None

    def wait_for(self, text):
        """Wait until the log has a text; fail at once if the process ended without it."""

        def said():
            was_alive = self.is_alive  # looked at first: the last words are in the log then
            if text in self.log:
                return True
            assert was_alive, f"{self.words} ended with {self.popen.returncode}:\n{self.log}"
            return False

        try:
            wait_until(said, f"{text!r} in the log")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log}") from None

    def executors(self):
        """The pids of its executors' processes, by their ids."""
        found = {}
        for line in self.log.splitlines():
            if "event=executor_started" in line:
                words = dict(w.split("=", 1) for w in line.split() if "=" in w)
                if is_alive(int(words["pid"])):
                    found[words["executor"]] = int(words["pid"])
        return found

    def family(self):
        """The pids of all that descends from it, and of what is left of its executors' sessions."""
        sessions = set(filter(self._is_ours, self._sessions()))
        return [
            each.pid
            for each in psutil.process_iter()
            if each.pid != self.pid and _session_of(each.pid) in sessions and is_alive(each.pid)
        ]

    def _sessions(self):
        """The session of the command itself, those of its executors, and that of its guard."""
        yield self.pid
        for line in self.log.splitlines():
            if match := re.search(r"event=(?:executor|guard)_started .*pid=(\d+)", line):
                yield int(match[1])

    def _is_ours(self, session):
        """Whether a session of that number is still ours, and not somebody else's by now.

        As long as anything is left of a session, its number is not given out again; so one whose
        leader is gone is ours, and one whose leader is there if that one writes to our log.
        """
        try:
            return Path(f"/proc/{session}/fd/1").readlink() == self.log_path
        except FileNotFoundError:
            return True
        except PermissionError:
            return False

    def signal(self, number):
        self.popen.send_signal(number)

    def signal_all(self, number):
        """Send a signal to it and to all that belongs to it."""
        for pid in self.family():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        self.signal(number)

    def wait(self):
        """Wait until it has ended. Return its exit code."""
        wait_until(lambda: not self.is_alive, f"the end of {self.words}:\n{self.log}")
        return self.popen.returncode

    def stop(self):
        """End it in order. Return its exit code."""
        if self.is_alive:
            self.signal(signal.SIGTERM)
        return self.wait()

    def hurry(self):
        """End it, and what it runs, in order. Return its exit code."""
        if self.is_alive:
            self.signal(signal.SIGTERM)
            self.wait_for("event=draining")
            if self.is_alive:
                self.signal(signal.SIGTERM)
        return self.wait()

    def kill_group(self):
        """End it and all its children as a power cut would."""
        if self.is_alive or self._is_ours(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait()

    def close(self):
        """Leave nothing behind."""
        self.kill_group()
        for pid in self.family():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.log_path.unlink(missing_ok=True)


def is_alive(pid):
    """Whether a process is there, and no zombie that its parent does not bury."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _session_of(pid):
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


@contextlib.contextmanager
def processes(redis_url, var_dir):
    """Gives a function that starts commands against one server, all ended at the end."""
    started = []

    def start(*words, **options):
        process = Process(*words, redis_url=redis_url, var_dir=var_dir, **options)
        started.append(process)
        return process

    try:
        yield start
    finally:
        for process in reversed(started):
            process.close()
