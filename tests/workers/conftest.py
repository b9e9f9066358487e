"""A server of their own for tests of real worker processes, and a way to start those."""

import shutil
import tempfile
from pathlib import Path

import pytest

from tasks_app.broker import broker, connection
from tasks_app.enqueue import TaskRequest, submit
from tasks_app.registry import task_types

from ..conftest import wait_until
from ..redis_server import RedisServer
from .processes import processes


@pytest.fixture(scope="module")
def server():
    """A server that only this module's processes know."""
    server = RedisServer()
    server.start()
    yield server
    connection.close_all()
    server.close()


@pytest.fixture(scope="module")
def var_dir():
    directory = Path(tempfile.mkdtemp(prefix="dtps-var-", dir="/tmp"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def start(server, var_dir):
    """Starts a ``manage.py`` command that lives until the module's end."""
    with processes(server.url, var_dir) as start:
        yield start


@pytest.fixture
def queue(server, settings, _redis_settings):
    """The test's own view of the module's server."""
    settings.DTPS = {**settings.DTPS, "REDIS_URL": server.url, "BACKOFF_SECONDS": 0.01}
    return Queue()


class Queue:
    """Submits tasks of the sample types and waits for what becomes of them."""

    def __init__(self):
        self.broker = broker()

    def submit(self, name, *args, **options):
        """Submit one task of a type of tests/sample. Return its id."""
        return self.submit_together([self.request(name, *args, **options)])[0]

    def request(self, name, *args, **options):
        kwargs = options.pop("kwargs", {})
        return TaskRequest(type=type_of(name), args=args, kwargs=kwargs, **options)

    def submit_together(self, requests):
        """Submit some tasks in one call, so that they are all there at once. Return their ids."""
        return [message.id for message in submit(requests)]

    def state(self, task_id):
        return self.broker.must_get(task_id).state

    def wait_for(self, task_id, *statuses):
        """Wait until the task has one of the statuses, doing the promoter's work meanwhile."""

        def arrived():
            self.broker.promote()
            state = self.state(task_id)
            return state if state.status in statuses else None

        try:
            return wait_until(arrived, f"task {task_id} {statuses}")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.state(task_id)}") from None

    def wait_until_final(self, task_id):
        return self.wait_for(task_id, "completed", "failed", "cancelled", "expired")

    def said(self, worker):
        """What a worker says of itself; {} if it is not registered."""
        found = self.broker.fleet.workers().get(worker)
        return found.said if found else {}

    def has_registered(self, worker):
        return worker in self.broker.fleet.workers()


def type_of(name):
    """A task type of tests/sample by the name of its function."""
    known = task_types()
    return next(
        known[path] for path in known if path.startswith("tests.") and path.endswith(f".{name}")
    )
