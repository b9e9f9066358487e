"""The sweeper: what was committed is delivered once, whoever is killed or stopped in between."""

import threading

import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext

from tasks_app import outbox
from tasks_app.broker.connection import Link
from tasks_app.exceptions import LostLead
from tasks_app.message import now_us
from tasks_app.models import Outbox, Quarantine, TaskRecord
from tests.sample.tasks import echo
from workers_app.coordinator.services import sweeper as module
from workers_app.coordinator.services.recorder import Recorder
from workers_app.coordinator.services.sweeper import IDLE_SECONDS, Sweeper

from ..conftest import PATIENCE_SECONDS, wait_until
from ..lua.world import task
from ..postgres import ALIAS, on_both_databases
from ..tasks.executing import Hands
from .committing import ENQUEUE, SWEEP, enqueues_into, programs
from .processes import processes

SHORT = "outbox.TURN_US = sweeper.TURN_US = 200_000\n"


@pytest.fixture(autouse=True)
def _alias(database, settings):
    settings.TASKS = enqueues_into(database)


@pytest.fixture
def run(broker, database, request):
    """Starts a program on the servers of this test."""
    with programs(broker, database, request) as run:
        yield run


def enqueued(count, setup="", inside="pass"):
    return SHORT + setup + ENQUEUE.format(count=count, inside=inside)


def put(database, messages, turn_us=0, **fields):
    """Rows whose turn is over, as a dead process leaves them."""
    Outbox.objects.using(database).bulk_create(
        Outbox(
            id=m.id, definition=m.encode(), created_us=now_us(), turn_us=turn_us, **fields
        )
        for m in messages
    )  # fmt: skip


def submitted(broker):
    return broker.stats().count("submitted")


def rows(database):
    return Outbox.objects.using(database).count()


def sweep(broker, database):
    """Sweep until the outbox is empty, which waits for the turns of others."""
    sweeper = Sweeper(broker)
    wait_until(lambda: sweeper.tick() and not rows(database), "an empty outbox")


def run_all(broker):
    """Run and record everything, so that Redis forgets it."""
    hands = Hands(broker)
    while claimed := hands.claim():
        for each in claimed:
            hands.settle(each.message.id, "completed")
    while broker.stats().unrecorded:
        Recorder(broker).tick()


def assert_delivered_once(broker, database, ids):
    assert submitted(broker) == len(ids)
    assert rows(database) == 0
    run_all(broker)
    done = TaskRecord.objects.filter(id__in=ids, status="completed", failures=0, version=3)
    assert done.count() == len(ids)
    assert broker.get_many(ids) == {}


@on_both_databases
def test_who_is_killed_before_the_commit_has_enqueued_nothing(broker, database, run):
    ids, code = run(enqueued(3, inside="os.kill(os.getpid(), KILL)")).end()

    assert (len(ids), code) == (3, -9)
    assert (submitted(broker), rows(database)) == (0, 0)


@pytest.mark.parametrize("count", [1, 3])
@on_both_databases
def test_who_is_killed_between_commit_and_push_is_stood_in_for(broker, database, run, count):
    ids, code = run(enqueued(count, "outbox.Batch.flush = hit(KILL)\n")).end()
    assert (len(ids), code) == (count, -9)
    assert (submitted(broker), rows(database)) == (0, count)

    sweep(broker, database)

    assert_delivered_once(broker, database, ids)


@pytest.mark.parametrize("has_run", [False, True])
@on_both_databases
def test_who_is_killed_between_push_and_deletion_has_nothing_run_twice(
    broker, database, run, has_run
):
    ids, code = run(enqueued(3, "outbox.delete = hit(KILL)\n")).end()
    assert (submitted(broker), rows(database), code) == (3, 3, -9)
    if has_run:
        run_all(broker)
        assert broker.get_many(ids) == {}

    sweep(broker, database)

    assert_delivered_once(broker, database, ids)


@pytest.mark.parametrize("count", [1, 3])
@on_both_databases
def test_who_was_stopped_before_the_push_and_wakes_up_when_all_is_over_pushes_nothing(
    broker, database, run, count
):
    program = run(enqueued(count, "outbox.push = before(outbox.push, STOP)\n"))
    program.wait_until_stopped()
    sweep(broker, database)
    assert submitted(broker) == count
    run_all(broker)

    ids, code = program.go_on()

    assert code == 0
    assert_delivered_once(broker, database, ids)


POINTS = {
    "before it takes any": "Sweeper._take = hit(KILL)",
    "before it looks": "Sweeper._known = hit(KILL)",
    "before the push": "outbox.push = hit(KILL)",
    "after the push": "outbox.push = after(outbox.push, KILL)",
    "before the deletion": "outbox.delete = hit(KILL)",
    "after the deletion": "outbox.delete = after(outbox.delete, KILL)",
}


@pytest.mark.parametrize("point", POINTS)
@on_both_databases
def test_a_sweeper_that_is_killed_is_followed_by_another_one(broker, database, run, point):
    messages = [task() for _ in range(3)]
    put(database, messages)
    _, code = run(f"{SHORT}{POINTS[point]}\n{SWEEP}").end()
    assert code == -9
    run_all(broker)

    sweep(broker, database)

    assert_delivered_once(broker, database, [m.id for m in messages])


@on_both_databases
def test_a_sweeper_that_slept_until_all_was_over_pushes_nothing(broker, database, run):
    messages = [task() for _ in range(3)]
    put(database, messages)
    program = run(f"{SHORT}outbox.push = before(outbox.push, STOP)\n{SWEEP}")
    program.wait_until_stopped()
    sweep(broker, database)
    run_all(broker)

    assert program.go_on() == ([], 0)

    assert_delivered_once(broker, database, [m.id for m in messages])


@on_both_databases
def test_a_row_in_somebody_s_turn_is_left_alone(broker, database):
    put(database, [task()], turn_us=now_us() + 3_600_000_000)

    assert 0 < Sweeper(broker).tick() <= IDLE_SECONDS
    assert (submitted(broker), rows(database)) == (0, 1)


@on_both_databases
def test_an_empty_outbox_costs_one_query_and_no_call(broker, database, monkeypatch):
    monkeypatch.setattr(Link, "call", None)
    with CaptureQueriesContext(connections[database]) as asked:
        assert Sweeper(broker).tick() == IDLE_SECONDS

    assert len(asked) == 1
    assert "LIMIT 1" in asked[0]["sql"]


@on_both_databases
def test_sweepers_that_race_deliver_each_task_once(broker, database):
    messages = [task() for _ in range(2000)]
    put(database, messages)
    errors = []

    def race(term):
        try:
            sweeper = Sweeper(broker.under(term))
            sweeper._broker.must_lead = lambda: None  # both believe that they lead
            while rows(database):
                sweeper.tick()
        except Exception as error:  # noqa: BLE001  told in the test's own thread
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=race, args=(term,)) for term in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)

    assert errors == []
    assert_delivered_once(broker, database, [m.id for m in messages])


@on_both_databases
def test_a_leader_that_was_followed_pushes_nothing(broker, database):
    put(database, [task()])
    broker.under(2).set_epoch(1)  # by which its term is seen

    with pytest.raises(LostLead):
        Sweeper(broker.under(1)).tick()
    assert (submitted(broker), rows(database)) == (0, 1)


@on_both_databases
def test_what_redis_refuses_waits_and_stops_nothing_else(broker, database, settings):
    settings.DTPS = {**settings.DTPS, "MAX_QUEUE_DEPTH": 1}
    full = [task(queue="full") for _ in range(3)]
    fine = [task(queue=f"q{n}") for n in range(5)]
    put(database, [*full[:2], *fine, full[2]])
    newer = task()
    Outbox.objects.using(database).create(
        id=newer.id, definition=b"9|default|0|0\n{}", created_us=now_us(), turn_us=0
    )

    Sweeper(broker).tick()

    assert submitted(broker) == 6
    left = {row.id: row for row in Outbox.objects.using(database).all()}
    assert len(left) == 3
    assert left[newer.id].reason.startswith("unreadable: not a task definition of format 1")
    assert sorted(row.tries for row in left.values()) == [1, 1, 1]
    assert sum("Queue full holds all" in row.reason for row in left.values()) == 2
    assert all(row.turn_us > now_us() for row in left.values())

    settings.DTPS = {**settings.DTPS, "MAX_QUEUE_DEPTH": 0}
    Outbox.objects.using(database).update(turn_us=0)
    Sweeper(broker).tick()
    assert submitted(broker) == 8
    assert list(Outbox.objects.using(database).values_list("id", "tries")) == [(newer.id, 2)]


@on_both_databases
def test_what_the_database_has_in_quarantine_is_over(broker, database):
    one = task()
    put(database, [one])
    Quarantine.objects.create(task_id=one.id, definition=b"", reason="refused")

    Sweeper(broker).tick()

    assert (submitted(broker), rows(database)) == (0, 0)


@on_both_databases
def test_big_tasks_are_swept_in_slices(broker, database, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 10_000)
    put(database, [task(args=["x" * 6000]) for _ in range(3)])
    sweeper, left = Sweeper(broker), []

    while rows(database):
        assert sweeper.tick() == 0
        left.append(rows(database))

    assert left == [2, 1, 0]


@on_both_databases
def test_an_outbox_that_cannot_be_read_does_not_keep_another_one_from_being_swept(
    broker, database, settings, caplog
):
    broken = "default" if database == ALIAS else ALIAS
    ours = settings.TASKS["default"]
    other = {**ours, "OPTIONS": {"DATABASE": broken}}
    settings.TASKS = {"other": other, "default": ours}
    put(database, [task()])
    with connections[broken].cursor() as cursor:
        cursor.execute("ALTER TABLE tasks_app_outbox RENAME TO elsewhere")
    try:
        Sweeper(broker).tick()
    finally:
        with connections[broken].cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO tasks_app_outbox")

    assert (submitted(broker), rows(database)) == (1, 0)
    assert f"event=outbox_not_swept database={broken}" in caplog.text


@on_both_databases
def test_a_coordinator_sweeps_what_a_killed_process_left(broker, database, run, tmp_path, postgres):
    ids, _ = run(enqueued(2, "outbox.Batch.flush = hit(KILL)\n")).end()
    name = str(connections["default"].settings_dict["NAME"])
    env = {"DATABASE_URL": postgres} if database == ALIAS else {"TEST_DATABASE_NAME": name}

    with processes(broker.link.url, tmp_path) as start:
        coordinator = start("runcoordinator", env=env)
        coordinator.wait_for("event=outbox_swept tasks=2 how=pushed")
        assert coordinator.stop() == 0

    assert_delivered_once(broker, database, ids)


@on_both_databases
def test_a_clock_that_is_behind_makes_nobody_s_push_late(broker, database, monkeypatch):
    monkeypatch.setattr(outbox, "now_us", lambda: now_us() - 3_600_000_000)
    with transaction.atomic(using=database):
        result = echo.enqueue()

    assert broker.get(result.id)
    assert rows(database) == 0
