"""Workflows whose tasks a test runs itself, on either database."""

import pytest

from tasks_app.lookup import find
from tasks_app.models import Dependency
from workers_app.coordinator.services.recorder import Recorder

from ..tasks.executing import Hands

BACKEND = "tasks_app.backends.RedisBackend"


@pytest.fixture(autouse=True)
def _alias(request, settings):
    """The alias whose transactions count is that of the database that the test is about."""
    if "database" in request.fixturenames:
        options = {"DATABASE": request.getfixturevalue("database")}
        settings.TASKS = {"default": {"BACKEND": BACKEND, "QUEUES": [], "OPTIONS": options}}


class Floor:
    """Executor and recorder in one: each step is taken when the test says so."""

    def __init__(self, broker):
        self.broker = broker
        self.hands = Hands(broker)
        self.recorder = Recorder(broker)

    def record(self, times=1):
        for _ in range(times):
            self.recorder.tick()

    def claimed(self, queue="default"):
        """The ids of all that can be claimed now."""
        return [task.message.id for task in self.hands.claim(queue)]

    def end(self, task_id, outcome="completed", **said):
        """End a task that was claimed."""
        self.hands.settle(task_id, outcome, **said)
        self.hands.tokens.pop(task_id)

    def run(self, task_id, outcome="completed", *, queue="default", **said):
        """Claim a task, which must be possible, and end it, and record that."""
        if task_id not in self.hands.tokens:
            assert task_id in self.claimed(queue)
        self.end(task_id, outcome, **said)
        self.record()

    def status(self, task_id):
        return find(task_id).state.status.value

    def statuses(self, *ids):
        return [self.status(task_id) for task_id in ids]

    def said(self, task_id):
        """The last sentence about a task."""
        return find(task_id).state.attempts[-1].error


@pytest.fixture
def floor(broker):
    return Floor(broker)


def open_rows():
    return Dependency.objects.filter(is_open=True).count()
