"""A small world of real processes, to which a test may do anything, and which is then audited."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tasks_app.broker import Broker
from tasks_app.broker.connection import Link
from tasks_app.message import State
from tasks_app.states import FINAL, OPEN

from ..conftest import wait_until
from ..redis_server import RedisServer
from ..sample.effects import LOG
from ..workers.processes import ROOT, SETTINGS, Process
from . import accounts
from .database import ENDED, ROWS
from .producer import ACKED, UNKNOWN, Producer
from .proxy import FaultProxy

# For faults that have nothing to do with a lease: none ends on a machine that is busy elsewhere.
CALM = {
    "LEASE_SECONDS": 20,
    "RENEW_SECONDS": 0.4,
    "LEADER_SECONDS": 2,
    "GRACE_SECONDS": 20,
    "TIMEOUT_GRACE_SECONDS": 0.5,
    "BACKOFF_SECONDS": 0.05,
}
# For those that have: an end of a lease is near.
SHORT = CALM | {"LEASE_SECONDS": 1.5, "LEADER_SECONDS": 3, "GRACE_SECONDS": 1}

# What no process may ever write, whatever is done to it.
UNHANDLED = re.compile(r"Traceback \(most recent call last\)|Fatal Python error|executor_failed")
# But for Django, who tells of each task that has failed: up to the next line with a time.
FAILED_TASK = re.compile(
    r"^Task id=[^\n]* state=FAILED$.*?(?=^\d{4}-\d\d-\d\d |\Z)", re.MULTILINE | re.DOTALL
)


class World:
    """One Redis, one database, one producer, and as many processes as a test starts."""

    def __init__(self, make_database, *, options=CALM, server=None):
        """``make_database`` gets the world's directory and returns a migrated database."""
        self.directory = Path(tempfile.mkdtemp(prefix="dtps-world-", dir="/tmp"))
        self.options = options
        self.database = make_database(self.directory)
        self.server = server or RedisServer()
        self.server.start()
        self.broker = self.broker_at(self.server.url)
        self.producer = Producer(self.broker)
        self.processes = []
        self.proxies = []
        self.may_say = []  # patterns of the unhandled that a test provokes
        self._workers = 0

    # --- processes ---

    def start(self, *words, url=None, settings=SETTINGS, database_url=None, **options):
        """Start a ``manage.py`` command that belongs to this world."""
        process = Process(
            *words,
            redis_url=url or self.server.url,
            var_dir=self.directory,
            settings=settings,
            env={
                "DATABASE_URL": database_url or self.database.url,
                "TEST_DTPS": json.dumps(self.options | options),
            },
        )
        self.processes.append(process)
        return process

    def worker(self, *words, processes=1, threads=1, name="", url=None, **options):
        """Start a worker without a coordinator; ``words`` and ``options`` are more of its own."""
        return self.leader(
            *words, "--no-coordinator", processes=processes, threads=threads, name=name, url=url,
            **options,
        )  # fmt: skip

    def leader(self, *words, processes=1, threads=1, name="", url=None, **options):
        """Start a worker that may have the coordinator; it keeps its size unless told otherwise."""
        self._workers += 1
        name = name or f"w{self._workers}"
        slots = str(processes * threads)
        process = self.start(
            "runworker", "--id", name, "--processes", str(processes), "--threads", str(threads),
            "--min", slots, "--max", slots, *words, url=url, **options,
        )  # fmt: skip
        process.name = name
        return process

    def coordinator(self, **options):
        return self.start("runcoordinator", **options)

    def end_server(self, number=signal.SIGKILL):
        """End Redis, and wait until it is gone."""
        self.server.process.send_signal(number)
        self.server.process.wait()
        self.broker.link.close()

    def proxy(self):
        """A new line to Redis that can be disturbed."""
        proxy = FaultProxy(self.server.socket)
        self.proxies.append(proxy)
        return proxy

    def broker_at(self, url, timeout=20):
        return Broker(Link(url, timeout=timeout))

    def members(self, process):
        """The pids of a process and of all that it has started, also through others."""
        found = set(process.family())
        if process.is_alive:  # else its number may be somebody else's by now
            found.add(process.pid)
            with suppress(psutil.Error):  # who was just forked has not said so yet
                found |= {each.pid for each in psutil.Process(process.pid).children(recursive=True)}
        return found

    def signal_all(self, process, number):
        """Send a signal to a process and all that it has started, as if its host did something."""
        for pid in self.members(process):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    @contextmanager
    def stopped(self, process):
        """The process stands still, with all that it has started."""
        self.signal_all(process, signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal_all(process, signal.SIGCONT)

    def kill_host(self, process):
        """End a process and all that it has started, as a power cut would."""
        self.signal_all(process, signal.SIGKILL)
        process.popen.wait()

    def command(self, *words):
        """Run a ``manage.py`` command to its end."""
        return subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *words],
            cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": SETTINGS,
                "DTPS_REDIS_URL": self.server.url,
                "DTPS_VAR_DIR": str(self.directory),
                "DATABASE_URL": self.database.url,
                "TEST_DTPS": json.dumps(self.options),
            },
        )  # fmt: skip

    # --- what is seen from outside ---

    def executions(self, task_id=None):
        """What the tasks did, by their own words; of one task, or of all."""
        path = self.directory / LOG
        lines = path.read_text().splitlines() if path.exists() else []
        found = accounts.executions(lines)
        return [each for each in found if task_id in (None, each.id)]

    def wait_for_start(self, task_id, times=1):
        """Wait until a task has begun so often. Return its last execution."""

        def begun():
            found = self.executions(task_id)
            return found[-1] if len(found) >= times else None

        return self.wait(begun, f"start {times} of {task_id}")

    def live(self, ids):
        """The states of those of the tasks that Redis knows."""
        known = self.broker.read(ids)
        return {task_id: State.decode(raw) for task_id, (_, raw) in known.items()}

    def recorded(self):
        """The states of all tasks that the database knows."""
        return {task_id: State.decode(bytes(raw)) for task_id, raw in self.database.query(ROWS)}

    def states(self, ids):
        """The newest states of tasks, and of all in the record."""
        found = self.live(ids)  # first: what Redis forgets after this is recorded
        for task_id, state in self.recorded().items():
            if task_id not in found or _age(state) > _age(found[task_id]):
                found[task_id] = state
        return found

    def state(self, task_id):
        """A task's state, wherever it is; None if nobody knows the task."""
        return self.live([task_id]).get(task_id) or self.states([task_id]).get(task_id)

    def wait_for(self, task_id, *statuses):
        """Wait until a task has one of the statuses, and return its state."""

        def arrived():
            state = self.state(task_id)
            return state if state and state.status in statuses else None

        return self.wait(arrived, f"{task_id} {statuses}")

    def wait_until_final(self, *ids):
        """Wait until tasks are final, and return their states."""
        left = list(ids)

        def final():
            live = self.live(left)
            ended = {task_id for (task_id,) in self.database.query(ENDED)}
            ended |= {task_id for task_id, state in live.items() if state.status in FINAL}
            ended -= {task_id for task_id, state in live.items() if state.status in OPEN}
            left[:] = [task_id for task_id in left if task_id not in ended]
            return not left

        self.wait(final, "the end of all tasks", ids)
        states = self.states(list(ids))
        return [states[task_id] for task_id in ids]

    def wait(self, condition, what, ids=()):
        """Wait until something is true; say what all processes said if it does not become so."""
        try:
            return wait_until(condition, what)
        except AssertionError as error:
            left = {i: s for i in ids if (s := self.state(i)) is None or s.status not in FINAL}
            raise AssertionError(f"{error}: {left}\n{self.logs()}") from None

    def final_record(self, task_id):
        """Wait until the database has a task's end, and return that state."""

        def recorded():
            state = self.recorded().get(task_id)
            return state if state and state.status in FINAL else None

        return self.wait(recorded, f"the record of {task_id}")

    def is_alive(self, worker):
        """Whether a worker's lease holds."""
        found = self.broker.fleet.workers().get(worker)
        return found is not None and found.is_alive

    def count(self, name):
        return self.broker.stats().count(name)

    def logs(self):
        return "\n".join(f"--- {p.words}\n{p.log[-8000:]}" for p in self.processes)

    # --- the end ---

    def settle(self):
        """Wait until all that may have been accepted is final and recorded; then audit it all."""
        ids = self.producer.ids(ACKED, UNKNOWN)

        def is_settled():
            return self.broker.stats().unrecorded == 0 and not any(
                state.status not in FINAL for state in self.live(ids).values()
            )

        self.wait(is_settled, "the end of all tasks", ids)
        return self.audit()

    def balance(self):
        """The verdict on all that was submitted and executed."""
        told = self.producer.told
        return accounts.balance(told, self.executions(), self.states(list(told)))

    def audit(self):
        """Our own count of effects, and the system's own audit. Return the verdict."""
        verdict = self.balance()
        assert verdict.wrong == [], f"{verdict}\n{self.logs()}"
        audit = self.command("audit", "--seconds", "2", "--skip-checks")
        assert audit.returncode == 0, f"{audit.stdout}\n{audit.stderr}\n{self.logs()}"
        return verdict

    def starts(self):
        """How many executions there were so far."""
        path = self.directory / LOG
        return path.read_bytes().count(b" start ") if path.exists() else 0

    def stop(self):
        """End all processes in order."""
        for proxy in self.proxies:
            proxy.heal()
        for process in self.processes:
            if process.is_alive:
                self.signal_all(process, signal.SIGCONT)
                process.signal(signal.SIGTERM)
        for process in self.processes:
            process.wait()

    def end(self):
        """End all in order; nothing may be left, and nobody may have said a bad word."""
        self.stop()
        for process in self.processes:
            log = without_failed_tasks(process.log)
            for said in UNHANDLED.finditer(log):
                there = log[max(0, said.start() - 200) : said.end() + 2000]
                assert any(re.search(p, there) for p in self.may_say), f"{process.words}: {there}"
        wait_until(lambda: not self.left(), f"the end of {self.left()}")

    def left(self):
        """The processes of this world that are still there."""
        found = {pid for process in self.processes for pid in process.family()}
        return sorted(found | {p.pid for p in self.processes if p.is_alive})

    def close(self):
        """Leave nothing behind, whatever happened."""
        for process in reversed(self.processes):
            self.signal_all(process, signal.SIGKILL)
            process.close()
        for proxy in self.proxies:
            proxy.close()
        self.broker.link.close()
        self.server.close()
        shutil.rmtree(self.directory, ignore_errors=True)


@contextmanager
def world_of(make_database, **options):
    """A world that is ended in order if nothing went wrong, and gone in any case."""
    world = World(make_database, **options)
    try:
        yield world
        world.end()
    finally:
        world.close()


def _age(state):
    return state.epoch, state.run, state.version


def without_failed_tasks(log):
    """What a process said, but for what Django says of tasks that have failed."""
    return FAILED_TASK.sub("", log)


def hold_for(seconds):
    """Let a fault last for so long: the fault is a time here."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(left)
