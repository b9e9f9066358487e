"""Release: a task that waits for others goes when these have ended, once."""

import pytest
from django.db import transaction
from redis.exceptions import ResponseError

from tasks_app import actions
from tasks_app.exceptions import InvalidCall
from tasks_app.models import Dependency, Outbox, TaskRecord
from tests.sample.tasks import echo
from workers_app.coordinator.services.recorder import Recorder

from ..postgres import on_both_databases
from .conftest import open_rows

ENDS = ["completed", "failed", "cancelled"]


def after(*parents, **options):
    """A task that waits for others."""
    return echo.using(depends_on=list(parents), **options).enqueue()


@on_both_databases
def test_a_child_waits_until_its_parent_is_recorded(floor, broker):
    parent = echo.enqueue(1)
    child = after(parent)
    floor.record()
    assert floor.statuses(parent.id, child.id) == ["pending", "waiting"]
    assert floor.claimed() == [parent.id]

    floor.end(parent.id)
    assert floor.status(child.id) == "waiting"
    floor.record()

    assert floor.claimed() == [child.id]
    assert Dependency.objects.get().is_open is False
    assert not broker.read([parent.id])  # it was forgotten after that


@on_both_databases
def test_a_child_of_one_that_has_ended_and_is_forgotten_goes_at_once(floor):
    parent = echo.enqueue(1)
    floor.run(parent.id)

    child = after(parent)
    assert floor.status(child.id) == "waiting"
    floor.record()

    assert floor.claimed() == [child.id]


@on_both_databases
def test_whichever_is_recorded_second_sees_the_other(floor):
    parent = echo.enqueue(1)
    floor.claimed()
    child = after(parent)
    floor.end(parent.id)  # both are news to the recorder

    floor.record()

    assert floor.claimed() == [child.id]
    assert open_rows() == 0


@on_both_databases
def test_it_waits_for_the_last_of_several_also_in_other_queues(floor):
    one, two = echo.enqueue(1), echo.using(queue_name="mail").enqueue(2)
    child = after(one, two, queue_name="third")

    floor.run(one.id)
    assert floor.status(child.id) == "waiting"
    floor.run(two.id, queue="mail")

    assert floor.claimed("third") == [child.id]


@pytest.mark.parametrize("end", ["failed", "cancelled"])
@on_both_databases
def test_a_child_is_cancelled_when_a_parent_does_not_complete(floor, broker, end):
    bad, good = echo.enqueue(1), echo.enqueue(2)
    child = after(good, bad)
    grandchild = after(child)
    if end == "failed":
        floor.run(bad.id, "failed")
    else:
        broker.cancel([bad.id])
        floor.record()

    floor.record(2)

    assert floor.statuses(child.id, grandchild.id) == ["cancelled", "cancelled"]
    how = "failed" if end == "failed" else "was cancelled"
    assert floor.said(child.id) == f"It waited for task {bad.id}, which {how}."
    assert floor.said(grandchild.id) == f"It waited for task {child.id}, which was cancelled."
    floor.record()
    assert set(TaskRecord.objects.values_list("id", "status")) >= {
        (child.id, "cancelled"), (grandchild.id, "cancelled"),
    }  # fmt: skip


@on_both_databases
def test_a_child_that_runs_anyway_waits_for_all_and_runs(floor):
    bad, good = echo.enqueue(1), echo.enqueue(2)
    child = after(bad, good, if_parent_fails="run")

    floor.run(bad.id, "failed")
    assert floor.status(child.id) == "waiting"
    floor.run(good.id)

    assert floor.claimed() == [child.id]


@on_both_databases
def test_an_unknown_parent_is_refused_and_nothing_is_stored(floor):
    good = echo.enqueue(1)

    with pytest.raises(InvalidCall, match=r"depends_on: There is no task nobody\."):
        after(good, "nobody")

    assert (Dependency.objects.count(), Outbox.objects.count()) == (0, 0)


@on_both_databases
def test_a_transaction_that_is_rolled_back_leaves_nothing(floor, database):
    with transaction.atomic(using=database):
        parent = echo.enqueue(1)
        after(parent)  # found in the outbox of this transaction
        transaction.set_rollback(True, using=database)

    floor.record()

    assert (Dependency.objects.count(), Outbox.objects.count(), floor.claimed()) == (0, 0, [])


@on_both_databases
def test_a_transaction_that_commits_pushes_both(floor, database):
    with transaction.atomic(using=database):
        parent = echo.enqueue(1)
        child = after(parent)
        assert floor.claimed() == []

    assert floor.claimed() == [parent.id]
    floor.run(parent.id)
    assert floor.claimed() == [child.id]


@on_both_databases
def test_a_late_or_repeated_release_changes_nothing(floor, broker):
    parent = echo.enqueue(1)
    child = after(parent)
    floor.claimed()
    floor.end(parent.id)
    late = Recorder(broker)
    changes = broker.changes(10)
    known = broker.read(changes.ids)
    floor.record()
    assert floor.claimed() == [child.id]

    late._record(list(known), 0)
    floor.record()

    assert floor.status(child.id) == "assigned"
    floor.run(child.id)
    assert floor.status(child.id) == "completed"


@on_both_databases
def test_while_redis_is_away_nothing_is_acknowledged_and_then_it_goes_on(floor, broker):
    parent = echo.enqueue(1)
    child = after(parent)
    floor.claimed()
    floor.end(parent.id)
    broker.link.call("ACL", "SETUSER", "default", "-xrevrange")  # of the look at the parents
    try:
        with pytest.raises(ResponseError, match="xrevrange"):
            floor.record()
    finally:
        broker.link.call("ACL", "SETUSER", "default", "+xrevrange")
    assert TaskRecord.objects.get(id=parent.id).status == "completed"
    assert broker.read([parent.id])

    floor.record(2)

    assert floor.claimed() == [child.id]
    assert not broker.read([parent.id])


@on_both_databases
def test_a_child_that_was_cancelled_and_is_retried_alone_runs(floor):
    parent = echo.enqueue(1)
    child = after(parent)
    floor.run(parent.id, "failed")
    floor.record()
    assert floor.status(child.id) == "cancelled"

    actions.retry(child.id)
    floor.record()

    assert floor.claimed() == [child.id]


@on_both_databases
def test_a_child_that_is_retried_after_its_parent_waits_for_it(floor):
    parent = echo.enqueue(1)
    child = after(parent)
    floor.run(parent.id, "failed")
    floor.record(2)

    actions.retry(parent.id)
    actions.retry(child.id)
    floor.record()
    assert floor.statuses(parent.id, child.id) == ["pending", "waiting"]
    assert open_rows() == 1
    floor.run(parent.id)

    assert floor.claimed() == [child.id]


@on_both_databases
def test_a_parent_that_is_over_before_its_retried_child_is_recorded_lets_it_go(floor):
    parent = echo.enqueue(1)
    child = after(parent)
    floor.run(parent.id, "failed")
    floor.record(2)
    actions.retry(parent.id)
    actions.retry(child.id)
    floor.claimed()
    floor.end(parent.id)

    floor.record()

    assert floor.claimed() == [child.id]


@on_both_databases
def test_two_retried_parents_are_both_waited_for(floor):
    """Though the rows of their first run are closed."""
    one, two = echo.enqueue(1), echo.enqueue(2)
    child = after(one, two)
    for parent in (one, two):
        floor.run(parent.id, "failed")
    floor.record(2)
    for task in (one, two, child):
        actions.retry(task.id)
    floor.claimed()
    floor.end(one.id)
    # The end of the one is recorded before the child is.
    floor.recorder._record([one.id], 0)
    assert floor.status(child.id) == "waiting"
    floor.record()
    assert floor.status(child.id) == "waiting"

    floor.run(two.id)

    assert floor.claimed() == [child.id]
