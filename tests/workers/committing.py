"""Processes that enqueue in a transaction, or sweep, and die or stop where a test wants it."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

from django.db import connections

from ..conftest import PATIENCE_SECONDS, wait_until
from ..postgres import ALIAS
from .processes import ROOT, SETTINGS

START = """
import os, signal, sys
import django
django.setup()
from django.db import transaction
from tasks_app import outbox
from tasks_app.broker import broker
from tests.sample.tasks import echo
from workers_app.coordinator.services import sweeper
from workers_app.coordinator.services.sweeper import Sweeper


def hit(number):
    return lambda *args, **kwargs: os.kill(os.getpid(), number)


def after(call, number):
    def called(*args, **kwargs):
        call(*args, **kwargs)
        os.kill(os.getpid(), number)
    return called


def before(call, number):
    numbers = [number]
    def called(*args, **kwargs):
        if numbers:
            os.kill(os.getpid(), numbers.pop())
        return call(*args, **kwargs)
    return called


KILL, STOP = signal.SIGKILL, signal.SIGSTOP
"""

ENQUEUE = """
with transaction.atomic():
    ids = [echo.enqueue(number).id for number in range({count})]
    print(*ids, flush=True)
    {inside}
"""

SWEEP = """
Sweeper(broker()).tick()
"""


class Program:
    """One process on the tests' Redis and on one of the two databases."""

    def __init__(self, text, redis_url, database):
        env = {**os.environ, "DJANGO_SETTINGS_MODULE": SETTINGS, "DTPS_REDIS_URL": redis_url}
        found = connections[database].settings_dict
        if database == ALIAS:
            env["DATABASE_URL"] = found["URL"]
        else:
            env["TEST_DATABASE_NAME"] = str(found["NAME"])
        self.popen = subprocess.Popen(
            [sys.executable, "-c", START + text], cwd=ROOT, env=env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def end(self):
        """Wait until it has ended. Return the words that it said, and its exit code."""
        said, errors = self.popen.communicate(timeout=PATIENCE_SECONDS)
        assert self.popen.returncode in (0, -signal.SIGKILL), errors
        return said.split(), self.popen.returncode

    def wait_until_stopped(self):
        """Wait until it has stopped itself."""

        def has_stopped():
            pid, status = os.waitpid(self.popen.pid, os.WUNTRACED | os.WNOHANG)
            assert not pid or os.WIFSTOPPED(status), self.popen.stderr.read()
            return pid

        wait_until(has_stopped, "the stop")

    def go_on(self):
        self.popen.send_signal(signal.SIGCONT)
        return self.end()

    def close(self):
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.communicate()


def enqueues_into(database):
    """TASKS with one alias, whose outbox is in that database."""
    options = {"DATABASE": database}
    backend = "tasks_app.backends.RedisBackend"
    return {"default": {"BACKEND": backend, "QUEUES": [], "OPTIONS": options}}


@contextmanager
def programs(broker, database, request):
    """Starts programs, by their text, on the servers of a test; they end with it."""
    if database == ALIAS:
        connections[ALIAS].settings_dict["URL"] = request.getfixturevalue("postgres")
    started = []

    def start(text):
        started.append(Program(text, broker.link.url, database))
        return started[-1]

    yield start
    for program in started:
        program.close()
