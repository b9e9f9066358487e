"""The promoter: what is due becomes pending, what is over ends, what was purged is cancelled."""

from tasks_app.broker import keys
from tasks_app.message import escaped, now_us
from tasks_app.states import Status
from workers_app.coordinator.services.promoter import LONGEST_MS, Promoter, pause_ms

from ..conftest import wait_until
from ..lua.world import status, submitted


def due(broker, count, **fields):
    """Tasks that are scheduled and due by now, the last one first."""
    tasks = submitted(broker, count, run_after_us=now_us() + 3_600_000_000, **fields)
    shard = keys.shard_of(tasks[0].queue)
    for number, task in enumerate(tasks):  # as if that hour had passed
        broker.link.call("ZADD", keys.scheduled(task.queue), 100 - number, task.id)
    broker.link.call("ZADD", keys.key(shard, "due"), 1, escaped(task.queue))
    return tasks


def statuses(broker, tasks):
    return [status(broker, task) for task in tasks]


def test_due_tasks_become_pending_the_earliest_first_and_a_slice_at_a_time(broker):
    third, second, first = due(broker, 3)
    promoter = Promoter(broker, limit=2)

    assert promoter.tick() == 0
    assert statuses(broker, [first, second, third]) == ["pending", "pending", "scheduled"]
    assert promoter.tick() > 0
    assert statuses(broker, [first, second, third]) == ["pending"] * 3


def test_a_task_that_is_not_due_stays(broker):
    (task,) = submitted(broker, run_after_us=now_us() + 3_600_000_000)

    assert Promoter(broker).tick() == LONGEST_MS / 1000
    assert status(broker, task) == Status.SCHEDULED


def test_a_task_expires_without_a_worker(broker):
    (task,) = submitted(broker, expires_us=now_us() + 20_000)
    promoter = Promoter(broker)

    wait_until(lambda: promoter.tick() and status(broker, task) == Status.EXPIRED)


def test_what_a_purge_put_aside_is_cancelled_in_slices(broker):
    tasks = submitted(broker, 5)
    broker.purge("default")
    promoter = Promoter(broker, limit=3)

    assert promoter.tick() == 0
    assert promoter.tick() > 0
    assert set(statuses(broker, tasks)) == {Status.CANCELLED}


def test_every_shard_is_looked_at(broker, settings):
    settings.DTPS = {**settings.DTPS, "SHARDS": {"far": 3}}
    (task,) = due(broker, 1, queue="far")

    Promoter(broker).tick()

    assert status(broker, task) == Status.PENDING


def test_the_pause_ends_when_the_next_task_is_due_and_soon_in_any_case():
    assert pause_ms(True, 500) == 0
    assert pause_ms(False, 7) == 7
    assert pause_ms(False, 0) == 1
    assert pause_ms(False, 5000) == pause_ms(False, -1) == LONGEST_MS
