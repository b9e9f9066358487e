"""standing: where a task stands in its queue."""

from tasks_app.broker.answers import Standing
from tasks_app.message import now_us

from .world import claim, executor_of, submitted


def test_what_goes_first_in_the_queue_is_counted(broker):
    [late] = submitted(broker, 1, priority=-20)
    [soon] = submitted(broker, 1, priority=20)

    assert broker.standing(soon.id, "default").ahead == 0
    standing = broker.standing(late.id, "default")

    assert (standing.ahead, standing.due_ms, standing.is_known) == (1, None, True)
    assert standing.unrecorded == 2
    assert standing.at_ms > 0


def test_a_scheduled_task_has_a_moment_and_a_held_one_has_no_place(broker):
    due_us = now_us() + 60_000_000
    [later] = submitted(broker, 1, run_after_us=due_us)
    [held] = submitted(broker, 1)
    claim(broker, executor_of(broker))

    assert broker.standing(later.id, "default").due_ms == -(-due_us // 1000)
    assert broker.standing(later.id, "default").ahead is None
    standing = broker.standing(held.id, "default")
    assert (standing.ahead, standing.due_ms) == (None, None)


def test_what_is_told_of_the_queue_comes_from_its_own_shard(broker, options):
    options(SHARDS={"far": 1})
    [one] = submitted(broker, 1, queue="far")
    broker.pause("far")
    broker.fleet.keep_demand({"far": {"slots": 3}})
    broker.open_gate("run")

    standing = broker.standing(one.id, "far")

    assert (standing.is_known, standing.is_paused) == (True, True)
    assert (standing.demand, standing.gate) == ({"slots": 3}, "run")


def test_of_a_task_that_there_is_not_the_queue_is_told(broker):
    standing = broker.standing("nowhere", "never used")

    assert standing == Standing(standing.at_ms, False, False, None, None, {}, 0, "")
