"""glance: a few words on tasks, whatever they carry."""

import pytest
from uuid_utils import uuid7

from tasks_app.broker.glance import Glance
from tasks_app.message import TaskMessage, now_us
from tasks_app.states import Status


def message(**fields):
    return TaskMessage(**{"id": str(uuid7()), "type": "test", "submitted_us": now_us()} | fields)


def test_glance_tells_the_fields_of_known_tasks_only(broker):
    task = message(type='wé"ird\\n', queue="Ünï queue|x", priority=-37, args=["x" * 1_000_000])
    broker.submit(task)

    found = broker.glance([task.id, "unknown"])

    assert list(found) == [task.id]
    seen = found[task.id]
    assert (seen.id, seen.type, seen.queue) == (task.id, task.type, task.queue)
    assert (seen.priority, seen.submitted_us) == (-37, task.submitted_us)
    assert seen.state.status == Status.PENDING


@pytest.mark.parametrize("priority", [-100, -99, 0, 1, 99, 100])
@pytest.mark.parametrize("deadline_us", [0, 1, 9_999_999_999_000_000])
def test_a_rank_tells_the_priority_exactly(priority, deadline_us):
    task = message(priority=priority, deadline_us=deadline_us)

    assert Glance.decode(task.encode(), b"").priority == priority


def test_glance_adds_the_newest_that_changed(broker):
    tasks = [message() for _ in range(6)]
    broker.submit_many(tasks)
    broker.cancel([tasks[0].id, tasks[5].id])

    found = broker.glance([], newest=2)

    assert {i: g.state.status for i, g in found.items()} == {
        tasks[4].id: Status.PENDING,
        tasks[5].id: Status.CANCELLED,
    }


def test_what_is_no_definition_is_refused():
    with pytest.raises(ValueError, match="not the beginning"):
        Glance.decode(b'1|q|0|0\n{"type":"test"}', b"")


def test_the_newest_are_found_in_whatever_order_they_changed(broker):
    tasks = [message() for _ in range(30)]
    for some in (tasks[10:20], tasks[0:10], tasks[20:30]):
        broker.submit_many(some)
    broker.cancel([tasks[29].id, tasks[3].id, tasks[28].id])

    for most in (0, 1, 5, 19):
        newest = sorted((one.id for one in tasks), reverse=True)[:most]
        assert set(broker.glance([], newest=most)) == set(newest)
    assert set(broker.glance([tasks[0].id, tasks[29].id], newest=1)) == {tasks[0].id, tasks[29].id}
