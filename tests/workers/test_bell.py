"""A supervisor hears at once that there is an order, and sleeps on when nobody can ring."""

import json
import os
import select

import pytest

from tasks_app.broker import connection
from tasks_app.broker.connection import Link
from workers_app.supervisor.bell import Bell

from ..conftest import wait_until


@pytest.fixture
def bell(queue, server):
    queue.broker.fleet.announce("listener", {})
    bell = Bell(Link(server.url, timeout=0.5), "listener")
    yield bell
    bell.close()
    queue.broker.fleet.resign("listener")


def is_heard(bell):
    return bool(select.select(bell.files, [], [], 0.01)[0])


def test_an_order_rings_and_is_fetched(queue, bell):
    bell.listen()
    assert not bell.has_rung()

    queue.broker.fleet.order("listener", {"order": "pause"})
    wait_until(lambda: is_heard(bell), "the ring")

    assert bell.has_rung()
    assert queue.broker.fleet.orders("listener") == [{"order": "pause"}]
    assert not bell.has_rung()
    queue.broker.fleet.order("listener", {"order": "resume"})
    wait_until(bell.has_rung, "another ring")
    queue.broker.fleet.orders("listener")


def test_a_server_that_goes_away_counts_as_a_ring_and_is_called_again_when_it_is_back(
    queue, bell, server
):
    bell.listen()
    server.kill()
    connection.close_all()

    assert wait_until(bell.has_rung, "the end of the connection")
    assert bell.files == []
    bell.listen()
    assert bell.files == []
    assert not bell.has_rung()
    server.start()
    bell.listen()

    queue.broker.fleet.order("listener", {"order": "pause"})
    wait_until(bell.has_rung, "the ring")
    queue.broker.fleet.orders("listener")


def test_a_forked_child_leaves_the_connection_to_its_parent(queue, bell):
    bell.listen()

    pid = os.fork()
    if pid == 0:
        os._exit(len(bell.files))
    assert os.waitpid(pid, 0)[1] == 0

    queue.broker.fleet.order("listener", {"order": "pause"})
    wait_until(bell.has_rung, "the ring")
    assert json.dumps(queue.broker.fleet.orders("listener")) == '[{"order": "pause"}]'
