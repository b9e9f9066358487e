"""submit: all of a call is stored, or nothing is."""

import pytest

from tasks_app.broker import keys
from tasks_app.exceptions import DuplicateTask, InvalidCall, QueueFull, TooLate
from tasks_app.states import Status

from .world import (
    audit,
    claim,
    dump,
    end,
    executor_of,
    ids_of,
    outcome,
    places,
    state,
    status,
    submitted,
    task,
)


def test_what_is_submitted_can_be_read_at_once(broker):
    one = task(args=[1, "ä"], kwargs={"n": 2**63 - 1}, priority=7)

    broker.submit(one)

    assert broker.get(one.id).message == one
    assert status(broker, one) == Status.PENDING
    assert broker.stats().count("submitted") == 1
    assert broker.stats().ready == 1


def test_one_call_is_one_change(broker):
    tasks = submitted(broker, 3)

    assert broker.stats().unrecorded == 1
    assert broker.changes(10).ids == [one.id for one in tasks]


def test_a_task_that_merely_waits_has_no_state_entry(broker):
    submitted(broker, 10, expires_us=10**16)

    assert broker.link.call("EXISTS", keys.key(0, "states")) == 0


def test_a_thousand_in_a_call_and_not_one_more(broker):
    tasks = [task(expires_us=10**16) for _ in range(1001)]

    with pytest.raises(InvalidCall):
        broker.submit_many(tasks)
    assert broker.stats().ready == 0
    broker.submit_many(tasks[:1000])
    later = task().submitted_us + 10**12
    broker.submit_many([task(run_after_us=later, expires_us=10**16) for _ in range(1000)])

    assert (broker.stats().ready, broker.stats().scheduled) == (1000, 1000)
    audit(broker)


def test_nothing_in_a_call_is_nothing(broker):
    broker.submit_many([])

    assert dump(broker, without=()) == {}


@pytest.mark.parametrize("before", ["pending", "assigned", "completed"])
def test_a_known_id_is_refused_and_so_is_the_whole_call(broker, before):
    (one,) = submitted(broker)
    if before == "assigned":
        claim(broker, executor_of(broker))
    if before == "completed":
        end(broker, one)
    all_before = dump(broker, without=())

    with pytest.raises(DuplicateTask, match=one.id):
        broker.submit_many([task(), one, task()])

    assert dump(broker, without=()) == all_before


def test_an_id_that_is_given_twice_in_a_call_is_refused(broker):
    one = task(queue="a")

    with pytest.raises(DuplicateTask, match=one.id):
        broker.submit_many([one, task(), task(id=one.id, queue="b")])

    assert dump(broker, without=()) == {}


def test_a_full_queue_refuses_the_whole_call(broker, options):
    options(MAX_QUEUE_DEPTH=3)
    later = task().submitted_us + 10**12
    broker.submit_many([task(queue="a"), task(queue="a", run_after_us=later)])
    before = dump(broker, without=())

    with pytest.raises(QueueFull, match="a"):
        broker.submit_many([task(queue="b"), task(queue="a"), task(queue="a")])

    assert dump(broker, without=()) == before
    broker.submit_many([task(queue="b"), task(queue="a")])
    with pytest.raises(QueueFull):
        broker.submit(task(queue="a"))
    claim(broker, executor_of(broker), limit=1, queues=["a"])  # makes room
    broker.submit(task(queue="a"))


def test_queues_beyond_the_bound_are_refused_until_one_is_empty(broker, options):
    options(MAX_QUEUES=3)
    broker.submit_many([task(queue="a"), task(queue="b")])
    broker.pause("paused")
    before = dump(broker, without=())

    with pytest.raises(QueueFull, match="queues"):
        broker.submit_many([task(queue="a"), task(queue="c")])
    assert dump(broker, without=()) == before
    broker.submit(task(queue="a"))

    mine = claim(broker, executor_of(broker), queues=["b"])
    broker.submit(task(queue="c"))
    assert [queue.name for queue in broker.stats().queues] == ["a", "c", "paused"]
    broker.finish("w1:0:x", [outcome(ids_of(mine)[0], mine.token, "retry")])
    assert [queue.name for queue in broker.stats().queues] == ["a", "b", "c", "paused"]


def test_a_history_that_lags_too_far_behind_refuses(broker, options):
    options(MAX_RECORDER_LAG=2)
    submitted(broker, 5)
    submitted(broker)
    before = dump(broker, without=())

    with pytest.raises(QueueFull, match="coordinator"):
        submitted(broker)

    assert dump(broker, without=()) == before
    broker.acknowledge(broker.changes(1))
    submitted(broker)


def test_a_call_that_arrives_too_late_is_refused(broker, clock):
    with pytest.raises(TooLate):
        broker.submit(task(), not_after_ms=clock.now_ms - 1)
    assert dump(broker, without=("clock",)) == {}

    broker.submit(task(), not_after_ms=clock.now_ms)


def test_a_task_for_later_is_scheduled(broker, clock):
    one, other = task(run_after_us=clock.in_us(1) - 999), task(run_after_us=clock.in_us(0))

    broker.submit_many([one, other])

    assert status(broker, one) == Status.SCHEDULED
    assert state(broker, one).changed_ms == clock.now_ms
    assert places(broker)[one.id] == [("q:default:scheduled", clock.now_ms + 1.0)]
    assert ids_of(claim(broker, executor_of(broker))) == [other.id]
    assert len(broker.changes(10).ids) == 2


def test_queues_of_two_shards_in_one_call_are_refused(broker, options):
    options(SHARDS={"far": 1})

    with pytest.raises(InvalidCall) as caught:
        broker.submit_many([task(), task(queue="far")])

    assert list(caught.value.errors) == ["queue"]
    assert dump(broker, without=()) == {}


def test_a_task_in_another_shard_is_found_by_its_id_alone(broker, options):
    options(SHARDS={"far": 1})
    near, far = submitted(broker)[0], submitted(broker, queue="far")[0]

    assert set(broker.get_many([near.id, far.id])) == {near.id, far.id}
    assert broker.cancel([far.id, near.id, "unknown"]) == {
        far.id: Status.PENDING,
        near.id: Status.PENDING,
        "unknown": None,
    }
    assert broker.stats().count("cancelled") == 2
    assert {name.split(b":")[1] for name in broker.link.call("KEYS", "*")} == {b"{s0}", b"{s1}"}


def test_a_waiting_task_takes_less_than_600_bytes(broker):
    def used():
        return int(broker.link.client().info("memory")["used_memory_dataset"])

    before, many = used(), 20_000
    for _ in range(many // 1000):
        submitted(broker, 1000, args=["x" * 100])
        broker.acknowledge(broker.changes(10))

    assert (used() - before) / many < 600
