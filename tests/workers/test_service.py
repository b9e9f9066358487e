"""A loop that ticks, outlives its failures, and says so."""

import logging
import threading

import pytest
from django.db import OperationalError

from tasks_app.exceptions import LostLead, QueueUnavailable
from workers_app import service
from workers_app.coordinator import coordinator
from workers_app.coordinator.coordinator import Team
from workers_app.service import LONGEST_PAUSE, Service, pause_after

from ..conftest import wait_until


class Counter(Service):
    """Raises what it is told to, then counts its ticks."""

    def __init__(self, *errors):
        super().__init__()
        self.errors = list(errors)
        self.ticks = 0

    def tick(self):
        if self.errors:
            raise self.errors.pop(0)
        self.ticks += 1
        return 0.0


@pytest.fixture
def at_work():
    """Runs a service in a thread until the end of the test."""
    running = []

    def start(each):
        thread = threading.Thread(target=each.run)
        thread.start()
        running.append((each, thread))
        return thread

    yield start
    for each, thread in running:
        each.stop()
        thread.join()


def test_a_tick_that_raises_is_logged_and_tried_again(at_work, caplog, monkeypatch):
    monkeypatch.setattr(service, "FIRST_PAUSE", 0.001)
    counter = Counter(KeyError("a bug"), QueueUnavailable("away"), OperationalError("locked"))

    at_work(counter)
    wait_until(lambda: counter.ticks > 1)

    first, *passing = [r for r in caplog.records if r.name == service.__name__]
    assert first.levelno == logging.ERROR
    assert "a bug" in first.exc_text
    assert [record.levelno for record in passing] == [logging.WARNING] * 2
    assert all("\n" not in record.getMessage() for record in passing)


def test_a_service_that_is_stopped_before_it_runs_never_ticks(at_work):
    counter = Counter()
    counter.stop()

    at_work(counter).join()

    assert counter.ticks == 0


def test_pauses_grow_with_every_failure_in_a_row_up_to_a_bound():
    pauses = [pause_after(failures) for failures in range(1, 2000)]

    assert pauses == sorted(pauses)
    assert pauses[0] < 1
    assert pauses[-1] == LONGEST_PAUSE

    counter = Counter(*[KeyError()] * 3)
    assert [counter.attempt() for _ in range(4)] == [*pauses[:3], 0.0]
    counter.errors.append(KeyError())
    assert counter.attempt() == pauses[0]


def test_a_service_of_a_leader_that_was_followed_ends(at_work, caplog):
    counter = Counter(LostLead("by somebody"))

    at_work(counter).join()

    assert (counter.ticks, counter.has_lost_lead) == (0, True)
    assert "event=lead_lost service=counter error=by somebody" in caplog.text


def test_a_service_that_hangs_is_named_in_the_log(caplog, monkeypatch):
    monkeypatch.setattr(coordinator, "HUNG_SECONDS", 0.0)
    going_on = threading.Event()

    class Hanging(Service):
        def tick(self):
            going_on.wait()
            return 60.0

    hanging = Hanging()
    team = Team([hanging])
    team.start()
    try:
        wait_until(
            lambda: team.warn_of_hung() or "event=service_hangs service=hanging" in caplog.text
        )
    finally:
        going_on.set()
        assert team.stop()
    assert hanging.busy_seconds() == 0
