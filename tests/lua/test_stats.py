"""stats: numbers that equal what is there."""

from tasks_app.broker.answers import QueueStats

from .world import claim, end, executor_of, held, outcome, submitted, task


def test_levels_queues_and_counters(broker, clock):
    far = task(submitted_us=10**15, deadline_us=10**17)
    broker.submit_many([task(priority=p) for p in (-100, -80, 0, 1, 20, 100)])
    broker.submit_many([far, task(queue="later", run_after_us=clock.in_us(1000))])
    broker.pause("later")

    seen = broker.stats()

    assert seen.queues == [
        QueueStats("default", False, 0, (2, 0, 0, 0, 2, 2, 0, 0, 0, 1)),
        QueueStats("later", True, 1, (0,) * 10),
    ]
    assert (seen.ready, seen.scheduled, seen.unrecorded) == (7, 1, 2)
    assert seen.at_ms == clock.now_ms
    assert seen.counters == {"submitted": 8}


def test_every_end_is_counted_until_the_counters_are_reset(broker, clock):
    for final in ("completed", "failed", "cancelled"):
        end(broker, submitted(broker)[0], final)
    one, token = held(broker)
    broker.finish("w1:0:x", [outcome(one.id, token, "retry"), outcome(one.id, "old")])
    broker.cancel([one.id])
    broker.submit(task(expires_us=clock.in_us(1)))
    clock.advance(1)
    claim(broker, executor_of(broker))

    assert broker.stats().counters == {
        "submitted": 5, "completed": 1, "failed": 1, "cancelled": 2, "retried": 1, "stale": 1,
        "expired": 1,
    }  # fmt: skip
    broker.reset_counters()
    assert broker.stats().counters == {}
    assert broker.stats().count("completed") == 0


def test_an_empty_server_has_nothing(broker):
    seen = broker.stats()

    assert (seen.queues, seen.ready, seen.unrecorded, seen.counters) == ([], 0, 0, {})
