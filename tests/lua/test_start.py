"""start: held tasks become known as processing."""

from tasks_app.states import Status

from .world import dump, executor_of, held, state, submitted


def test_a_started_task_is_processing_and_its_attempt_is_counted(broker):
    one, token = held(broker)

    assert broker.start("w1:0:x", [one.id]) == 1

    now = state(broker, one)
    assert (now.status, now.starts, now.version, now.owner) == (Status.PROCESSING, 1, 3, "w1:0:x")
    assert broker.held_ids("w1:0:x") == {one.id: token}
    assert one.id in broker.changes(10).ids


def test_what_is_started_already_or_not_held_stays_as_it_is(broker):
    one, _ = held(broker, started=True)
    (waiting,) = submitted(broker)
    other = executor_of(broker, "w2")
    before = dump(broker, without=())

    assert broker.start("w1:0:x", [one.id, waiting.id, "unknown"]) == 0
    assert broker.start(other, [one.id, waiting.id]) == 0

    assert dump(broker, without=()) == before
