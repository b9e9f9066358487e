"""Bulk operations: each matching task is dealt with once, whoever is killed in between."""

import signal

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from tasks_app.broker import Broker
from tasks_app.broker.answers import Settlement
from tasks_app.exceptions import InvalidCall, LostLead, QueueUnavailable, WrongState
from tasks_app.message import Attempt, now_us, priority_of
from tasks_app.models import Operation, TaskRecord, TaskRemarks
from tasks_app.operations import deeds, orders
from tasks_app.operations.filter import MAY
from tasks_app.operations.words import Action, Stage
from tasks_app.states import Status
from workers_app.coordinator.services import operations as module
from workers_app.coordinator.services.operations import IDLE_SECONDS, Operations
from workers_app.coordinator.services.recorder import Recorder

from ..lua.test_limits import limited
from ..lua.world import EditedLink, end, held, submitted, task
from ..lua.world import audit as audit_places
from ..postgres import on_both_databases
from .committing import programs


@pytest.fixture
def start(broker, database, request):
    """Starts a program on the servers of this test."""
    with programs(broker, database, request) as start:
        yield start


def audit(broker):
    link = EditedLink(broker.link.url)
    audit_places(Broker(link))
    link.close()


def record(broker):
    while broker.stats().unrecorded:
        Recorder(broker).tick()


def begin(action, words, **parameters):
    return orders.begin(Action(action), words, parameters, who="ann")


def ended(broker, final, count=1, error="", **fields):
    """Tasks that ended so, and are recorded; their ids."""
    ones = []
    for _ in range(count):
        if final == "failed":
            one, token = held(broker, **fields)
            line = Attempt(
                number=1, worker="w1", started_us=now_us(), ended_us=now_us(), outcome="failed",
                error=error,
            ).encode()  # fmt: skip
            settled = Settlement(id=one.id, token=token, outcome="failed", line=line)
            assert broker.finish("w1:0:x", [settled]) == []
        else:
            (one,) = submitted(broker, **fields)
            end(broker, one, final)
        ones.append(one)
    record(broker)
    return [one.id for one in ones]


def run(broker, operation, service=None):
    """Let the service do what there is to do; return the operation as it is then."""
    service = service or Operations(broker)
    while service.tick() < IDLE_SECONDS:
        pass
    operation.refresh_from_db()
    return operation


def counts(operation):
    return operation.matched, operation.done, operation.skipped, operation.failed


@on_both_databases
def test_all_failed_of_a_type_are_retried_and_nothing_else(broker):
    mine = ended(broker, "failed", 3, type="test")
    others = ended(broker, "failed", type="wordcount") + ended(broker, "completed", type="test")
    operation = begin("retry", {"type": "test"})
    assert (operation.state, operation.expected, operation.who) == ("pending", 3, "ann")

    run(broker, operation)

    assert (operation.state, counts(operation)) == (Stage.DONE, (3, 3, 0, 0))
    assert operation.started_us <= operation.ended_us
    assert {task_id: broker.must_get(task_id).state.run for task_id in mine} == dict.fromkeys(
        mine, 2
    )
    assert broker.get_many(others) == {}
    audit(broker)


@on_both_databases
def test_it_goes_on_in_slices_until_the_oldest(broker, monkeypatch):
    monkeypatch.setattr(module, "SLICE", 2)
    ids = ended(broker, "cancelled", 5)
    operation, service = begin("retry", {"status": "cancelled"}), Operations(broker)

    seen = []
    while service.tick() < IDLE_SECONDS:
        operation.refresh_from_db()
        seen.append((operation.state, operation.done, operation.cursor))

    assert seen[0] == ("running", 2, ids[3])
    assert seen[1] == ("running", 4, ids[1])
    assert seen[-1][:2] == ("done", 5)


@on_both_databases
def test_what_it_has_opened_and_failed_again_is_not_retried_twice(broker, monkeypatch):
    monkeypatch.setattr(module, "SLICE", 1)
    first, second = ended(broker, "failed", 2)
    operation, service = begin("retry", {"status": ["failed"]}), Operations(broker)

    service.tick()
    end(broker, broker.must_get(second).message, "failed")
    run(broker, operation, service)

    assert (counts(operation), operation.state) == ((2, 2, 0, 0), "done")
    assert broker.must_get(second).state.run == 2
    assert broker.must_get(first).state.run == 2


@on_both_databases
def test_what_is_submitted_after_the_order_is_not_meant(broker):
    (one,) = submitted(broker, queue="mail")
    operation = begin("cancel", {"queue": "mail"})
    later = task(queue="mail", submitted_us=now_us() + 1)
    broker.submit(later)

    run(broker, operation)

    assert counts(operation) == (1, 1, 0, 0)
    assert broker.must_get(one.id).state.status == "cancelled"
    assert (
        broker.must_get(one.id).state.attempts[-1].error.startswith("Cancelled by ann (operation")
    )
    assert broker.must_get(later.id).state.status == "pending"


@on_both_databases
def test_open_tasks_are_found_wherever_they_are(broker):
    started, _ = held(broker, started=True)
    assigned, _ = held(broker)
    waits = limited(broker, 2, concurrency=1)[1]
    (scheduled,) = submitted(broker, run_after_us=10**16)
    record(broker)
    (fresh,) = submitted(broker)  # not recorded yet
    ids = {one.id for one in (started, assigned, waits, scheduled, fresh)}

    operation = run(broker, begin("cancel", {"type": "test"}))

    assert counts(operation) == (6, 6, 0, 0)
    assert {broker.must_get(task_id).state.status for task_id in ids} == {Status.CANCELLED}


@on_both_databases
def test_a_limited_task_that_waits_is_found_by_that_status(broker):
    first, second = limited(broker, 2, concurrency=1)
    record(broker)

    operation = run(broker, begin("cancel", {"status": "waiting"}))

    assert counts(operation) == (1, 1, 0, 0)
    assert broker.must_get(second.id).state.status == "cancelled"
    assert broker.must_get(first.id).state.status == "pending"


@on_both_databases
def test_a_priority_is_changed_of_what_nobody_holds(broker):
    ones = submitted(broker, 3, queue="mail")
    holds, _ = held(broker, queue="other")
    record(broker)
    operation = run(broker, begin("priority", {"submitted_after": "2000-01-01T00:00Z"}, priority=9))

    assert (operation.state, counts(operation)) == ("done", (3, 3, 0, 0))
    assert {broker.must_get(one.id).message.priority for one in ones} == {priority_of(9)}
    assert broker.must_get(holds.id).message.priority == 0
    record(broker)
    assert set(TaskRecord.objects.filter(queue="mail").values_list("priority", flat=True)) == {80}
    again = run(broker, begin("priority", {"queue": "mail"}, priority=9))
    assert counts(again) == (3, 3, 0, 0)
    audit(broker)


@on_both_databases
def test_tasks_move_to_another_queue_but_not_to_another_shard(broker, settings):
    settings.DTPS = {**settings.DTPS, "SHARDS": {"far": 1}}
    (one,) = submitted(broker, queue="mail")
    record(broker)

    moved = run(broker, begin("queue", {"queue": "mail"}, queue="slow"))
    refused = run(broker, begin("queue", {"queue": "slow"}, queue="far"))

    assert counts(moved) == (1, 1, 0, 0)
    assert broker.must_get(one.id).message.queue == "slow"
    assert counts(refused) == (1, 0, 1, 0)
    assert refused.message == "Its queue is in another shard than far."


@on_both_databases
def test_tasks_do_not_move_to_a_queue_too_many(broker, settings):
    settings.DTPS = {**settings.DTPS, "MAX_QUEUES": 2}
    submitted(broker, queue="mail"), submitted(broker, queue="post")
    record(broker)

    refused = run(broker, begin("queue", {"queue": "mail"}, queue="new"))
    moved = run(broker, begin("queue", {"queue": "mail"}, queue="post"))

    assert counts(refused) == (1, 0, 1, 0)
    assert refused.message == "There are as many queues already as there may be (MAX_QUEUES)."
    assert counts(moved) == (1, 1, 0, 0)


@on_both_databases
def test_finished_tasks_are_deleted_with_their_remarks(broker):
    gone, stays = ended(broker, "completed", 2), ended(broker, "failed")
    TaskRemarks.objects.create(id=gone[0], at_ms=1, text=b"1|0|0|t\n\n\n")

    operation = run(broker, begin("delete", {"status": "completed"}))

    assert counts(operation) == (2, 2, 0, 0)
    assert list(TaskRecord.objects.values_list("id", flat=True)) == stays
    assert not TaskRemarks.objects.exists()


@on_both_databases
def test_the_words_of_a_filter_all_count(broker):
    (wanted,) = ended(broker, "failed", error="Mailbox FULL", tags=("vip", "x"), queue="mail")
    ended(broker, "failed", error="Mailbox FULL", tags=("x",), queue="mail")
    ended(broker, "failed", error="other", tags=("vip",), queue="mail")
    ended(broker, "failed", error="mailbox full", tags=("vip",), queue="post")
    row = TaskRecord.objects.get(id=wanted)
    after = row.finished_at.isoformat()
    words = {"error": "mailbox full", "tag": "vip", "queue": "mail", "finished_after": after}

    found = orders.look(Action.RETRY, words, {})

    assert [record.id for record in found.sample] == [wanted]
    assert (found.matched, found.is_more) == (1, False)
    for more in ({"worker": "nobody"}, {"priority": 9}, {"finished_before": after},
                 {"finished_after": "2100-01-01T00:00Z"}, {"search": "zz"}):  # fmt: skip
        assert orders.look(Action.RETRY, words | more, {}).matched == 0
    assert orders.look(Action.RETRY, words | {"worker": "w1", "priority": 5}, {}).matched == 1


@on_both_databases
def test_an_error_is_found_also_before_it_is_recorded(broker):
    ones = [held(broker, queue="mail") for _ in range(2)]
    record(broker)
    for (one, token), error in zip(ones, ("mailbox full", "other"), strict=True):
        line = Attempt(number=1, ended_us=now_us(), outcome="failed", error=error).encode()
        broker.finish("w1:0:x", [Settlement(id=one.id, token=token, outcome="failed", line=line)])

    found = orders.look(Action.RETRY, {"error": "Mailbox"}, {})

    assert [record.id for record in found.sample] == [ones[0][0].id]


@on_both_databases
def test_a_look_is_bounded_and_says_so(broker, monkeypatch):
    monkeypatch.setattr("tasks_app.operations.preview.PAGE", 2)
    monkeypatch.setattr("tasks_app.operations.preview.MOST_COUNTED", 4)
    submitted(broker, 5)
    before = broker.stats()

    found = orders.look(Action.CANCEL, {"type": "test"}, {})
    operation = begin("cancel", {"type": "test"})

    assert (found.matched, found.is_more) == (4, True)
    assert broker.stats().queues == before.queues
    assert operation.expected is None
    assert Operation.objects.count() == 1


@on_both_databases
def test_a_cancelled_operation_does_no_more(broker, monkeypatch):
    monkeypatch.setattr(module, "SLICE", 1)
    ids = ended(broker, "failed", 3)
    operation, service = begin("retry", {"status": "failed"}), Operations(broker)
    service.tick()

    orders.cancel(operation.id, by="bob")
    run(broker, operation, service)

    assert (operation.state, operation.done) == (Stage.CANCELLED, 1)
    assert operation.message == "Cancelled by bob."
    assert set(broker.get_many(ids)) == {ids[-1]}
    with pytest.raises(WrongState, match="cancelled already"):
        orders.cancel(operation.id, by="bob")


@on_both_databases
def test_one_that_is_cancelled_in_the_middle_of_a_slice_counts_what_was_done(broker, monkeypatch):
    ended(broker, "failed", 2)
    operation = begin("retry", {"status": "failed"})
    do = deeds.do

    def cancelled_meanwhile(*args, **more):
        outcome = do(*args, **more)
        orders.cancel(operation.id, by="bob")
        return outcome

    monkeypatch.setattr(deeds, "do", cancelled_meanwhile)
    run(broker, operation)

    assert (operation.state, operation.done) == (Stage.CANCELLED, 2)
    assert operation.message == "Cancelled by bob."


@on_both_databases
@pytest.mark.parametrize("action", list(Action))
def test_a_slice_that_was_done_and_not_counted_is_done_once(broker, monkeypatch, action):
    """As after a crash: the next leader finds the slice, and does what is left of it."""
    if MAY[action] & {Status.FAILED}:
        ids = ended(broker, "failed", 3)
    else:
        ids = [one.id for one in submitted(broker, 3)]
        record(broker)
    parameters = {"priority": {"priority": 9}, "queue": {"queue": "x"}}.get(action, {})
    operation = begin(action, {"type": "test"}, **parameters)
    do = deeds.do

    def dies_in_the_middle(operation, plan, queue, **more):
        do(operation, dict(list(plan.items())[:2]), queue, **more)
        raise QueueUnavailable("gone")

    with monkeypatch.context() as patch, pytest.raises(QueueUnavailable):
        patch.setattr(deeds, "do", dies_in_the_middle)
        Operations(broker).tick()
    versions = {i: t.state.version for i, t in broker.get_many(ids).items()}
    run(broker, operation)

    assert (operation.state, counts(operation)) == (Stage.DONE, (3, 3, 0, 0))
    for task_id, version in versions.items():
        after = broker.must_get(task_id).state
        assert after.version == version or after.version == version + 1
    assert sum(v != broker.must_get(i).state.version for i, v in versions.items()) <= 1
    assert not broker.get_many(ids) or action != Action.DELETE


KILLED = """
from tasks_app.operations import deeds
from workers_app.coordinator.services import operations
from workers_app.coordinator.services.operations import Operations
operations.SLICE = 2
{}
service = Operations(broker())
for _ in range(20):
    service.tick()
"""
DEATHS = {
    "before_a_slice_is_written": "Operations._plan = before(Operations._plan, KILL)",
    "after_it_is_written": "deeds.do = before(deeds.do, KILL)",
    "in_its_middle": "deeds.actions.retry = after(deeds.actions.retry, KILL)",
    "before_it_is_counted": "deeds.do = after(deeds.do, KILL)",
    "after_it_is_counted": "Operations._count = after(Operations._count, KILL)",
}


@on_both_databases
@pytest.mark.parametrize("death", DEATHS)
def test_each_task_is_retried_once_if_the_coordinator_is_killed(broker, start, death):
    ids = ended(broker, "failed", 5)
    operation = begin("retry", {"type": "test"})

    _, code = start(KILLED.format(DEATHS[death])).end()
    assert code == -signal.SIGKILL
    _, code = start(KILLED.format("")).end()

    assert code == 0
    operation.refresh_from_db()
    assert (operation.state, counts(operation)) == (Stage.DONE, (5, 5, 0, 0))
    assert {broker.must_get(task_id).state.run for task_id in ids} == {2}
    assert broker.stats().count("submitted") == 10


@on_both_databases
def test_of_two_leaders_one_counts(broker, monkeypatch):
    ended(broker, "cancelled", 2)
    operation = begin("delete", {"status": "cancelled"})
    one, other = Operations(broker), Operations(broker)
    do = deeds.do

    def overtaken(*args, **more):
        outcome = do(*args, **more)
        monkeypatch.setattr(deeds, "do", do)
        other.tick()
        return outcome

    monkeypatch.setattr(deeds, "do", overtaken)
    run(broker, operation, one)

    assert (operation.state, counts(operation)) == (Stage.DONE, (2, 2, 0, 0))


@on_both_databases
def test_a_leader_that_was_followed_does_nothing(broker):
    ended(broker, "failed")
    operation = begin("retry", {"status": "failed"})
    broker.link.call("SET", "dtps:{s0}:term", 8)

    with pytest.raises(LostLead):
        Operations(broker.under(7)).tick()

    operation.refresh_from_db()
    assert (operation.state, operation.slice) == ("pending", {})


@on_both_databases
def test_operations_take_turns(broker, monkeypatch):
    monkeypatch.setattr(module, "SLICE", 1)
    ended(broker, "failed", 3)
    ended(broker, "cancelled", 3)
    first, second = (begin("retry", {"status": s}) for s in ("failed", "cancelled"))
    service = Operations(broker)

    for _ in range(2):
        service.tick()

    assert set(Operation.objects.values_list("done", flat=True)) == {1}
    run(broker, first, service)
    second.refresh_from_db()
    assert (first.done, second.done) == (3, 3)


@on_both_databases
def test_what_cannot_be_done_is_counted_and_stops_nothing(broker, database):
    ids = ended(broker, "failed", 3)
    TaskRecord.objects.filter(id=ids[1]).update(definition=b"9|default|1|0\n{}")
    operation = run(broker, begin("retry", {"status": "failed"}))

    assert (operation.state, counts(operation)) == (Stage.DONE, (3, 2, 0, 1))
    assert ids[1] in operation.message


@on_both_databases
def test_an_operation_that_cannot_be_understood_ends_as_failed(broker):
    operation = Operation.objects.create(action="retry", filter={"colour": "red"}, created_us=1)

    run(broker, operation)

    assert operation.state == Stage.FAILED
    assert "colour" in operation.message


@pytest.mark.parametrize(
    ("action", "words", "parameters", "name"),
    [
        ("retry", {}, {}, "filter"),
        ("retry", {"type": None}, {}, "type"),
        ("retry", {"status": "pending"}, {}, "status"),
        ("priority", {"status": "processing"}, {"priority": 3}, "status"),
        ("priority", {"type": "x"}, {}, "priority"),
        ("cancel", {"type": "x"}, {"queue": "y"}, "queue"),
        ("delete", {"status": ["completed", "retrying"]}, {}, "status"),
    ],
)
def test_what_makes_no_sense_is_refused(action, words, parameters, name):
    with pytest.raises(Exception) as told:
        orders.look(Action(action), words, parameters)

    errors = told.value.errors if isinstance(told.value, InvalidCall) else told.value.detail
    assert list(errors) == [name]


def test_no_query_of_a_page_sorts_or_reads_a_table(db, broker):
    """The plans on SQLite; see test_pruner.py for Postgres."""
    connection = connections["default"]
    with CaptureQueriesContext(connection) as queries:
        orders.look(Action.PRIORITY, {"submitted_after": "2000-01-01T00:00Z"}, {"priority": 1})
    plans = []
    for query in queries:
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN QUERY PLAN " + query["sql"].replace("%", "%%"))
            plans += [row[3] for row in cursor.fetchall()]

    assert len(plans) == 4
    assert {plan.split(" USING ")[0] for plan in plans} == {"SEARCH tasks_app_taskrecord"}
    assert all("task_status_id" in plan for plan in plans)
