"""The way to Redis: lost answers, refusals, full memory, forks and restarts."""

import os
import threading

import pytest
from redis.exceptions import ResponseError

from tasks_app.broker import connection, keys
from tasks_app.broker.broker import Broker
from tasks_app.broker.connection import Link, safe
from tasks_app.exceptions import QueueFull, QueueUnavailable, UnknownOutcome
from tasks_app.states import Status

from .peers import Refusing, Swallowing
from .world import (
    CRASH,
    claim,
    content,
    executor_of,
    ids_of,
    outcome,
    state,
    status,
    submitted,
    task,
)


def private(server):
    return Broker(Link(server.url, timeout=60))


def make_impatient(link):
    """Let the next answer be waited for in vain quickly."""
    link._spares[-1][0]._sock.settimeout(0.1)


# --- answers that do not come ---


@pytest.mark.parametrize("cuts", [True, False], ids=["cut off", "silent"])
def test_a_call_whose_answer_is_lost_is_not_repeated(broker, server, cuts):
    with Swallowing(server, cuts=cuts) as peer:
        lossy = private(peer)
        lossy.fleet.keep_sample({"n": 1})
        peer.answers = False
        if not cuts:
            make_impatient(lossy.link)
        with pytest.raises(UnknownOutcome):
            lossy.fleet.keep_sample({"n": 2})
        peer.answers = True
        lossy.fleet.keep_sample({"n": 3})
        lossy.link.close()

    assert broker.fleet.samples() == [{"n": 1}, {"n": 2}, {"n": 3}]


class _ThenAnswers(Swallowing):
    """Drops the answer to the first submit only, as a passing fault of the network does."""

    def serve(self, client):
        self.answers = True
        super().serve(client)


def test_a_submit_whose_answer_is_lost_is_looked_up(broker, server):
    with _ThenAnswers(server) as peer:
        lossy = private(peer)
        submitted(lossy)
        peer.answers = False
        (one,) = submitted(lossy)
        lossy.link.close()

    assert status(broker, one) == Status.PENDING
    assert broker.stats().count("submitted") == 2


def test_a_submit_of_which_nothing_can_be_learnt_is_unknown(broker, server):
    with Swallowing(server) as peer:
        lossy = private(peer)
        submitted(lossy)
        peer.answers = False
        with pytest.raises(UnknownOutcome):
            submitted(lossy)
        lossy.link.close()


def test_nobody_listening_is_unavailable_and_not_unknown():
    nowhere = Broker(Link("unix:///tmp/dtps-nobody-listens-here.sock", timeout=60))

    with pytest.raises(QueueUnavailable) as caught:
        nowhere.submit(task())

    assert type(caught.value) is QueueUnavailable


# --- refusals ---

REFUSALS = [
    "LOADING the dataset in memory",
    "READONLY You can't write against a read only replica.",
    "MISCONF Errors writing to the AOF file: No space left on device",
    "MASTERDOWN Link with MASTER is down",
    "CLUSTERDOWN The cluster is down",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "BUSY Redis is busy running a script.",
    "NOREPLICAS Not enough good replicas to write.",
    "NOAUTH Authentication required.",
    "WRONGPASS invalid username-password pair or user is disabled.",
    "NOPERM this user has no permissions",
    "ERR max number of clients reached",
]


@pytest.mark.parametrize("error", REFUSALS)
def test_a_server_that_refuses_has_stored_nothing(error):
    with Refusing(error) as peer:
        refused = private(peer)
        with pytest.raises(QueueUnavailable) as caught:
            refused.submit(task())
        refused.link.close()

    assert type(caught.value) is QueueUnavailable  # and not UnknownOutcome


def test_a_real_replica_refuses(private_server):
    broker = private(private_server)
    broker.link.call("REPLICAOF", "127.0.0.1", "1")

    with pytest.raises(QueueUnavailable, match=r"(?i)read ?only"):
        broker.submit(task())

    broker.link.call("REPLICAOF", "NO", "ONE")
    broker.submit(task())
    broker.link.close()


def test_a_mistake_of_ours_is_not_dressed_up(broker):
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        broker.link.call("SET", keys.key(0, "queues"), "x")
        broker.stats()


def test_no_password_in_messages():
    assert safe("redis://user:secret@host:6379/0") == "redis://***@host:6379/0"
    assert "secret" not in safe("unix:///run/redis.sock?db=0&password=secret")
    assert safe("redis://host:6379/0") == "redis://host:6379/0"


# --- full memory ---


def test_a_full_server_refuses_new_work_and_drains(private_server):
    broker = private(private_server)
    tasks = submitted(broker, 6)
    executor = executor_of(broker)
    first = claim(broker, executor, limit=2)
    later = task(run_after_us=task().submitted_us + 1_000_000_000)
    broker.submit(later)
    broker.link.call("CONFIG", "SET", "maxmemory", "1")

    with pytest.raises(QueueFull):
        broker.submit(task())

    finish = [outcome(tasks[0].id, first.token, "completed", result="x" * 10_000)]
    second = claim(broker, executor, limit=2, settlements=finish)
    assert ids_of(second) == [tasks[2].id, tasks[3].id]
    assert second.stale == []
    broker.fleet.announce("w1", {"full": True}, executors=[executor])
    assert broker.start(executor, [tasks[2].id]) == 1
    assert broker.release(executor, {tasks[1].id: first.token}) == [tasks[1].id]
    broker.promote()
    broker.cancel([later.id])
    assert broker.reap("w1", executor, reason=CRASH) == 2
    assert broker.stats().ready == 5
    changes = broker.changes(100)
    assert broker.forget({tasks[0].id: state(broker, tasks[0]).version}) == 1
    broker.acknowledge(changes)
    assert broker.fleet.lead("a")
    broker.fleet.keep_sample({})
    assert broker.fleet.order("w1", {"order": "stop"})
    assert not broker.wait(executor, 0.01)
    assert broker.purge("default") == 5
    assert broker.sweep() == (5, False)
    broker.link.close()


# --- a server that forgets, dies, comes back ---


def test_scripts_that_the_server_forgot_are_sent_again(broker):
    (one,) = submitted(broker)
    executor = executor_of(broker)
    for step in (
        lambda: claim(broker, executor),
        lambda: broker.start(executor, [one.id]),
        lambda: broker.cancel([one.id]),
    ):
        broker.link.call("SCRIPT", "FLUSH")
        step()

    assert status(broker, one) == Status.CANCELLED


def test_everything_is_still_there_after_a_kill(private_server):
    broker = private(private_server)
    broker.link.call("CONFIG", "SET", "appendfsync", "always")  # a slow fsync delays writes
    tasks = submitted(broker, 4, kwargs={"name": "wé|rd\n"})
    broker.submit(task(run_after_us=task().submitted_us + 10**12, expires_us=10**16))
    executor = executor_of(broker)
    mine = claim(broker, executor, limit=3)
    broker.start(executor, [tasks[0].id])
    broker.finish(executor, [outcome(tasks[1].id, mine.token, result=[1])])
    broker.pause("other")
    before = content(broker)

    private_server.kill()
    private_server.start()

    again = private(private_server)
    assert content(again) == before
    assert again.finish(executor, [outcome(tasks[0].id, mine.token)]) == []
    broker.link.close()
    again.link.close()


def test_a_spare_connection_that_died_meanwhile_is_noticed(private_server, monkeypatch):
    monkeypatch.setattr(connection, "FRESH_SECONDS", 0)
    broker = private(private_server)
    (one,) = submitted(broker)

    private_server.kill()
    private_server.start()

    assert status(broker, one) == Status.PENDING
    broker.link.close()


def test_a_link_outlives_any_number_of_connections(server):
    link = Link(server.url, timeout=60)
    for _ in range(150):
        assert link.call("PING") == b"PONG"
        link.close()


# --- forks and threads ---


def test_a_child_leaves_the_connections_of_its_parent_alone(broker):
    link = broker.link
    mine = link.call("CLIENT", "ID")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, b"%d" % link.call("CLIENT", "ID"))
            link.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        theirs = int(pipe.read())

    assert theirs != mine
    assert link.call("CLIENT", "ID") == mine  # the same connection, alive


def test_threads_do_not_mix_their_answers(broker):
    wrong = []

    def ask(number):
        for n in range(200):
            word = b"%d-%d" % (number, n)
            if broker.link.call("ECHO", word) != word:
                wrong.append(word)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_an_interrupted_call_does_not_leave_its_answer_to_the_next_one(broker, monkeypatch):
    class Interrupt(BaseException):
        pass

    held = broker.link._take()

    def interrupted(*args, **kwargs):
        raise Interrupt

    with monkeypatch.context() as patch:
        patch.setattr(held, "read_response", interrupted)
        broker.link._keep(held)
        with pytest.raises(Interrupt):
            broker.link.call("ECHO", "old")

    assert broker.link.call("ECHO", "new") == b"new"


def test_waiting_longer_than_an_answer_may_take_is_no_loss(broker):
    broker.link.call("PING")
    make_impatient(broker.link)

    assert broker.wait("w1:0:x", 0.3) is None
    broker.link.call("RPUSH", keys.wake(0, "w1:0:x"), "1")
    assert broker.wait("w1:0:x", 60) is not None
