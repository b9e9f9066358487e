"""pause and resume: a queue gives nothing out for a while."""

from .world import claim, executor_of, ids_of, named, submitted


def test_it_tells_whether_that_is_news(broker):
    assert broker.pause("a queue") is True
    assert broker.pause("a queue") is False
    assert [(q.name, q.is_paused) for q in broker.stats().queues] == [("a queue", True)]
    assert broker.resume("a queue") is True
    assert broker.resume("a queue") is False
    assert not broker.stats().queues[0].is_paused


def test_after_a_resume_the_idle_hear_of_what_waits(broker):
    idle = executor_of(broker)
    broker.pause("default")
    tasks = submitted(broker, 2)
    assert claim(broker, idle, idle_ms=60_000).claimed == []
    assert named(broker, "wake:*") == []

    broker.resume("default")

    assert named(broker, "wake:*") == [f"wake:{idle}"]
    assert ids_of(claim(broker, idle)) == [one.id for one in tasks]
