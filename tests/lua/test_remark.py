"""remark: what a running task says of itself is kept; from nobody else, and not without bound."""

import pytest

from tasks_app.broker import keys
from tasks_app.broker.answers import Recorded, Remark
from tasks_app.message import Attempt, State
from tasks_app.remarks import Line, Progress, Remarks, encode
from tasks_app.states import Status

from .world import (
    CRASH,
    claim,
    dump,
    end,
    executor_of,
    held,
    ids_of,
    outcome,
    state,
    submitted,
    task,
)

EXECUTOR = "w1:0:x"


def lines(*texts):
    return b"".join(encode(Line(text)) + b"\n" for text in texts)


def progress(done):
    return encode(Progress(done, 10))


def said(broker, one):
    return broker.remarks([one.id]).get(one.id, Remarks())


def texts(broker, one):
    return [line.text for line in said(broker, one).log]


def test_a_holder_tells_progress_a_checkpoint_and_lines(broker, clock):
    one, token = held(broker)

    remark = Remark(one.id, token, 1, progress(3), b'{"done":3}', lines("a", "b"))
    assert broker.remark(EXECUTOR, [remark]) == []

    found = said(broker, one)
    assert (found.progress.done, found.progress.total) == (3, 10)
    assert found.state == {"done": 3}
    assert texts(broker, one) == ["a", "b"]
    assert (found.at_ms, found.dropped) == (clock.now_ms, 0)
    assert broker.checkpoint(one.id) == b'{"done":3}'


def test_what_is_not_told_stays_as_it_was(broker):
    one, token = held(broker)
    broker.remark(EXECUTOR, [Remark(one.id, token, 1, progress(3), b'{"a":1}', lines("a"))])

    broker.remark(EXECUTOR, [Remark(one.id, token, 2, progress=progress(4))])
    broker.remark(EXECUTOR, [Remark(one.id, token, checkpoint=b'{"a":2}')])
    broker.remark(EXECUTOR, [Remark(one.id, token, 3, lines=lines("b"))])

    found = said(broker, one)
    assert (found.progress.done, found.state) == (4, {"a": 2})
    assert texts(broker, one) == ["a", "b"]


def test_lines_that_come_again_are_added_once(broker):
    one, token = held(broker)
    for _ in range(2):
        broker.remark(EXECUTOR, [Remark(one.id, token, 1, lines=lines("a"))])
        broker.remark(EXECUTOR, [Remark(one.id, token, checkpoint=b"{}")])

    broker.remark(EXECUTOR, [Remark(one.id, token, 2, lines=lines("b"))])

    assert texts(broker, one) == ["a", "b"]


def test_the_next_holder_counts_its_lines_anew(broker):
    one, token = held(broker)
    broker.remark(EXECUTOR, [Remark(one.id, token, 1, lines=lines("first"))])
    broker.release(EXECUTOR, {one.id: token})
    again = claim(broker, EXECUTOR)

    broker.remark(EXECUTOR, [Remark(one.id, again.token, 1, lines=lines("second"))])

    assert texts(broker, one) == ["first", "second"]


@pytest.mark.parametrize("lost", ["released", "reaped", "cancelled", "finished", "other token"])
def test_who_lost_the_task_changes_nothing(broker, lost):
    one, token = held(broker, started=True)
    broker.remark(EXECUTOR, [Remark(one.id, token, 1, progress(1), b'{"a":1}', lines("a"))])
    if lost == "released":
        broker.release(EXECUTOR, {one.id: token})
    elif lost == "reaped":
        broker.reap("w1", EXECUTOR, reason=CRASH)
    elif lost == "cancelled":
        broker.cancel([one.id])
    elif lost == "finished":
        broker.finish(EXECUTOR, [outcome(one.id, token)])
    else:
        token = "another"
    before = dump(broker)

    remark = Remark(one.id, token, 2, progress(2), b'{"a":2}', lines("b"))
    assert broker.remark(EXECUTOR, [remark], tells=True) == [one.id]

    assert dump(broker) == before


def test_one_that_is_refused_does_not_keep_others_from_being_heard(broker):
    one, token = held(broker)
    other = task()

    remarks = [Remark(other.id, token, 1, progress(1)), Remark(one.id, token, 1, progress(2))]
    assert broker.remark(EXECUTOR, remarks) == [other.id]

    assert said(broker, one).progress.done == 2
    assert broker.remarks([other.id]) == {}


def test_a_log_keeps_its_newest_lines_and_counts_the_others(broker, options):
    options(TASK_LOG_LINES=3)
    one, token = held(broker)

    broker.remark(EXECUTOR, [Remark(one.id, token, 1, lines=lines("a", "b"))])
    broker.remark(EXECUTOR, [Remark(one.id, token, 2, lines=lines("c", "d", "e"))])

    assert texts(broker, one) == ["c", "d", "e"]
    assert said(broker, one).dropped == 2


def test_a_log_is_bounded_in_bytes(broker, options):
    options(TASK_LOG_BYTES=100)
    one, token = held(broker)

    for serial in range(1, 20):
        broker.remark(
            EXECUTOR, [Remark(one.id, token, serial, lines=lines(f"{serial} {'x' * 20}"))]
        )

    assert texts(broker, one)[-1].startswith("19 ")
    assert 50 < len(said(broker, one).lines) <= 100
    broker.remark(EXECUTOR, [Remark(one.id, token, 20, lines=lines("x" * 200))])
    assert texts(broker, one) == []


def test_only_a_remark_that_tells_is_a_change(broker):
    one, token = held(broker)
    broker.acknowledge(broker.changes(100))

    broker.remark(EXECUTOR, [Remark(one.id, token, 1, progress(1))])
    assert broker.changes(10).ids == []

    broker.remark(EXECUTOR, [Remark(one.id, token, 2, progress(2))], tells=True)
    assert broker.changes(10).ids == [one.id]


def test_the_task_itself_does_not_change(broker):
    one, token = held(broker)
    before = state(broker, one)

    broker.remark(EXECUTOR, [Remark(one.id, token, 1, progress(1), b"{}", lines("a"))], tells=True)

    assert state(broker, one) == before
    assert broker.finish(EXECUTOR, [outcome(one.id, token)]) == []


def test_they_are_forgotten_with_the_task(broker):
    one, token = held(broker)
    broker.remark(EXECUTOR, [Remark(one.id, token, 1, progress(1), b"{}", lines("a"))])
    broker.finish(EXECUTOR, [outcome(one.id, token)])

    broker.forget({one.id: state(broker, one).version})

    assert not broker.link.call("EXISTS", keys.key(0, "remarks"))


def test_they_survive_a_crash_and_a_retry(broker):
    one, token = held(broker, started=True)
    broker.remark(EXECUTOR, [Remark(one.id, token, 1, progress(1), b'{"a":1}', lines("a"))])
    before = said(broker, one)

    broker.reap("w1", EXECUTOR, reason=CRASH)
    assert said(broker, one) == before
    end(broker, one, "cancelled")
    broker.retry(one, state(broker, one), Remarks(b"1|1|0|t\n", b'{"a":0}', b"").text)

    assert said(broker, one) == before


def test_a_forgotten_task_that_is_retried_has_what_the_database_knows(broker):
    one = task()
    recorded = Remarks(b"5|1|0|t\n" + progress(7), b'{"a":7}', lines("old"))

    broker.retry(one, State(status=Status.FAILED, version=9), recorded.text)

    assert said(broker, one) == recorded
    executor = executor_of(broker)
    token = claim(broker, executor).token
    broker.remark(executor, [Remark(one.id, token, 1, lines=lines("new"))])
    assert texts(broker, one) == ["old", "new"]


def test_a_restored_task_has_what_the_database_knows(broker):
    one = task()
    recorded = Remarks(b"5|1|0|t\n" + progress(7), b'{"a":7}', b"")
    row = Recorded(one.id, one.encode(), b"processing|1|1|3|1|0|0|w|5\n", False, recorded.text)

    assert broker.reconcile(2, [row]) == {one.id: "restored"}

    assert said(broker, one) == recorded


@pytest.mark.parametrize(("at", "wins"), [(2**45, True), (1, False)])
def test_of_a_rolled_back_task_the_later_words_count(broker, at, wins):
    one, token = held(broker)
    broker.remark(EXECUTOR, [Remark(one.id, token, 1, checkpoint=b'{"a":"redis"}')])
    recorded = Remarks(b"%d|1|0|t\n" % at, b'{"a":"database"}', b"")
    row = Recorded(one.id, one.encode(), b"processing|1|1|9|1|0|0|w|5\n", False, recorded.text)

    assert broker.reconcile(2, [row]) == {one.id: "restored"}

    assert said(broker, one).state == {"a": "database" if wins else "redis"}


def test_what_is_dropped_takes_its_remarks_along(broker):
    one, token = held(broker)
    broker.remark(EXECUTOR, [Remark(one.id, token, 1, progress(1), b"{}", lines("a"))])

    ended = Recorded(one.id, b"", b"completed|1|1|9|1|0|0||5\n", is_final=True)
    assert broker.reconcile(2, [ended]) == {one.id: "dropped"}

    assert not broker.link.call("EXISTS", keys.key(0, "remarks"))


def test_a_look_at_many_finds_those_that_said_something(broker):
    tasks = submitted(broker, 30)
    token = claim(broker, executor_of(broker), limit=30).token
    telling = tasks[::3]
    broker.remark(EXECUTOR, [Remark(one.id, token, 1, lines=lines(one.id)) for one in telling])

    found = broker.remarks([one.id for one in tasks])

    assert set(found) == {one.id for one in telling}
    assert all(remarks.log[0].text == task_id for task_id, remarks in found.items())
    assert broker.remarks([]) == {}


# --- snoozing: an outcome of exchange ---


@pytest.mark.parametrize("started", [True, False])
def test_a_snoozed_task_waits_and_counts_nothing(broker, clock, started):
    one, token = held(broker, started=started)

    broker.finish(EXECUTOR, [outcome(one.id, token, "snoozed", 500, snoozes=1)])

    after = state(broker, one)
    assert (after.status, after.starts, after.failures) == (Status.SCHEDULED, 0, 0)
    assert after.attempts == [Attempt(snoozes=1)]
    clock.advance(500)
    broker.promote()
    assert ids_of(claim(broker, EXECUTOR)) == [one.id]


def test_one_line_tells_of_all_pauses_in_a_row(broker):
    one, token = held(broker)
    broker.finish(EXECUTOR, [outcome(one.id, token, "retry", error="no")])

    for n in range(1, 4):
        token = claim(broker, EXECUTOR).token
        word = "snoozed_again" if n > 1 else "snoozed"
        assert broker.finish(EXECUTOR, [outcome(one.id, token, word, snoozes=n)]) == []

    assert state(broker, one).attempts == [Attempt(error="no"), Attempt(snoozes=3)]
    assert state(broker, one).failures == 1
