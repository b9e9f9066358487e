"""What tasks say on its way to Redis: bounded, merged, never twice, and nobody waits for it."""

import logging
import threading
import uuid

import pytest

from tasks_app.broker import Broker
from tasks_app.broker.answers import Settlement
from tasks_app.broker.connection import Link
from tasks_app.exceptions import QueueUnavailable, TaskLost, ValueTooLarge
from tasks_app.message import State, TaskMessage, now_us
from tasks_app.models import Dependency
from tasks_app.states import Status
from workers_app.executor import page as page_module
from workers_app.executor.board import Board
from workers_app.executor.interrupts import Interrupts
from workers_app.executor.job import Job
from workers_app.executor.lanes import Lane
from workers_app.executor.notebook import Notebook
from workers_app.executor.page import EPOCH_FENCES, Page
from workers_app.executor.runner import Runner

from ..conftest import PATIENCE_SECONDS, wait_until
from ..lua.world import executor_of
from ..redis_server import RedisServer

EXECUTOR = "w1:0:x"
LANE = Lane(0, ["default"])


@pytest.fixture
def server():
    """One that does not run yet."""
    server = RedisServer()
    yield server
    server.close()


@pytest.fixture
def notebook(server):
    link = Link(server.url, timeout=1.0)
    yield Notebook(Broker(link), EXECUTOR)
    link.close()


def page_of(notebook, message=None, state=None, token="token"):
    message = message or TaskMessage(id=str(uuid.uuid4()), type="t", submitted_us=now_us())
    state = state or State(status=Status.ASSIGNED, version=2)
    runner = Runner("w1", Interrupts(Board()), notebook)
    return Page(runner, Job(0, message, state, token, LANE, None), now_us())


def held_page(notebook, server):
    """The page of a task that is really held, once its server runs."""
    broker = Broker(Link(server.url, timeout=10))
    executor_of(broker)
    message = TaskMessage(id=str(uuid.uuid4()), type="t", submitted_us=now_us())
    broker.submit(message)
    exchange = broker.claim(EXECUTOR, "w1", ["default"], 1)
    return page_of(notebook, message, exchange.claimed[0].state, exchange.token), broker


def said(broker, page):
    return broker.remarks([page.key[0]])[page.key[0]]


def test_without_redis_nobody_waits_and_the_newest_is_kept(notebook, server, settings):
    settings.DTPS = {**settings.DTPS, "TASK_LOG_LINES": 3}
    server.start()
    page, broker = held_page(notebook, server)
    server.kill()

    for n in range(10):
        page.report(n, 10, "far")
        page.write(f"line {n}", logging.INFO)
        notebook.tick()

    server.start()
    broker.link.close()  # what it had to the server before
    wait_until(lambda: notebook.tick() or broker.remarks([page.key[0]]), "the remarks")
    notebook.flush([settlement(page)])

    assert said(broker, page).progress.done == 9
    assert [line.text for line in said(broker, page).log] == ["line 7", "line 8", "line 9"]


def test_a_page_is_written_a_few_times_a_second_and_at_its_end(notebook, server):
    server.start()
    page, broker = held_page(notebook, server)

    page.report(1, 10, "")
    notebook.tick()
    assert said(broker, page).progress.done == 1
    page.written_at += 3600  # so that it is not due for a long time
    page.report(2, 10, "")
    notebook.tick()
    assert said(broker, page).progress.done == 1

    page.is_over = True
    notebook.flush([settlement(page)])
    assert said(broker, page).progress.done == 2


def settlement(page):
    return Settlement(id=page.key[0], token=page.key[1], outcome="completed")


def test_what_may_have_been_written_comes_again_under_its_number(notebook):
    page = page_of(notebook)
    page.write("a", logging.INFO)
    page.report(1, None, "")
    first = page.news()
    page.write("b", logging.INFO)
    page.report(2, None, "")

    again = page.news()

    assert (again.serial, again.lines) == (first.serial, first.lines)
    assert again.progress != first.progress
    assert page.written(was_refused=False)  # there is more
    assert page.news().serial == first.serial + 1


def test_an_unsaid_page_costs_no_call(notebook):
    notebook.tick()
    notebook.flush([settlement(page_of(notebook))])  # its server does not run


def test_a_checkpoint_that_cannot_be_stored_raises(notebook, monkeypatch):
    monkeypatch.setattr(page_module, "SAVE_SECONDS", 0.3)
    page = page_of(notebook)

    with pytest.raises(QueueUnavailable, match="away for too long"):
        page.save({"a": 1})


@pytest.mark.django_db
def test_a_look_at_the_parents_waits_for_a_redis_that_is_away(
    notebook, server, settings, monkeypatch
):
    settings.DTPS = {**settings.DTPS, "REDIS_URL": server.url}
    monkeypatch.setattr(page_module, "SAVE_SECONDS", PATIENCE_SECONDS)
    server.start()
    page, broker = held_page(notebook, server)
    parent = TaskMessage(id=str(uuid.uuid4()), type="test", submitted_us=now_us())
    broker.submit(parent)
    Dependency.objects.create(child_id=page.key[0], parent_id=parent.id, position=0)
    server.kill()

    coming_back = threading.Timer(0.3, server.start)
    coming_back.start()
    try:
        found = [result.id for result in page.context.parents]
    finally:
        coming_back.join()

    assert found == [parent.id]


def test_who_lost_the_task_is_told_when_it_saves(notebook, server):
    server.start()
    page, broker = held_page(notebook, server)
    broker.cancel([page.key[0]])

    with pytest.raises(TaskLost):
        page.save({"a": 1})

    assert page.is_cancelled
    assert broker.remarks([page.key[0]]) == {}
    page.write("unheard", logging.INFO)
    notebook.tick()
    assert broker.remarks([page.key[0]]) == {}


@pytest.mark.parametrize("state", [[], None, "text", {"a": object()}, {"a": "x" * 70_000}])
def test_a_checkpoint_that_is_none_is_refused(notebook, state):
    with pytest.raises((TypeError, ValueTooLarge)):
        page_of(notebook).save(state)


@pytest.mark.parametrize("done", ["far", None, float("nan"), float("inf"), object()])
def test_progress_that_is_no_number_is_refused(notebook, done):
    page = page_of(notebook)

    with pytest.raises((TypeError, ValueError)):
        page.report(done, None, "")


def test_a_fence_grows_with_each_claim_and_each_epoch(notebook):
    fences = [
        page_of(notebook, state=State(epoch=epoch, version=version)).fence
        for epoch, version in [(1, 2), (1, 5), (1, EPOCH_FENCES - 1), (2, 3), (3, 1)]
    ]

    assert fences == sorted(set(fences))
