"""The recorder: nothing lost, nothing doubled, never backwards, whatever happens in between."""

import random
import threading
from contextlib import closing, contextmanager

import psycopg
import pytest
from django.db import OperationalError, connections

from tasks_app import actions, lookup
from tasks_app.api.task_view import all_of
from tasks_app.broker import Broker, keys
from tasks_app.broker.connection import Link
from tasks_app.exceptions import QueueFull, QueueUnavailable, UnknownOutcome, WrongState
from tasks_app.models import Ledger, Quarantine, TaskRecord
from workers_app.coordinator import history
from workers_app.coordinator.ledger import Mark
from workers_app.coordinator.rows import row_of
from workers_app.coordinator.services.recorder import Recorder, calls_after, size_after

from ..conftest import PATIENCE_SECONDS, wait_until
from ..lua.world import claim, executor_of, outcome, submitted
from ..postgres import ALIAS, on_both_databases, on_postgres


def finished(broker, count=1, final="completed", **fields):
    """Submit some tasks and bring them to their end."""
    tasks = submitted(broker, count, **fields)
    executor = executor_of(broker)
    exchange = claim(broker, executor, limit=1000)
    settlements = [outcome(t.id, exchange.token, final, worker="w1") for t in tasks]
    assert broker.finish(executor, settlements) == []
    return tasks


def stands():
    """What the database says: id -> (status, run, version)."""
    return {row.id: (row.status, row.run, row.version) for row in TaskRecord.objects.all()}


def is_forgotten(broker, tasks):
    return broker.stats().unrecorded == 0 and not broker.read([task.id for task in tasks])


@contextmanager
def denied(broker, command):
    """The server refuses a command, as if it went away at that moment."""
    broker.link.call("ACL", "SETUSER", "default", f"-{command}")
    try:
        yield
    finally:
        broker.link.call("ACL", "SETUSER", "default", f"+{command}")


@on_both_databases
def test_a_short_task_becomes_one_row_with_its_last_state(broker):
    (task,) = finished(broker, queue="default", priority=40)

    assert Recorder(broker).tick() > 0

    row = TaskRecord.objects.get()
    assert (row.id, row.status, row.priority, row.worker) == (task.id, "completed", 40, "w1")
    assert row.stored.message == task
    assert row.stored.state.attempts[0].worker == "w1"
    assert is_forgotten(broker, [task])


@pytest.mark.django_db(transaction=True)
def test_a_short_task_costs_one_row_write(broker):
    connection = connections["default"]
    if connection.vendor != "sqlite":  # where DATABASE_URL names another; the way there is the same
        return
    finished(broker)
    Recorder(broker).tick()
    before = connection.connection.total_changes
    finished(broker, 20)

    Recorder(broker).tick()

    assert connection.connection.total_changes - before == 20 + 1  # the ledger's


@on_both_databases
def test_open_tasks_are_recorded_and_stay_in_redis(broker):
    (urgent,) = submitted(broker, priority=100)
    (waiting,) = submitted(broker)
    claim(broker, executor_of(broker), limit=1)
    broker.start("w1:0:x", [urgent.id])

    Recorder(broker).tick()

    assert stands() == {urgent.id: ("processing", 1, 3), waiting.id: ("pending", 1, 1)}
    assert set(broker.read([urgent.id, waiting.id])) == {urgent.id, waiting.id}


@on_both_databases
def test_a_batch_that_is_applied_twice_or_late_changes_nothing(broker):
    (task,) = submitted(broker)
    early = row_of(task.id, *broker.read([task.id])[task.id])
    broker.cancel([task.id])
    late = row_of(task.id, *broker.read([task.id])[task.id])

    for row in (late, early, late, early):
        assert history.write([row]) == []

    assert stands() == {task.id: ("cancelled", 1, late.version)}


@on_both_databases
def test_a_new_run_and_a_new_epoch_override_whatever_their_version(broker):
    (task,) = finished(broker)
    row = row_of(task.id, *broker.read([task.id])[task.id])._replace(version=9)

    for newer in (row, row._replace(run=2, version=1), row._replace(epoch=2, run=1, version=1)):
        history.write([newer])
        assert stands() == {task.id: ("completed", newer.run, newer.version)}


@on_both_databases
def test_a_recorded_task_that_is_retried_is_recorded_again(broker):
    (task,) = finished(broker, final="failed")
    recorder = Recorder(broker)
    recorder.tick()

    broker.retry(task, TaskRecord.objects.get().stored.state)
    recorder.tick()

    row = TaskRecord.objects.get()
    assert (row.status, row.run) == ("pending", 2)
    assert len(row.stored.state.attempts) == 1
    assert task.id in broker.read([task.id])


GOOD = b"completed|1|1|3|1|0|0||9\n"
POISON = {
    "not-utf8": b"\xff\xfe",
    "no-header": b"completed",
    "no-status": b"sleeping|1|1|1|1|0|0||1\n",
    "giant-version": b"completed|1|1|%s|1|0|0||9\n" % (b"9" * 30),
    "giant-moment": GOOD + b'{"outcome":"completed","ended_us":%s}\n' % (b"9" * 30),
    "not-json": GOOD + b"nan\n",
    "lone-surrogate": GOOD + rb'{"error":"\ud800"}' + b"\n",
    "nested": GOOD + b'{"result":' + b"[" * 100_000 + b"\n",
}


STRANGE = {"not-utf8", "no-header", "no-status"}  # of which nobody can say whether it is over


@on_both_databases
def test_what_the_database_refuses_is_quarantined_and_stops_nobody_else(broker):
    good = finished(broker, 50)
    definition = good[0].encode()
    for name, state in POISON.items():
        broker.link.call("HSET", keys.key(0, "payloads"), name, definition)
        broker.link.call("HSET", keys.key(0, "states"), name, state)
    ids = [*POISON, b"\xff", "a-stranger"]
    for task_id in ids:
        broker.link.call("XADD", keys.key(0, "changes"), "*", "ids", task_id)
    recorder = Recorder(broker)

    recorder.tick()
    for name in POISON:  # and when it comes again, it is not kept twice
        broker.link.call("XADD", keys.key(0, "changes"), "*", "ids", name)
    recorder.tick()
    assert set(broker.read(list(POISON))) == STRANGE

    assert set(stands()) == {task.id for task in good}
    assert is_forgotten(broker, good)
    kept = {each.task_id: each for each in Quarantine.objects.all()}
    assert len(kept) == Quarantine.objects.count()
    assert {name: bytes(each.state) for name, each in kept.items()} == POISON
    assert all(each.reason and bytes(each.definition) == definition for each in kept.values())


@on_both_databases
def test_a_nul_in_what_is_searched_for_is_escaped(broker):
    (task,) = submitted(broker)
    exchange = claim(broker, executor_of(broker))
    broker.finish(
        "w1:0:x", [outcome(task.id, exchange.token, "failed", error="a\0b", result="c\0d")]
    )

    Recorder(broker).tick()

    row = TaskRecord.objects.get()
    assert row.error == "a\\x00b"
    assert row.stored.state.attempts[0].error == "a\0b"
    assert not Quarantine.objects.exists()


@pytest.mark.parametrize("command", ["hdel", "xtrim"])  # of forget, and of acknowledge
@on_both_databases
def test_a_crash_after_the_commit_loses_nothing_and_doubles_nothing(broker, command):
    tasks = finished(broker, 3)
    with denied(broker, command):
        assert Recorder(broker).attempt() > 0  # logs what happened
        before = stands()
        assert set(before) == {task.id for task in tasks}
        assert broker.stats().unrecorded > 0

    Recorder(broker).tick()

    assert stands() == before
    assert is_forgotten(broker, tasks)


@on_both_databases
def test_a_task_that_moved_on_while_it_was_recorded_stays(broker):
    (task,) = finished(broker)
    with denied(broker, "hdel"):
        Recorder(broker).attempt()
    known = broker.get(task.id)
    broker.retry(task, known.state)

    assert broker.forget({task.id: known.state.version}) == 0
    Recorder(broker).tick()

    assert broker.get(task.id).state.run == 2
    assert TaskRecord.objects.get().run == 2


@contextmanager
def locked(alias):
    """Somebody else has the table for himself; Django's connection gives up soon."""
    connection = connections[alias]
    table = TaskRecord._meta.db_table
    if connection.vendor == "sqlite":
        connection.cursor().execute("PRAGMA busy_timeout = 10")
        begin = ["BEGIN EXCLUSIVE"]
    else:
        connection.cursor().execute("SET lock_timeout = 10")
        begin = ["BEGIN", f"LOCK TABLE {table}"]
    with closing(connection.copy()) as other:
        other.inc_thread_sharing()
        other.ensure_connection()
        for statement in begin:
            other.connection.execute(statement)
        yield
        other.connection.rollback()


@on_both_databases
def test_a_locked_database_is_waited_for(broker, database):
    tasks = finished(broker, 3)
    recorder = Recorder(broker)

    with locked(database), pytest.raises(OperationalError):
        recorder.tick()
    assert broker.stats().unrecorded > 0
    assert len(broker.read([task.id for task in tasks])) == 3
    assert not TaskRecord.objects.exists()

    recorder.tick()
    assert set(stands()) == {task.id for task in tasks}
    assert is_forgotten(broker, tasks)


@on_postgres
def test_a_connection_that_was_cut_is_replaced(broker, postgres):
    recorder = Recorder(broker)
    recorder.tick()
    tasks = finished(broker, 3)
    assert not TaskRecord.objects.exists()
    with psycopg.connect(postgres, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    with pytest.raises(OperationalError):
        recorder.tick()
    recorder.tick()

    assert set(stands()) == {task.id for task in tasks}
    assert is_forgotten(broker, tasks)


@on_both_databases
def test_two_recorders_at_once_record_everything_once(broker):
    recorders = [Recorder(broker), Recorder(broker)]
    threads = [threading.Thread(target=recorder.run) for recorder in recorders]
    for thread in threads:
        thread.start()
    try:
        tasks = [task for _ in range(10) for task in finished(broker, 30)]
        wait_until(lambda: is_forgotten(broker, tasks), "the end of the record")
    finally:
        for recorder, thread in zip(recorders, threads, strict=True):
            recorder.stop()
            thread.join()

    assert stands() == {task.id: ("completed", 1, 3) for task in tasks}


@on_both_databases
def test_more_than_a_batch_is_recorded_in_many_and_without_a_pause(broker, settings):
    settings.DTPS = {**settings.DTPS, "RECORDER_BATCH": 40}
    tasks = finished(broker, 100)
    recorder = Recorder(broker)

    assert recorder.tick() == 0
    assert recorder.tick() > 0

    assert set(stands()) == {task.id for task in tasks}


@pytest.mark.django_db(transaction=True)
def test_every_shard_is_recorded(broker, settings):
    settings.DTPS = {**settings.DTPS, "SHARDS": {"far": 3}}
    tasks = [*submitted(broker, 2), *submitted(broker, 2, queue="far")]

    Recorder(broker).tick()

    assert set(stands()) == {task.id for task in tasks}
    assert broker.stats().unrecorded == 0


def test_batches_grow_while_they_are_quick_and_shrink_when_they_are_not():
    assert size_after(100, size_bytes=1000, seconds=0.001, most=1000) == 200
    assert size_after(800, size_bytes=1000, seconds=0.001, most=1000) == 1000
    assert size_after(800, size_bytes=1000, seconds=0.2, most=1000) == 400
    assert size_after(1, size_bytes=10**9, seconds=0.001, most=1000) == 1
    assert calls_after(10, ids=0, most=1000) == 20
    assert calls_after(1000, ids=500, most=1000) == 1000
    assert calls_after(10, ids=10_000, most=1000) == 5


@on_both_databases
def test_a_quarantined_task_that_is_over_is_found_there(broker):
    definition = finished(broker)[0].encode()
    Recorder(broker).tick()
    for name, state in POISON.items():
        broker.link.call("HSET", keys.key(0, "payloads"), name, definition)
        broker.link.call("HSET", keys.key(0, "states"), name, state)
        broker.link.call("XADD", keys.key(0, "changes"), "*", "ids", name)
    broken = b"1|default|0|0\n{}"
    broker.link.call("HSET", keys.key(0, "payloads"), "no-definition", broken)
    broker.link.call("HSET", keys.key(0, "states"), "no-definition", GOOD)
    broker.link.call("XADD", keys.key(0, "changes"), "*", "ids", "no-definition")
    before = TaskRecord.objects.count()

    Recorder(broker).tick()

    assert TaskRecord.objects.count() == before
    found = lookup.find_many([*POISON, "no-definition", "unknown"])
    assert found.keys() == {*POISON, "no-definition"}
    for name, task in found.items():
        said = all_of(task)
        assert said["status"] == ("failed" if name in STRANGE else "completed"), name
    for name in ("nested", "not-json", "lone-surrogate"):
        assert found[name].state.attempts[-1].error, name
    assert found["no-definition"].message.type == "unreadable"
    with pytest.raises(WrongState, match="cannot be read"):
        actions.retry("no-definition")


@on_both_databases
def test_a_quarantined_task_can_be_run_again_and_is_recorded_then(broker):
    (task,) = finished(broker, final="failed")
    lines = GOOD.replace(b"completed", b"failed") + b"nan\n"
    broker.link.call("HSET", keys.key(0, "states"), task.id, lines)
    Recorder(broker).tick()
    assert broker.read([task.id]) == {}

    assert actions.retry(task.id) == 2
    exchange = claim(broker, executor_of(broker))
    broker.finish("w1:0:x", [outcome(task.id, exchange.token)])
    Recorder(broker).tick()

    assert stands() == {task.id: ("completed", 2, 6)}
    assert lookup.find(task.id).state.status == "completed"


@on_both_databases
def test_a_task_that_changes_often_in_one_batch_has_one_row_with_its_last_state(broker):
    (task,) = submitted(broker)
    executor = executor_of(broker)
    for _ in range(5):
        token = claim(broker, executor).token
        broker.start(executor, [task.id])
        broker.finish(executor, [outcome(task.id, token, "retry", error="again")])
    broker.cancel([task.id])
    for _ in range(3):  # and as often as a stream can name it
        broker.link.call("XADD", keys.key(0, "changes"), "*", "ids", f"{task.id} {task.id}")
    recorder = Recorder(broker)

    wait_until(lambda: recorder.tick() and broker.stats().unrecorded == 0)

    row = TaskRecord.objects.get()
    assert (row.status, row.version, row.failures) == ("cancelled", 17, 5)
    assert len(row.stored.state.attempts) == 6
    assert is_forgotten(broker, [task])


class Cut(Link):
    """A way to Redis that ends at some call, before or after it took effect."""

    def __init__(self, url, calls, before):
        super().__init__(url, timeout=PATIENCE_SECONDS)
        self.left, self.before = calls, before

    def call(self, *command, **more):
        self.left -= 1
        if self.left == 0 and self.before:
            raise QueueUnavailable("cut off before the call")
        answer = super().call(*command, **more)
        if self.left == 0:
            raise UnknownOutcome("cut off after the call")
        if self.left < 0:
            raise QueueUnavailable("gone")
        return answer


@on_both_databases
def test_a_recorder_that_dies_at_any_point_loses_nothing_and_doubles_nothing(broker, settings):
    settings.DTPS = {**settings.DTPS, "RECORDER_BATCH": 3}
    tasks, dice = [], random.Random(7)
    for _ in range(100):
        tasks += finished(broker, 2)
        tasks += submitted(broker, 1)
        before = stands()
        dying = Cut(broker.link.url, dice.randint(1, 20), dice.random() < 0.5)
        Recorder(Broker(dying)).attempt()
        dying.close()
        after = stands()
        assert all(after[task_id][1:] >= row[1:] for task_id, row in before.items())
        for task in tasks[-3:]:
            assert task.id in after or task.id in broker.read([task.id])

    wait_until(lambda: Recorder(broker).tick() and broker.stats().unrecorded == 0)
    known = {task_id: state for task_id, (_, state) in broker.read([t.id for t in tasks]).items()}
    rows = {row.id: row for row in TaskRecord.objects.all()}
    assert rows.keys() == {task.id for task in tasks}
    assert all(row.is_final or row.id in known for row in rows.values())
    assert not any(rows[task_id].is_final for task_id in known)


def set_in_postgres(**values):
    """Let this thread's connection to Postgres have some settings, as long as it lasts."""
    for name, value in values.items():
        connections[ALIAS].cursor().execute(f"SET {name} = {value}")


@on_both_databases
def test_the_ledger_says_how_far_the_rows_go_and_never_goes_back(broker):
    tasks = submitted(broker, 2)
    first = broker.last_change()
    known = broker.read([task.id for task in tasks])
    rows = [row_of(task_id, *texts) for task_id, texts in sorted(known.items())]
    submitted(broker)
    Recorder(broker).tick()
    last = broker.last_change()

    history.write(rows, Mark(0, first))

    assert first != last
    assert Ledger.objects.get().last_change == {"0": last}


@on_both_databases
def test_the_ledger_moves_in_the_transaction_of_its_rows(broker, database, monkeypatch):
    submitted(broker)

    def fail(*words):
        raise OperationalError("at the end of the transaction")

    with monkeypatch.context() as patch:
        patch.setattr("workers_app.coordinator.ledger.advance", fail)
        assert Recorder(broker).attempt() > 0
    assert not TaskRecord.objects.exists()

    with locked(database), pytest.raises(OperationalError):
        Recorder(broker).tick()
    assert not Ledger.objects.exclude(last_change={}).exists()

    Recorder(broker).tick()
    assert TaskRecord.objects.count() == 1
    assert Ledger.objects.get().last_change == {"0": broker.last_change()}


@on_both_databases
def test_a_long_lock_fills_the_stream_up_to_its_bound_and_drops_nothing(broker, database, settings):
    settings.DTPS = {**settings.DTPS, "MAX_RECORDER_LAG": 5}
    recorder = Recorder(broker)
    thread = threading.Thread(target=recorder.run)
    tasks = []
    # The recorder works on a connection of its own, which waits as long as its own is told to.
    with locked(database):
        thread.start()
        with pytest.raises(QueueFull, match="lags too far behind"):
            while True:
                tasks += submitted(broker)
        exchange = claim(broker, executor_of(broker))  # work goes on meanwhile
        stale = broker.finish("w1:0:x", [outcome(t.id, exchange.token) for t in tasks])
        assert (len(tasks), stale) == (5, [])
        assert len(broker.read([task.id for task in tasks])) == len(tasks)

    try:
        wait_until(lambda: is_forgotten(broker, tasks), "the end of the record")
        submitted(broker)
    finally:
        recorder.stop()
        thread.join()
    assert {stands()[task.id] for task in tasks} == {("completed", 1, 3)}


@on_postgres
def test_a_statement_that_takes_too_long_makes_batches_smaller_until_it_does_not(broker):
    tasks = finished(broker, 150)
    recorder = Recorder(broker)
    size = recorder.size
    with locked(ALIAS):
        for _ in range(2):
            set_in_postgres(lock_timeout=0, statement_timeout=20)  # of each new connection
            with pytest.raises(OperationalError, match="statement timeout"):
                recorder.tick()
    assert recorder.size == size // 4

    wait_until(lambda: recorder.tick() and is_forgotten(broker, tasks))

    assert set(stands()) == {task.id for task in tasks}
    assert recorder.size > size // 4


@on_postgres
def test_a_recorder_that_a_deadlock_ends_does_all_again(broker, postgres):
    tasks = sorted(finished(broker, 3), key=lambda task: task.id)
    rows = [row_of(task.id, *broker.read([task.id])[task.id]) for task in tasks]
    history.write([row._replace(version=1) for row in rows])
    recorder, errors = Recorder(broker), []
    update = f"UPDATE {TaskRecord._meta.db_table} SET error = '' WHERE id = %s"
    first, second, third = [[task.id] for task in tasks]

    def record():
        set_in_postgres(deadlock_timeout="'1ms'")  # so that it is the one that is ended
        try:
            recorder.tick()
        except OperationalError as error:
            errors.append(str(error))
        connections.close_all()

    with psycopg.connect(postgres) as a, psycopg.connect(postgres) as b:
        a.execute("SET deadlock_timeout = '1h'")
        a.execute(update, third)
        b.execute(update, second)
        recording = threading.Thread(target=record)
        recording.start()
        wait_until(
            lambda: waiting(postgres) == 1, "the recorder has the first and wants the second"
        )
        crossing = threading.Thread(target=a.execute, args=(update, first))
        crossing.start()
        wait_until(lambda: waiting(postgres) == 2, "somebody wants the first")
        b.commit()
        recording.join()
        crossing.join()
        assert "deadlock detected" in errors[0]
        assert len(broker.read([task.id for task in tasks])) == 3

    recorder.tick()
    assert {stands()[task.id] for task in tasks} == {("completed", 1, 3)}
    assert is_forgotten(broker, tasks)


def waiting(url):
    """How many of Postgres' clients wait for a lock."""
    with psycopg.connect(url, autocommit=True) as other:
        return other.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        ).fetchone()[0]


@pytest.mark.django_db(transaction=True)
def test_the_ledger_knows_of_a_change_that_was_made_while_its_task_was_read(broker):
    (task,) = submitted(broker)

    class MovesOn(Broker):
        """A broker whose tasks end after the changes were read, and before they are."""

        def read(self, ids, shard=0):
            broker.cancel([task.id])
            return super().read(ids, shard)

    Recorder(MovesOn(broker.link)).tick()

    assert stands() == {task.id: ("cancelled", 1, 2)}
    assert Ledger.objects.get().last_change == {"0": broker.last_change()}
