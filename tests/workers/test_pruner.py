"""The pruner: what has ended leaves the history in time, and nothing else does."""

import random
import uuid

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, router
from django.test.utils import CaptureQueriesContext

from tasks_app import outbox
from tasks_app.api.pagination import floor
from tasks_app.conf import Conf
from tasks_app.exceptions import LostLead
from tasks_app.message import Attempt, TaskMessage, moment
from tasks_app.models import (
    Dependency,
    Firing,
    Member,
    Operation,
    Quarantine,
    Schedule,
    TaskRecord,
    TaskRemarks,
    WorkerRecord,
    WorkflowRecord,
)
from tasks_app.retention import walk
from tasks_app.retention.erase import LIVE, OPEN, OUTBOX, PARENT, erase
from tasks_app.retention.estimate import bound, estimate
from tasks_app.retention.rules import DAY, Rules
from tasks_app.states import OPEN as OPEN_STATUSES
from tasks_app.states import Status
from workers_app.coordinator import history
from workers_app.coordinator.rows import row_of
from workers_app.coordinator.services.pruner import (
    BEHIND,
    LEAST_ROWS,
    MOST_ROWS,
    Pruner,
    size_after,
)
from workers_app.coordinator.services.recorder import Recorder

from ..lua.world import submitted
from ..postgres import on_both_databases
from .clock import Clock

NOON_US = 1_790_000_000_000_000
DAY_US = 86_400_000_000


@pytest.fixture
def clock():
    return Clock(NOON_US)


def id_at(us):
    """A UUIDv7 of a moment."""
    return floor(us // 1000)[:24] + uuid.uuid4().hex[:12]


def recorded(
    *, days_ago=0.0, submitted_days_ago=None, status="completed", task_id="", size=0, **fields
):
    """A task in the history that ended so long before noon; return its id."""
    ended_us = NOON_US - int(days_ago * DAY_US)
    began_us = NOON_US - int((submitted_days_ago or days_ago) * DAY_US)
    task_id = task_id or id_at(began_us)
    message = TaskMessage(
        **{"id": task_id, "type": "test", "submitted_us": began_us, "args": ["x" * size]} | fields
    )
    attempt = Attempt(number=1, started_us=began_us, ended_us=ended_us, outcome=status)
    lines = attempt.encode() + b"\n"
    header = f"{status}|1|1|3|1|0|0||{ended_us // 1000}\n".encode()
    assert history.write([row_of(task_id, message.encode(), header + lines)]) == []
    return task_id


def left():
    return set(TaskRecord.objects.values_list("id", flat=True))


def prune(broker, clock):
    """Prune until there is no more to do; return the pruner."""
    pruner = Pruner(broker, clock)
    while pruner.tick() < 5:
        pass
    return pruner


@on_both_databases
def test_what_has_ended_goes_when_its_time_is_over(broker, clock, options):
    options(
        RETENTION={"completed": "7d", "cancelled": None, "types": {"slow": {"completed": "20d"}}}
    )
    gone = {
        recorded(days_ago=8),
        recorded(days_ago=91, status="failed"),
        recorded(days_ago=91, status="expired"),
        recorded(days_ago=91, status="failed", type="slow"),
        recorded(days_ago=21, type="slow"),
    }
    stay = {
        recorded(days_ago=6.9),
        recorded(days_ago=89, status="failed"),
        recorded(days_ago=4000, status="cancelled"),
        recorded(days_ago=19, type="slow"),
        recorded(days_ago=1, submitted_days_ago=400),
    }

    prune(broker, clock)

    assert left() == stay
    assert gone.isdisjoint(stay)


@on_both_databases
def test_by_default_completed_tasks_stay_for_thirty_days_and_others_for_ninety(broker, clock):
    recorded(days_ago=31)
    recorded(days_ago=91, status="failed")
    stay = {recorded(days_ago=29), recorded(days_ago=89, status="failed")}

    prune(broker, clock)

    assert left() == stay


@on_both_databases
def test_open_tasks_stay_however_old_they_are(broker, clock):
    stay = {recorded(days_ago=5000, status=status.value) for status in OPEN_STATUSES}

    prune(broker, clock)

    assert left() == stay


@on_both_databases
def test_ids_that_callers_have_chosen_are_found_too(broker, clock):
    for task_id in ("zebra", "Apple", "-", "_x", "00", "order-17"):
        recorded(days_ago=31, task_id=task_id)
    stay = {recorded(days_ago=29, task_id=task_id) for task_id in ("zoo", "Ape", "0", "order-18")}

    prune(broker, clock)

    assert left() == stay


@on_both_databases
def test_what_a_task_has_said_of_itself_goes_with_it(broker, clock):
    old, new = recorded(days_ago=31), recorded(days_ago=1)
    for task_id in (old, new):
        TaskRemarks.objects.create(id=task_id, at_ms=1, text=b"1|0|0|t\n\n\n")

    prune(broker, clock)

    assert list(TaskRemarks.objects.values_list("id", flat=True)) == [new]


@on_both_databases
def test_what_the_outbox_has_still_stays(broker, clock):
    stays, goes = recorded(days_ago=31), recorded(days_ago=31)
    message = TaskRecord.objects.get(id=stays).stored.message
    outbox.rows(router.db_for_write(TaskRecord)).create(
        id=stays, definition=message.encode(), created_us=1, turn_us=1
    )

    assert erase([stays, goes], broker).kept == {stays: OUTBOX}
    prune(broker, clock)

    assert left() == {stays}


@on_both_databases
def test_what_redis_has_still_stays(broker, clock):
    (one,) = submitted(broker)
    broker.cancel([one.id])
    definition, state = broker.read([one.id])[one.id]
    history.write([row_of(one.id, definition, state)])

    assert erase([one.id], broker).kept == {one.id: LIVE}
    clock.us = one.submitted_us + 91 * DAY_US
    prune(broker, clock)
    assert left() == {one.id}

    Recorder(broker).tick()
    prune(broker, clock)
    assert left() == set()


@on_both_databases
def test_one_that_was_opened_again_meanwhile_stays(broker):
    one = recorded(days_ago=31)
    TaskRecord.objects.filter(id=one).update(status="pending", version=9)

    assert erase([one, "unknown"], broker).kept == {one: OPEN, "unknown": OPEN}

    assert left() == {one}


@on_both_databases
def test_one_that_has_ended_anew_meanwhile_stays(broker):
    one = recorded(days_ago=31)

    assert erase([one], broker, ended={one: 17}).kept == {one: OPEN}

    assert left() == {one}


@on_both_databases
def test_a_leader_that_was_followed_erases_nothing(broker, clock):
    one = recorded(days_ago=31)
    broker.link.call("SET", "dtps:{s0}:term", 8)
    pruner = Pruner(broker.under(7), clock)

    with pytest.raises(LostLead):
        erase([one], broker.under(7))

    with pytest.raises(LostLead):
        while pruner.tick() < 5:
            pass

    assert left() == {one}


@on_both_databases
def test_the_small_tables_are_pruned_too(broker, clock):
    schedule = Schedule.objects.create(name="s", type="test", every=60, last_us=NOON_US)
    for days in (91, 1):
        at_us = NOON_US - days * DAY_US
        row = Quarantine.objects.create(task_id="x", definition=b"", reason=str(days))
        Quarantine.objects.filter(id=row.id).update(created_at=moment(at_us))
        Firing.objects.create(schedule=schedule, slot_us=at_us, fired_us=at_us)
        Operation.objects.create(action="retry", created_us=at_us, ended_us=at_us)
        WorkerRecord.objects.create(
            id=str(days), hostname="h", status="stopped", started_at=moment(at_us),
            last_seen_at=moment(at_us), stopped_at=moment(at_us),
        )  # fmt: skip
    Operation.objects.create(action="retry", created_us=1)  # has not ended

    prune(broker, clock)

    assert Quarantine.objects.values_list("reason", flat=True).get() == "1"
    assert Firing.objects.get().fired_us == NOON_US - DAY_US
    assert Operation.objects.count() == 2
    assert WorkerRecord.objects.get().id == "1"


@on_both_databases
def test_a_day_later_goes_what_was_too_young(broker, clock):
    recorded(days_ago=29.5)
    pruner = prune(broker, clock)
    assert len(left()) == 1

    clock.us += DAY_US
    while pruner.tick() < 5:
        pass

    assert left() == set()


@on_both_databases
def test_the_history_never_outgrows_its_bound(broker, clock, options):
    """A year of tasks, a week at a step: what is there is bounded by the rules and the bound."""
    options(RETENTION={"completed": "14d", "failed": "28d"}, MAX_RECORDS=150)
    stays = recorded(days_ago=0, status="pending")
    pruner, chance, most = Pruner(broker, clock), random.Random(7), 0
    start_us = clock.us
    for week in range(52):
        clock.us = start_us + week * 7 * DAY_US
        for _ in range(chance.randrange(40, 120)):
            ago = chance.random() * 7 - (clock.us - NOON_US) / DAY_US
            recorded(days_ago=ago, status=chance.choice(["completed"] * 9 + ["failed"]))
        while pruner.tick() < 5:
            pass
        most = max(most, TaskRecord.objects.count())
        ended = TaskRecord.objects.filter(finished_us__gt=0)
        assert not ended.filter(status="completed", finished_us__lt=clock.us - 14 * DAY_US).exists()
        assert not ended.filter(finished_us__lt=clock.us - 28 * DAY_US).exists()

    assert 100 < most <= 150
    assert stays in left()


@on_both_databases
def test_the_oldest_go_first_when_there_are_too_many(broker, clock, options):
    ids = [recorded(days_ago=days, status=status)
           for days in (9, 8, 7, 6, 5) for status in ("completed", "failed")]  # fmt: skip
    recorded(days_ago=20, status="processing")
    options(MAX_RECORDS=5)
    assert bound().over == 6

    prune(broker, clock)

    assert left() >= set(ids[6:])
    assert TaskRecord.objects.count() == 5


@on_both_databases
def test_a_bound_that_cannot_be_kept_does_not_keep_the_pruner_busy(broker, clock, options):
    for _ in range(3):
        recorded(days_ago=1, status="pending")
    options(MAX_RECORDS=1)

    prune(broker, clock)

    assert TaskRecord.objects.count() == 3


@on_both_databases
def test_an_estimate_tells_what_would_go(broker, clock, options):
    options(RETENTION={"completed": "7d", "cancelled": None, "types": {"slow": "1h"}})
    for _ in range(3):
        recorded(days_ago=8, size=10_000)
    recorded(days_ago=1)
    recorded(days_ago=1, status="failed", type="slow")
    recorded(days_ago=200, status="failed", type="slow")  # two walks come by it

    found = {each.status: each for each in estimate(at_us=clock.us)}

    assert (found["completed"].tasks, found["completed"].is_more) == (3, False)
    assert 30_000 < found["completed"].bytes < 40_000
    assert (found["failed"].tasks, found["expired"].tasks) == (2, 0)
    assert (found["completed"].seconds, found["cancelled"].seconds) == (7 * DAY, None)
    prune(broker, clock)
    assert sum(each.tasks for each in estimate(at_us=clock.us)) == 0


@on_both_databases
def test_an_estimate_of_very_many_says_that_it_is_one(broker, clock, monkeypatch):
    monkeypatch.setattr("tasks_app.retention.estimate.MOST_LOOKED_AT", 0)
    recorded(days_ago=31)

    assert [each.is_more for each in estimate(at_us=clock.us)] == [True] * 4


@on_both_databases
def test_a_walk_is_served_by_an_index_and_sorts_nothing(database, clock):
    recorded(days_ago=31)
    among_many_others(NOON_US - 31 * DAY_US)
    connection = connections[database]
    rules = Rules.of({"types": {"test": "1d"}})
    if database == "default":
        wanted = {"status": "task_status_id (status=? AND id>? AND id<?)",
                  "type": "task_type_id (type=? AND id>? AND id<?)"}  # fmt: skip
    else:
        wanted = {"status": "task_status_id", "type": "task_type_id"}
        with connection.cursor() as cursor:
            # Or it guesses how many there are.
            cursor.execute(f"ANALYZE {TaskRecord._meta.db_table}")
    for line, index in zip(
        [walk.Line(status="completed"), walk.Line(type="test")], wanted.values(), strict=True
    ):
        plan = plan_of(connection, lambda line=line: walk.page(line, rules, clock.us))
        assert index in plan, plan
        assert "Sort" not in plan and "TEMP B-TREE" not in plan


def among_many_others(submitted_us, count=3000):
    """Tasks of another status and type, so many that it does not pay to read them all."""
    rows = []
    for _ in range(count):
        message = TaskMessage(id=id_at(submitted_us), type="other", submitted_us=submitted_us)
        rows.append(row_of(message.id, message.encode(), b"failed|1|1|3|1|0|0||1\n"))
    assert history.write(rows) == []


def plan_of(connection, read):
    """What the database says about how it does the one query of a call."""
    with CaptureQueriesContext(connection) as queries:
        read()
    (query,) = queries
    explain = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
    with connection.cursor() as cursor:
        cursor.execute(f"{explain} {query['sql'].replace('%', '%%')}")
        return "\n".join(str(row) for row in cursor.fetchall())


def test_a_batch_shrinks_when_it_takes_long_and_grows_when_it_is_quick():
    assert size_after(400, 400, 0.2) == 200
    assert size_after(LEAST_ROWS, LEAST_ROWS, 9.0) == LEAST_ROWS
    assert size_after(400, 400, 0.009) == MOST_ROWS
    assert size_after(100, 7, 0.009) == 100
    assert size_after(100, 100, 0.02) == 100


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"complete": 1}, "'complete'; known are cancelled, completed,"),
        ({"completed": "7 days"}, "a text such as '7d'"),
        ({"failed": -1}, "seconds for 'failed'"),
        ({"failed": True}, "seconds for 'failed'"),
        ({"types": {"x": {"done": 1}}}, "'done' for x"),
        ({"types": []}, "'types' must be a dict"),
    ],
)
def test_a_wrong_setting_is_told(given, sentence):
    with pytest.raises(ImproperlyConfigured, match="RETENTION") as told:
        Conf(retention=given)
    assert sentence in str(told.value)


def test_spans_are_read_in_every_form():
    rules = Rules.of(
        {"completed": "36h", "failed": 5, "expired": None, "cancelled": "1.5d", "firings": "2w",
         "types": {"x": {"failed": "10m"}, "y": None}}
    )  # fmt: skip

    assert rules.statuses == {
        "completed": 1.5 * DAY, "failed": 5.0, "expired": None, "cancelled": 1.5 * DAY,
    }  # fmt: skip
    assert rules.others["firings"] == 14 * DAY
    assert rules.seconds(Status.FAILED, "x") == 600
    assert rules.seconds(Status.COMPLETED, "x") == 1.5 * DAY
    assert rules.seconds(Status.COMPLETED, "y") is None


@on_both_databases
def test_it_gives_way_while_the_recorder_is_behind(broker, clock, options):
    pruner = Pruner(broker, clock)
    submitted(broker)
    assert not pruner._gives_way()
    for _ in range(BEHIND):
        submitted(broker)
    assert pruner._gives_way()

    recorded(days_ago=1)
    recorded(days_ago=1)
    options(MAX_RECORDS=1)
    pruner._count(clock.us, 1)  # what is over its bound does not wait

    assert not pruner._gives_way()


@on_both_databases
def test_what_an_open_task_waits_for_stays_until_that_has_ended(broker, clock):
    parent, child = recorded(days_ago=31), recorded(days_ago=31, status="waiting")
    row = Dependency.objects.create(child_id=child, parent_id=parent, position=0)

    assert erase([parent], broker).kept == {parent: PARENT}
    prune(broker, clock)
    assert left() == {parent, child}

    Dependency.objects.filter(id=row.id).update(is_open=False)
    TaskRecord.objects.filter(id=child).update(status="completed", finished_us=1)
    prune(broker, clock)
    assert left() == set()
    assert not Dependency.objects.exists()


@on_both_databases
def test_a_workflow_goes_with_the_last_of_its_tasks(broker, clock, monkeypatch):
    monkeypatch.setattr("tasks_app.retention.erase.PART", 2)
    old, young = (
        WorkflowRecord.objects.create(id=name, total=5, layers=1, created_us=1)
        for name in ("old", "young")
    )
    for workflow, ages in ((old, [31, 32, 33, 34, 35]), (young, [31, 32, 33, 34, 1])):
        for position, days in enumerate(ages):
            Member.objects.create(
                task_id=recorded(days_ago=days), workflow=workflow, position=position, layer=0,
                name=str(position), type="test",
            )  # fmt: skip

    prune(broker, clock)

    assert WorkflowRecord.objects.get() == young
    assert Member.objects.count() == 5
