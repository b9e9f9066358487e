"""Durability: fsync and replicated are confirmed, refused, or unknown; never silently weaker."""

import signal
import socket

import pytest

from tasks_app.broker import Broker
from tasks_app.broker.connection import Link
from tasks_app.exceptions import NotDurable, UnknownOutcome

from ..conftest import wait_until
from ..redis_server import RedisServer
from .world import PATIENCE_SECONDS, named, task

LOG = ("--appendonly", "yes", "--appendfsync")


class SlackLink(Link):
    """Just before each call that has to be durable, somebody tells the server not to hurry."""

    def run_confirmed(self, *arguments, **options):
        self.call("CONFIG", "SET", "appendfsync", "no")
        return super().run_confirmed(*arguments, **options)


@pytest.fixture
def start(tmp_path):
    """Starts servers with options of their own; gives a broker on each."""
    servers = []

    def start(*options, link=Link):
        server = RedisServer(None, *options)
        server.start()
        servers.append(server)
        broker = Broker(link(server.url, timeout=PATIENCE_SECONDS))
        broker.server = server
        return broker

    yield start
    for server in servers:
        server.close()


def is_empty(broker):
    return broker.link.call("DBSIZE") == 0


def test_fsync_returns_when_the_disk_has_it(start):
    broker, one = start(*LOG, "always"), task()

    assert broker.submit(one, durability="fsync") == one.id

    broker.server.kill()
    broker.server.start()
    broker.link.close()
    assert broker.get(one.id)


@pytest.mark.parametrize("policy", ["everysec", "no"])
def test_fsync_by_a_server_that_answers_before_it_asks_its_disk_is_refused(start, policy):
    broker = start(*LOG, policy)

    with pytest.raises(NotDurable, match=f"needs appendfsync always, and it is {policy}"):
        broker.submit(task(), durability="fsync")
    assert is_empty(broker)


def test_fsync_by_a_server_that_does_not_tell_is_refused(start):
    broker = start(*LOG, "always", "--rename-command", "CONFIG", "")

    with pytest.raises(NotDurable, match="CONFIG GET is refused"):
        broker.submit(task(), durability="fsync")
    assert is_empty(broker)


def test_fsync_without_a_log_is_refused_and_nothing_is_stored(start):
    broker = start("--appendonly", "no")

    with pytest.raises(NotDurable, match="append-only file, which is off"):
        broker.submit(task(), durability="fsync")
    assert is_empty(broker)


def test_fsync_by_a_server_that_does_not_know_it_is_refused(start):
    broker = start(*LOG, "always", "--rename-command", "WAITAOF", "")

    with pytest.raises(NotDurable, match=r"needs Redis 7\.2"):
        broker.submit(task(), durability="fsync")
    assert is_empty(broker)


def test_fsync_that_is_not_confirmed_in_time_is_unknown(start, settings):
    settings.DTPS = {**settings.DTPS, "CONFIRM_SECONDS": 0.05}
    broker, one = start(*LOG, "always", link=SlackLink), task()

    with pytest.raises(UnknownOutcome, match="stored, but was not confirmed to be fsync"):
        broker.submit(one, durability="fsync")
    assert broker.get(one.id)
    broker.link.call("CONFIG", "SET", "appendfsync", "always")
    with pytest.raises(UnknownOutcome):
        broker.confirm([one.id], "fsync")


def test_replicated_without_enough_replicas_is_refused_and_nothing_is_stored(start):
    broker = start("--appendonly", "no")

    with pytest.raises(NotDurable, match="1 replicas are wanted, and 0 are connected"):
        broker.submit(task(), durability="replicated")
    assert is_empty(broker)


def test_replicated_returns_when_the_replica_has_it(start, settings):
    broker, one = start("--appendonly", "no"), task()
    replica = replica_of(start, broker)

    broker.submit(one, durability="replicated")

    assert named(replica, "*payloads")
    settings.DTPS = {**settings.DTPS, "SUBMIT_REPLICAS": 2}
    with pytest.raises(NotDurable, match="2 replicas are wanted, and 1 are connected"):
        broker.submit(task(), durability="replicated")


def test_replicated_that_no_replica_confirms_in_time_is_unknown(start, settings):
    broker, one = start("--appendonly", "no"), task()
    replica = replica_of(start, broker)
    settings.DTPS = {**settings.DTPS, "CONFIRM_SECONDS": 0.2}
    replica.server.process.send_signal(signal.SIGSTOP)  # it is connected, and says nothing
    try:
        with pytest.raises(UnknownOutcome, match="was not confirmed to be replicated"):
            broker.submit(one, durability="replicated")
    finally:
        replica.server.process.send_signal(signal.SIGCONT)

    assert broker.get(one.id)


def test_what_is_there_already_is_confirmed_on_a_connection_that_wrote_nothing(start):
    broker, one = start(*LOG, "always"), task()
    broker.submit(one)
    broker.link.close()

    assert broker.confirm([one.id, task().id], "fsync") == {one.id}


def test_a_script_that_the_server_forgot_is_sent_again_and_confirmed(start):
    broker, one = start(*LOG, "always"), task()
    broker.link.call("SCRIPT", "FLUSH")

    assert broker.submit(one, durability="fsync") == one.id


def replica_of(start, broker):
    """A server that follows the broker's, over the loopback."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    broker.link.call("CONFIG", "SET", "bind", "127.0.0.1")
    broker.link.call("CONFIG", "SET", "port", port)
    replica = start("--appendonly", "no")
    replica.link.call("REPLICAOF", "127.0.0.1", port)
    wait_until(lambda: b"state=online" in broker.link.call("INFO", "replication"), "a replica")
    return replica
