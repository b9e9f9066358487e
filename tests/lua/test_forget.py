"""forget: only what is final, and only in the version that was recorded."""

import pytest

from tasks_app.broker import keys

from .world import audit, dump, end, held, named, state, submitted, task


@pytest.mark.parametrize("final", ["completed", "failed", "cancelled"])
def test_a_recorded_final_task_leaves_nothing(broker, final):
    (one,) = submitted(broker, expires_us=10**16)
    end(broker, one, final)

    assert broker.forget({one.id: state(broker, one).version}) == 1

    assert broker.get(one.id) is None
    assert broker.forget({one.id: 3}) == 0
    for name in ("payloads", "states", "q:default:expiring"):
        assert not broker.link.call("EXISTS", keys.key(0, name))
    assert named(broker, "q:*") == []


def test_another_version_or_an_open_task_stays(broker):
    (ended,) = submitted(broker)
    end(broker, ended)
    (waiting,) = submitted(broker)
    running, _ = held(broker, queue="other", started=True)
    before = dump(broker, without=())

    versions = {waiting.id: 1, running.id: state(broker, running).version, task().id: 1}
    assert broker.forget(versions) == 0
    assert broker.forget({ended.id: state(broker, ended).version - 1}) == 0
    assert broker.forget({ended.id: state(broker, ended).version + 1}) == 0

    assert dump(broker, without=()) == before


def test_a_task_that_was_retried_since_stays(broker):
    (one,) = submitted(broker)
    end(broker, one, "failed")
    recorded = state(broker, one)
    broker.retry(one, recorded)

    assert broker.forget({one.id: recorded.version}) == 0
    assert state(broker, one).run == 2


def test_more_than_a_call_takes(broker):
    tasks = submitted(broker, 1000) + submitted(broker, 500)
    broker.cancel([one.id for one in tasks])

    assert broker.forget({one.id: 2 for one in tasks}) == 1500
    audit(broker)


def test_a_late_task_is_counted_when_it_is_dropped_and_only_once(broker):
    (on_time,) = submitted(broker)
    end(broker, on_time)
    (late,) = submitted(broker)
    end(broker, late)
    (open_still,) = submitted(broker)
    versions = {one.id: state(broker, one).version for one in (on_time, late, open_still)}

    for _ in range(2):
        broker.forget(versions, late={late.id, open_still.id})

    assert broker.stats().count("late") == 1
