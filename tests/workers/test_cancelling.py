"""A task that still lies in the outbox is cancelled: it ends so, and never runs."""

import threading

import pytest
from django.db import connections, transaction

from tasks_app import actions, cancelling, outbox
from tasks_app.broker.answers import Settlement
from tasks_app.exceptions import WrongState
from tasks_app.message import Attempt, now_us
from tasks_app.models import Outbox, Quarantine, TaskRecord
from tasks_app.workflows import chain, group
from tests.sample.tasks import echo
from workers_app.coordinator.services.recorder import Recorder
from workers_app.coordinator.services.sweeper import Sweeper

from ..conftest import PATIENCE_SECONDS, wait_until
from ..lua.world import task
from ..postgres import on_both_databases
from ..tasks.executing import EXECUTOR, WORKER, Hands
from .committing import ENQUEUE, enqueues_into, programs

START = """
from tasks_app import actions
from tasks_app.broker import Broker
from tasks_app.exceptions import WrongState
outbox.TURN_US = sweeper.TURN_US = 200_000
"""
CANCEL = """
try:
    print(actions.cancel("{}", by="ben").value, flush=True)
except WrongState:
    print("refused", flush=True)
"""
AN_HOUR_US = 3_600_000_000


@pytest.fixture(autouse=True)
def _alias(database, settings):
    settings.TASKS = enqueues_into(database)


@pytest.fixture
def run(broker, database, request):
    """Starts a program on the servers of this test."""
    with programs(broker, database, request) as start:
        yield lambda text: start(START + text)


def put(database, messages, turn_us=0, **fields):
    """Rows as a dead process leaves them."""
    Outbox.objects.using(database).bulk_create(
        Outbox(
            id=m.id, definition=m.encode(), created_us=now_us(), turn_us=turn_us, **fields
        )
        for m in messages
    )  # fmt: skip


def rows(database):
    return Outbox.objects.using(database).count()


def sweep(broker, database):
    sweeper = Sweeper(broker)
    wait_until(lambda: sweeper.tick() and not rows(database), "an empty outbox")


def record_all(broker):
    while broker.stats().unrecorded:
        Recorder(broker).tick()


def run_all(broker):
    """Run whatever can be run, and record everything. Return the ids of what ran."""
    hands, ran = Hands(broker), []
    while claimed := hands.claim():
        for each in claimed:
            hands.settle(each.message.id, "completed")
            ran.append(each.message.id)
    record_all(broker)
    return ran


def assert_cancelled(broker, database, ids, why):
    """They ended so in the history, once, and never ran; and nothing is left anywhere."""
    sweep(broker, database)
    assert run_all(broker) == []
    assert broker.stats().count("submitted") == len(ids)
    for record in TaskRecord.objects.filter(id__in=ids):
        (line,) = record.stored.state.attempts
        assert (record.status, record.version, line.error) == ("cancelled", 2, why)
    assert TaskRecord.objects.filter(id__in=ids).count() == len(ids)
    assert broker.get_many(ids) == {}


@on_both_databases
def test_what_a_dead_process_has_left_is_cancelled(broker, database):
    one = task()
    put(database, [one])

    assert actions.cancel(one.id, by="ann") == "pending"

    assert rows(database) == 0
    with pytest.raises(WrongState, match="cancelled already"):
        actions.cancel(one.id, by="ben")
    assert_cancelled(broker, database, [one.id], "Cancelled by ann.")


@on_both_databases
def test_what_redis_refuses_is_cancelled_before_its_next_try(broker, database, settings):
    settings.DTPS = {**settings.DTPS, "MAX_QUEUE_DEPTH": 1}
    first, second = task(queue="full"), task(queue="full")
    broker.submit(first)
    put(database, [second])
    Sweeper(broker).tick()
    Outbox.objects.using(database).update(turn_us=now_us() + AN_HOUR_US)

    assert actions.cancel(second.id, by="ann") == "pending"
    actions.cancel(first.id, by="ann")

    assert_cancelled(broker, database, [first.id, second.id], "Cancelled by ann.")


@on_both_databases
def test_it_may_be_retried_and_runs_then(broker, database):
    one = task()
    put(database, [one])
    actions.cancel(one.id, by="ann")
    record_all(broker)

    assert actions.retry(one.id) == 2

    assert run_all(broker) == [one.id]


@on_both_databases
def test_who_was_stopped_before_his_push_pushes_nothing_any_more(
    broker, database, run, monkeypatch
):
    monkeypatch.setattr(cancelling, "PATIENCE_SECONDS", PATIENCE_SECONDS)
    stop = "outbox.TURN_US = 8_000_000\noutbox.push = before(outbox.push, STOP)\n"
    program = run(stop + ENQUEUE.format(count=1, inside=""))
    program.wait_until_stopped()
    (one,) = Outbox.objects.using(database).values_list("id", flat=True)

    assert actions.cancel(one, by="ann") == "pending"
    record_all(broker)
    assert broker.get(one) is None

    ids, code = program.go_on()
    assert (ids, code) == ([one], 0)
    assert_cancelled(broker, database, ids, "Cancelled by ann.")


@on_both_databases
def test_what_was_pushed_and_has_its_row_still_is_cancelled_in_redis(broker, database, run):
    ids, _ = run("outbox.delete = hit(KILL)\n" + ENQUEUE.format(count=2, inside="")).end()
    assert rows(database) == 2

    for task_id in ids:
        assert actions.cancel(task_id, by="ann") == "pending"

    assert_cancelled(broker, database, ids, "Cancelled by ann.")


POINTS = {
    "before the turn": "outbox.take = hit(KILL)",
    "after the turn": "outbox.recorded = hit(KILL)",
    "before it is stored": "Broker.bury = hit(KILL)",
    "after it is stored": "Broker.bury = after(Broker.bury, KILL)",
    "after the row is deleted": "outbox.delete = after(outbox.delete, KILL)",
}


@pytest.mark.parametrize("point", POINTS)
@on_both_databases
def test_who_cancels_and_is_killed_is_followed_by_another_one(broker, database, run, point):
    one = task()
    put(database, [one])
    said, code = run(POINTS[point] + "\n" + CANCEL.format(one.id)).end()
    assert (said, code) == ([], -9)

    is_done = point.startswith("after it") or point.startswith("after the row")
    if is_done:
        with pytest.raises(WrongState):
            actions.cancel(one.id, by="ann")
    else:
        assert actions.cancel(one.id, by="ann") == "pending"

    assert_cancelled(broker, database, [one.id], f"Cancelled by {'ben' if is_done else 'ann'}.")


@on_both_databases
def test_who_cancels_and_sleeps_until_all_is_over_changes_nothing(broker, database, run):
    one = task()
    put(database, [one])
    program = run(f"Broker.bury = before(Broker.bury, STOP)\n{CANCEL.format(one.id)}")
    program.wait_until_stopped()
    sweep(broker, database)
    assert run_all(broker) == [one.id]

    assert program.go_on() == (["refused"], 0)

    record = TaskRecord.objects.get(id=one.id)
    assert (record.status, broker.get(one.id)) == ("completed", None)


@on_both_databases
def test_what_the_history_has_is_left_to_it(broker, database):
    one = task()
    put(database, [one])
    Quarantine.objects.create(task_id=one.id, definition=one.encode(), reason="refused")

    with pytest.raises(WrongState, match="Only the history knows"):
        actions.cancel(one.id, by="ann")

    assert broker.get(one.id) is None


@on_both_databases
def test_in_a_transaction_it_is_refused_and_nothing_changes(broker, database):
    one = task()
    put(database, [one])

    with (
        transaction.atomic(using=database),
        pytest.raises(WrongState, match="out of a transaction"),
    ):
        actions.cancel(one.id, by="ann")

    assert (broker.get(one.id), rows(database)) == (None, 1)


@on_both_databases
def test_a_turn_that_does_not_end_is_told(broker, database, monkeypatch):
    monkeypatch.setattr(cancelling, "PATIENCE_SECONDS", 0)
    one = task()
    put(database, [one], turn_us=now_us() + AN_HOUR_US)

    with pytest.raises(WrongState, match="try again"):
        actions.cancel(one.id, by="ann")

    assert (broker.get(one.id), rows(database)) == (None, 1)


@on_both_databases
def test_a_workflow_is_cancelled_before_any_of_it_was_pushed(broker, database, monkeypatch):
    monkeypatch.setattr(outbox.Batch, "flush", lambda self: None)
    workflow = chain(group(echo.part(1), echo.part(2)), echo.part(3)).enqueue()
    ids = list(workflow.task_ids.values())
    Outbox.objects.using(database).update(turn_us=0)

    assert workflow.cancel(by="ann") == 3

    assert_cancelled(broker, database, ids, "Its workflow was cancelled by ann.")


class Racers:
    """Threads that do something again and again; what they raise is told in the test's own."""

    def __init__(self):
        self.over = threading.Event()
        self.errors = []
        self.threads = []

    def start(self, act, *args, once=False):
        def race():
            try:
                while not self.over.is_set():
                    act(*args)
                    if once:
                        return
            except Exception as error:  # noqa: BLE001  told in the test's own thread
                self.errors.append(error)
            finally:
                connections.close_all()

        self.threads.append(threading.Thread(target=race))
        self.threads[-1].start()
        return self.threads[-1]

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(PATIENCE_SECONDS)
        assert self.errors == []


@on_both_databases
def test_of_sweepers_workers_and_those_who_cancel_each_task_believes_one(broker, database):
    messages = [task() for _ in range(120)]
    put(database, messages)
    ids = [message.id for message in messages]
    ran, cancelled, refused = set(), set(), set()

    def sweep_some(term):
        sweeper = Sweeper(broker.under(term))
        sweeper._broker.must_lead = lambda: None  # both believe that they lead
        sweeper.tick()

    def work():
        broker.fleet.announce(WORKER, {}, executors=[EXECUTOR])
        exchange = broker.claim(EXECUTOR, WORKER, ["default"], 5)
        for each in exchange.claimed:
            settlement = settled(each.message.id, exchange.token)
            if not broker.finish(EXECUTOR, [settlement]):
                ran.add(each.message.id)

    def cancel(some):
        for task_id in some:
            try:
                actions.cancel(task_id, by="ann")
                cancelled.add(task_id)
            except WrongState:
                refused.add(task_id)

    racers = Racers()
    threads = [racers.start(cancel, ids[n::2], once=True) for n in range(2)]
    threads.append(racers.start(cancel, ids[::-1], once=True))
    for term in (1, 2):
        racers.start(sweep_some, term)
    racers.start(work)
    racers.start(lambda: Recorder(broker).tick())
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    racers.end()

    sweep(broker, database)
    ran |= set(run_all(broker))
    assert cancelled | refused == set(ids)
    assert cancelled & ran == set()
    statuses = dict(TaskRecord.objects.filter(id__in=ids).values_list("id", "status"))
    assert statuses == {i: "completed" if i in ran else "cancelled" for i in ids}
    assert broker.stats().count("submitted") == len(ids)


def settled(task_id, token):
    line = Attempt(worker=WORKER, outcome="completed").encode()
    return Settlement(id=task_id, token=token, outcome="completed", pause_ms=0, line=line)
