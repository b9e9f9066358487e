"""The reconciler: a Redis that was wiped or rolled back gets back what the database knows."""

import shutil
import threading

import pytest
from django.db import OperationalError

from tasks_app.broker import Broker, keys
from tasks_app.broker.connection import GuardedLink
from tasks_app.exceptions import QueueUnavailable
from tasks_app.message import now_us
from tasks_app.models import Ledger, TaskRecord
from workers_app.coordinator import history
from workers_app.coordinator.ledger import Mark
from workers_app.coordinator.rows import row_of
from workers_app.coordinator.services import reconciler as module
from workers_app.coordinator.services.reconciler import AGAIN_SECONDS, LOOK_SECONDS, Reconciler
from workers_app.coordinator.services.recorder import POLL_SECONDS, Recorder

from ..conftest import PATIENCE_SECONDS, wait_until
from ..lua.world import (
    EditedLink,
    audit,
    claim,
    executor_of,
    held,
    ids_of,
    outcome,
    states,
    submitted,
)
from ..postgres import on_both_databases
from ..redis_server import RedisServer

HOUR_US = 3_600_000_000
FINALS = ("completed", "failed", "cancelled", "expired")


class World:
    """A server that a test may wipe, stop and take back to how it was."""

    def __init__(self):
        # Always, so that a copy has all that was answered.
        self.server = RedisServer(None, "--appendfsync", "always")
        self.server.start()
        self.broker = Broker(EditedLink(self.server.url))
        self.guarded = Broker(GuardedLink(self.server.url, timeout=PATIENCE_SECONDS))
        self.reconciler = Reconciler(self.broker)

    def record(self):
        """Write down all that has happened so far."""
        while self.broker.stats().unrecorded:
            Recorder(self.broker).tick()

    def stop(self):
        self.server.kill()
        self.broker.link.close()
        self.guarded.link.close()

    def restart(self):
        self.stop()
        self.server.start()

    def wipe_directory(self):
        self.stop()
        shutil.rmtree(self.data)
        self.server.start()

    def copy(self):
        """Keep what the server has at this moment."""
        self.restart_around(lambda: shutil.copytree(self.data, self.kept))

    def roll_back(self):
        """Let the server have what was kept."""

        def put_back():
            shutil.rmtree(self.data)
            shutil.copytree(self.kept, self.data)

        self.restart_around(put_back)

    def restart_around(self, work):
        self.stop()
        work()
        self.server.start()

    @property
    def data(self):
        return self.server.directory / "appendonlydir"

    @property
    def kept(self):
        return self.server.directory / "kept"

    def is_open(self):
        """Whether somebody who comes anew is let in."""
        self.guarded.link.close()
        try:
            self.guarded.stats()
        except QueueUnavailable as error:
            assert "has restarted" in str(error)
            return False
        return True

    def close(self):
        self.broker.link.close()
        self.guarded.link.close()
        self.server.close()


@pytest.fixture
def world():
    world = World()
    yield world
    world.close()


def in_every_status(broker):
    """One recorded task in each status: status -> task."""
    tasks = {}
    (tasks["scheduled"],) = submitted(broker, run_after_us=now_us() + HOUR_US)
    for status in ("completed", "failed", "retrying"):
        tasks[status], token = held(broker)
        how = {"retrying": ("retry", HOUR_US // 1000)}.get(status, (status, 0))
        settlement = outcome(tasks[status].id, token, *how, error=status, result=7)
        assert broker.finish("w1:0:x", [settlement]) == []
    (tasks["cancelled"],) = submitted(broker)
    broker.cancel([tasks["cancelled"].id])
    (tasks["expired"],) = submitted(broker, expires_us=now_us() + 1000)
    wait_until(lambda: broker.promote() and states(broker)[tasks["expired"].id].is_final)
    tasks["processing"], _ = held(broker, started=True)
    tasks["assigned"], _ = held(broker)
    (tasks["pending"],) = submitted(broker)
    return tasks


def stand(broker, tasks):
    """How Redis has the tasks: status -> how it stands now."""
    known = states(broker)
    return {s: known[t.id].status.value for s, t in tasks.items() if t.id in known}


def run_all(broker):
    """Do all that can be done. Return what was done, by id."""
    executor = executor_of(broker, "w9")
    exchange = claim(broker, executor, limit=1000)
    broker.finish(executor, [outcome(i, exchange.token, worker="w9") for i in ids_of(exchange)])
    return set(ids_of(exchange))


def book():
    return Ledger.objects.get()


RESTORED = {
    "scheduled": "scheduled", "retrying": "scheduled", "processing": "pending",
    "assigned": "pending", "pending": "pending",
}  # fmt: skip


@on_both_databases
def test_a_fresh_system_begins_with_the_first_epoch_and_an_open_gate(world):
    assert world.is_open()  # nobody has closed it

    assert world.reconciler.tick() == LOOK_SECONDS

    assert (world.broker.epoch(), book().epoch) == (1, 1)
    assert world.broker.gate() == book().run_id == world.broker.run_id()
    assert world.is_open()


@pytest.mark.parametrize("loss", ["flushall", "directory"])
@on_both_databases
def test_a_wiped_redis_gets_the_open_tasks_back_and_no_final_one(world, loss):
    world.reconciler.tick()
    tasks = in_every_status(world.broker)
    world.record()
    if loss == "flushall":
        world.broker.link.call("FLUSHALL")
    else:
        world.wipe_directory()
    (new,) = submitted(world.broker)  # before anybody has noticed

    wait_until(lambda: world.reconciler.tick() == LOOK_SECONDS)

    found = stand(world.broker, tasks)
    assert found == RESTORED | {"retrying": found["retrying"]}
    assert found["retrying"] in ("retrying", "scheduled")
    known = states(world.broker)
    assert known[new.id].version == 1
    assert {known[t.id].epoch for s, t in tasks.items() if s in found} == {2}
    assert known[tasks["processing"].id].attempts[-1].error == "Redis had lost it: restored."
    assert (world.broker.epoch(), book().epoch, book().restored) == (2, 2, len(found))
    assert world.is_open()
    audit(world.broker)

    ran = {tasks[s].id for s in ("processing", "assigned", "pending")} | {new.id}
    assert run_all(world.broker) == ran
    world.record()
    rows = {row.id: row for row in TaskRecord.objects.all()}
    assert {rows[task_id].status for task_id in ran} == {"completed"}
    assert {s: rows[tasks[s].id].status for s in FINALS} == {s: s for s in FINALS}
    assert rows[tasks["pending"].id].epoch == 2


@on_both_databases
def test_a_redis_that_was_rolled_back_drops_what_is_over_and_opens_what_went_on(world):
    world.reconciler.tick()
    done, gone_on, same = submitted(world.broker, 3)
    world.record()
    world.copy()
    wait_until(lambda: world.reconciler.tick() == LOOK_SECONDS)
    executor = executor_of(world.broker)
    token = claim(world.broker, executor, limit=2).token
    settled = [outcome(done.id, token, result="first"), outcome(gone_on.id, token, "retry", 1)]
    world.broker.finish(executor, settled)
    (later,) = submitted(world.broker)
    world.record()
    assert not world.broker.read([done.id])

    world.roll_back()
    (new,) = submitted(world.broker)  # whose change is later than any that the database knows
    assert set(world.broker.read([done.id, later.id])) == {done.id}
    assert not world.is_open()
    wait_until(lambda: world.reconciler.tick() == LOOK_SECONDS)

    known = states(world.broker)
    assert done.id not in known
    assert {known[t.id].epoch for t in (gone_on, later)} == {2}
    assert known[gone_on.id].failures == 1
    assert (known[same.id].epoch, known[new.id].version) == (1, 1)
    assert (book().dropped, book().restored) == (1, 2)
    assert world.is_open()
    audit(world.broker)

    wait_until(lambda: world.broker.promote() and world.broker.stats().ready == 4)
    assert run_all(world.broker) == {gone_on.id, later.id, same.id, new.id}
    world.record()
    assert set(TaskRecord.objects.values_list("status", flat=True)) == {"completed"}
    assert TaskRecord.objects.get(id=done.id).stored.state.attempts[-1].result == "first"
    assert TaskRecord.objects.get(id=gone_on.id).epoch == 2


@pytest.mark.django_db(transaction=True)
def test_a_rollback_takes_back_what_executors_held_and_their_late_reports_are_stale(world):
    world.reconciler.tick()
    reported, token = held(world.broker)
    world.copy()
    wait_until(lambda: world.reconciler.tick() == LOOK_SECONDS)
    executor_of(world.broker)
    world.broker.finish("w1:0:x", [outcome(reported.id, token)])
    (other,) = submitted(world.broker)
    record_only(world.broker, other)  # the coordinator dies before it has come to the first one

    world.roll_back()
    wait_until(lambda: world.reconciler.tick() == LOOK_SECONDS)

    assert states(world.broker)[reported.id].status == "pending"
    assert world.broker.finish("w1:0:x", [outcome(reported.id, token)]) == [reported.id]
    audit(world.broker)


def record_only(broker, task):
    """What a recorder does before it dies: one task is committed, and nothing acknowledged."""
    row = row_of(task.id, *broker.read([task.id])[task.id])
    assert history.write([row], Mark(0, broker.last_change())) == []


@on_both_databases
def test_a_restart_without_a_loss_only_opens_the_gate_again(world):
    world.reconciler.tick()
    tasks = in_every_status(world.broker)
    world.record()
    before = states(world.broker)

    world.restart()
    assert not world.is_open()
    wait_until(lambda: world.reconciler.tick() == LOOK_SECONDS)

    assert world.is_open()
    assert states(world.broker) == before
    assert (world.broker.epoch(), book().epoch) == (1, 1)
    assert (book().restored, book().dropped) == (0, 0)
    assert set(stand(world.broker, tasks)) == set(tasks) - set(FINALS)


@pytest.mark.django_db(transaction=True)
def test_a_crash_between_the_commit_and_the_acknowledge_is_no_rollback(world):
    world.reconciler.tick()
    (task,) = submitted(world.broker)
    record_only(world.broker, task)
    assert book().last_change == {"0": world.broker.last_change()}

    world.restart()
    wait_until(lambda: world.reconciler.tick() == LOOK_SECONDS)

    assert book().epoch == 1


@pytest.mark.django_db(transaction=True)
def test_a_server_that_does_not_answer_is_neither_wiped_nor_rolled_back(world, caplog):
    world.reconciler.tick()
    (task,) = submitted(world.broker)
    world.record()
    world.stop()

    assert [world.reconciler.tick() for _ in range(3)] == [AGAIN_SECONDS] * 3
    assert caplog.text.count("event=gate_waits waits_for=redis") == 1

    world.server.start()
    wait_until(lambda: world.reconciler.tick() == LOOK_SECONDS)
    assert book().epoch == 1
    assert states(world.broker)[task.id].epoch == 1


@pytest.mark.parametrize("after", range(4))
@pytest.mark.django_db(transaction=True)
def test_a_reconciler_that_dies_in_the_middle_is_followed_by_one_that_begins_anew(
    world, after, monkeypatch
):
    monkeypatch.setattr(module, "PAGE", 2)
    world.reconciler.tick()
    tasks = submitted(world.broker, 5)
    ended = submitted(world.broker, 2)
    world.broker.cancel([task.id for task in ended])
    world.record()
    world.broker.link.call("FLUSHALL")
    dying = Reconciler(DiesAfter(world.broker, after))
    with pytest.raises(ZeroDivisionError):
        dying.tick()
    assert not world.is_open()
    run_all(world.broker)
    Recorder(world.broker).tick()

    wait_until(lambda: Reconciler(world.broker).tick() == LOOK_SECONDS)
    run_all(world.broker)
    world.record()

    rows = {row.id: (row.status, row.starts) for row in recorded()}
    assert {rows[task.id] for task in tasks} == {("completed", 1)}
    assert {rows[task.id][0] for task in ended} == {"cancelled"}
    assert world.is_open()


class DiesAfter(Broker):
    """A broker whose user dies after some calls that restore, or before the new epoch."""

    def __init__(self, broker, calls):
        super().__init__(broker.link)
        self.calls = calls

    def reconcile(self, *words):
        if self.calls == 0:
            raise ZeroDivisionError
        self.calls -= 1
        return super().reconcile(*words)

    def set_epoch(self, epoch):
        raise ZeroDivisionError


def recorded():
    for row in TaskRecord.objects.all():
        row.starts = row.stored.state.starts
        yield row


@pytest.mark.django_db(transaction=True)
def test_a_server_that_is_wiped_again_meanwhile_is_restored_again(world):
    world.reconciler.tick()
    tasks = submitted(world.broker, 3)
    world.record()
    world.broker.link.call("FLUSHALL")

    class WipedMeanwhile(Broker):
        def reconcile(self, *words):
            done = super().reconcile(*words)
            self.link.call("FLUSHALL")
            return done

    assert Reconciler(WipedMeanwhile(world.broker.link)).tick() == AGAIN_SECONDS
    assert not world.broker.epoch()
    wait_until(lambda: world.reconciler.tick() == LOOK_SECONDS)

    assert set(states(world.broker)) == {task.id for task in tasks}


@pytest.mark.django_db(transaction=True)
def test_nothing_is_recorded_while_the_reconciler_is_at_work(world):
    turn = threading.Lock()
    recorder = Recorder(world.broker, turn)
    (task,) = submitted(world.broker)

    with turn:
        assert recorder.tick() == POLL_SECONDS
        assert not TaskRecord.objects.exists()

    recorder.tick()
    assert TaskRecord.objects.get().id == task.id


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_keeps_the_gate_closed_after_a_restart_only(
    world, monkeypatch, caplog
):
    reconciler = world.reconciler
    reconciler.tick()

    def away(*words, **more):
        raise OperationalError("away")

    with monkeypatch.context() as patch:
        patch.setattr("workers_app.coordinator.ledger.read", away)
        assert reconciler.tick() == LOOK_SECONDS  # which it need not ask
        assert world.is_open()

        world.restart()
        wait_until(lambda: reconciler.tick() == AGAIN_SECONDS and "database" in caplog.text)
        assert not world.is_open()
        assert caplog.text.count("waits_for=database") == 1

    wait_until(lambda: reconciler.tick() == LOOK_SECONDS)
    assert world.is_open()


@pytest.mark.django_db(transaction=True)
def test_an_old_redis_without_a_ledger_is_believed(world):
    (task,) = submitted(world.broker)
    world.broker.set_epoch(7)

    world.reconciler.tick()

    assert (world.broker.epoch(), book().epoch) == (7, 7)
    assert states(world.broker)[task.id].epoch == 1


@pytest.mark.django_db(transaction=True)
def test_every_shard_is_restored(world, settings):
    settings.DTPS = {**settings.DTPS, "SHARDS": {"far": 3}}
    world.reconciler.tick()
    tasks = [*submitted(world.broker, 2), *submitted(world.broker, 2, queue="far")]
    world.record()
    world.broker.link.call("FLUSHALL")

    wait_until(lambda: world.reconciler.tick() == LOOK_SECONDS)

    known = world.broker.get_many([task.id for task in tasks])
    assert {stored.state.epoch for stored in known.values()} == {2}
    assert len(known) == len(tasks)
    assert (world.broker.epoch(3), world.broker.gate(3)) == (2, world.broker.run_id())


@pytest.mark.django_db(transaction=True)
def test_a_shard_that_is_new_has_lost_nothing(world, settings):
    world.reconciler.tick()
    submitted(world.broker)
    world.record()
    settings.DTPS = {**settings.DTPS, "SHARDS": {"far": 3}}

    assert Reconciler(world.broker).tick() == LOOK_SECONDS

    assert (world.broker.epoch(3), book().epoch) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_a_leader_that_was_followed_restores_nothing(world):
    world.reconciler.tick()
    submitted(world.broker, 3)
    world.record()
    world.broker.link.call("FLUSHALL")
    world.broker.link.call("SET", keys.key(0, "term"), 5)
    old = Reconciler(world.broker.under(4))

    old.attempt()

    assert old.has_lost_lead and old.stopping.is_set()
    assert states(world.broker) == {}
    assert (world.broker.epoch(), world.broker.gate()) == (0, "")


@pytest.mark.django_db(transaction=True)
def test_a_row_that_cannot_be_read_keeps_no_other_task_back(world, caplog):
    world.reconciler.tick()
    tasks = submitted(world.broker, 20)
    world.record()
    broken = tasks[7].id
    TaskRecord.objects.filter(id=broken).update(definition=b"1|default|none|0\n{}")
    world.broker.link.call("FLUSHALL")

    wait_until(lambda: world.reconciler.tick() == LOOK_SECONDS)

    assert set(states(world.broker)) == {task.id for task in tasks} - {broken}
    assert f"event=not_restored task={broken!r}" in caplog.text
    assert world.is_open()
