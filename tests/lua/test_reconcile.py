"""reconcile: after Redis was wiped or rolled back, tasks are where the database has seen them."""

import pytest
from msgspec.structs import replace

from tasks_app.broker import keys
from tasks_app.broker.answers import Recorded
from tasks_app.message import Attempt, State
from tasks_app.states import Status

from .world import (
    audit,
    claim,
    copy_of,
    dump,
    end,
    executor_of,
    held,
    ids_of,
    named,
    outcome,
    places,
    state,
    status,
    submitted,
    task,
)


def row(broker, one):
    """A task as the recorder would have written it now."""
    definition, raw = broker.read([one.id])[one.id]
    return Recorded(one.id, definition, raw or b"", State.decode(raw).is_final)


def retrying(broker, **fields):
    one, token = held(broker, **fields)
    broker.finish("w1:0:x", [outcome(one.id, token, "retry", pause_ms=50, number=1, error="first")])
    return one


def wipe(broker, clock):
    broker.link.call("FLUSHALL")
    clock.advance(0)  # the tests' clock is one of the keys


class Copy:
    """What the server holds, to roll it back to."""

    def __init__(self, broker):
        self.link, self.kept = broker.link, copy_of(broker)

    def restore(self):
        for name in self.link.call("KEYS", keys.anchor() + ":*"):
            if not name.endswith(b":clock"):
                self.link.call("DEL", name)
        for name, copy in self.kept.items():
            if name != "clock":
                self.link.call("RESTORE", keys.key(0, name), 0, copy)


# --- wiped ---


def test_an_open_task_that_was_lost_waits_again_in_the_new_epoch(broker, clock):
    (one,) = submitted(broker, args=["ä"], priority=3, expires_us=10**16)
    recorded = row(broker, one)
    wipe(broker, clock)

    assert broker.reconcile(2, [recorded]) == {one.id: "restored"}

    now = state(broker, one)
    assert (now.status, now.epoch, now.run, now.version) == (Status.PENDING, 2, 1, 2)
    assert (now.owner, now.changed_ms) == ("", clock.now_ms)
    (told,) = now.attempts
    assert (told.number, told.run, told.outcome, told.error) == (
        0, 1, "pending", "Redis had lost it: restored."
    )  # fmt: skip
    assert not now.is_suspect
    assert broker.changes(10).ids == [one.id]
    audit(broker)
    assert broker.must_get(one.id).message == one
    assert ids_of(claim(broker, executor_of(broker))) == [one.id]
    assert state(broker, one).epoch == 2


@pytest.mark.parametrize("started", [False, True])
def test_what_somebody_had_in_hand_waits_again_and_he_has_no_say(broker, clock, started):
    one, token = held(broker, started=started)
    before, recorded = state(broker, one), row(broker, one)
    wipe(broker, clock)

    broker.reconcile(2, [recorded])

    now = state(broker, one)
    assert (now.status, now.starts, now.owner) == (Status.PENDING, int(started), "")
    assert now.version == before.version + 1
    assert broker.finish("w1:0:x", [outcome(one.id, token)]) == [one.id]


def test_counters_and_attempts_of_the_record_are_kept(broker, clock):
    one = retrying(broker)
    clock.advance(50)
    broker.promote()
    before, recorded = state(broker, one), row(broker, one)
    wipe(broker, clock)

    broker.reconcile(5, [recorded])

    now = state(broker, one)
    assert (now.starts, now.failures, now.crashes) == (1, 1, 0)
    assert now.attempts[:-1] == before.attempts
    assert now.attempts[-1].outcome == "pending"


def test_a_later_run_is_told_of(broker, clock):
    (one,) = submitted(broker)
    end(broker, one, "cancelled")
    broker.retry(one, state(broker, one))
    recorded = row(broker, one)
    wipe(broker, clock)

    broker.reconcile(2, [recorded])

    now = state(broker, one)
    assert (now.epoch, now.run) == (2, 2)
    assert now.attempts[-1].run == 2


def test_what_was_not_due_yet_is_not_due_yet(broker, clock):
    later, soon = task(run_after_us=clock.in_us(100)), task(run_after_us=clock.in_us(10))
    broker.submit_many([later, soon])
    again = retrying(broker, backoff=7.0)
    long_ago = retrying(broker, backoff=0.001)
    rows = [row(broker, one) for one in (later, soon, again, long_ago)]
    failed_ms = state(broker, again).changed_ms
    wipe(broker, clock)
    clock.advance(10)

    assert set(broker.reconcile(2, rows).values()) == {"restored"}

    assert status(broker, later) == Status.SCHEDULED
    assert status(broker, again) == Status.RETRYING
    assert status(broker, soon) == status(broker, long_ago) == Status.PENDING
    waiting = {i: at for i, ((name, at),) in places(broker).items() if name.endswith("scheduled")}
    assert waiting == {later.id: clock.now_ms + 90, again.id: failed_ms + 7000}
    audit(broker)


def test_what_has_expired_meanwhile_expires(broker, clock):
    one = task(expires_us=clock.in_us(10))
    broker.submit(one)
    recorded = row(broker, one)
    wipe(broker, clock)
    clock.advance(10)

    broker.reconcile(2, [recorded])
    broker.promote()

    assert status(broker, one) == Status.EXPIRED


@pytest.mark.parametrize("final", ["completed", "failed", "cancelled"])
def test_what_is_final_is_not_brought_back(broker, clock, final):
    (one,) = submitted(broker)
    end(broker, one, final)
    recorded = row(broker, one)
    wipe(broker, clock)
    before = dump(broker, without=())

    assert broker.reconcile(2, [recorded]) == {one.id: "kept"}

    assert dump(broker, without=()) == before


def test_a_second_reconciliation_changes_nothing(broker, clock):
    tasks = [submitted(broker)[0], held(broker, queue="other")[0], retrying(broker, queue="third")]
    rows = [row(broker, one) for one in tasks]
    wipe(broker, clock)
    broker.reconcile(2, rows)
    before = dump(broker, without=())

    assert set(broker.reconcile(2, rows).values()) == {"kept"}

    assert dump(broker, without=()) == before


# --- rolled back ---


def test_an_open_task_that_fell_back_is_brought_forward(broker, clock):
    one, token = held(broker)
    copy = Copy(broker)
    broker.finish("w1:0:x", [outcome(one.id, token, "retry", number=1, error="first")])
    recorded = row(broker, one)
    copy.restore()
    assert broker.held_ids("w1:0:x") == {one.id: token}

    assert broker.reconcile(2, [recorded]) == {one.id: "restored"}

    now = state(broker, one)
    assert (now.status, now.epoch, now.version, now.failures) == ("pending", 2, 4, 1)
    assert broker.held_ids("w1:0:x") == {}
    assert broker.finish("w1:0:x", [outcome(one.id, token)]) == [one.id]
    audit(broker)


def test_a_task_that_fell_back_into_another_queue_is_in_the_right_one(broker, clock):
    (one,) = submitted(broker, queue="old", expires_us=10**16)
    copy = Copy(broker)
    end(broker, one, "cancelled")
    broker.retry(task(id=one.id, queue="new"), state(broker, one))
    recorded = row(broker, one)
    copy.restore()

    broker.reconcile(2, [recorded])

    assert [name for name, _ in places(broker)[one.id]] == ["q:new:ready"]
    assert named(broker, "q:old:*") == []
    assert (state(broker, one).epoch, state(broker, one).run) == (2, 2)


def waiting(broker):
    return submitted(broker, expires_us=10**16)[0]


def scheduled(broker):
    return submitted(broker, run_after_us=10**16, expires_us=10**16)[0]


def processing(broker):
    return held(broker, started=True)[0]


@pytest.mark.parametrize("bring", [waiting, scheduled, processing])
def test_a_final_task_that_fell_back_is_dropped_from_everywhere(broker, clock, bring):
    one = bring(broker)
    copy = Copy(broker)
    broker.cancel([one.id])
    recorded = row(broker, one)
    copy.restore()

    assert broker.reconcile(2, [recorded]) == {one.id: "dropped"}

    assert broker.get(one.id) is None
    assert places(broker) == {}
    assert named(broker, "q:*:expiring") == named(broker, "held:*") == []
    assert not broker.link.call("HEXISTS", keys.key(0, "states"), one.id)
    assert broker.changes(10).ids.count(one.id) <= 1  # it changed no more


def test_what_went_another_way_since_the_rollback_does_not_overrule_what_is_final(broker, clock):
    one, token = held(broker)
    copy = Copy(broker)
    broker.finish("w1:0:x", [outcome(one.id, token)])
    recorded = row(broker, one)
    copy.restore()
    broker.start("w1:0:x", [one.id])
    broker.release("w1:0:x", {one.id: token})
    assert state(broker, one).version > State.decode(recorded.state).version

    assert broker.reconcile(2, [recorded]) == {one.id: "dropped"}


def test_a_purge_of_before_the_rollback_does_not_cancel_what_was_restored(broker, clock):
    (one,) = submitted(broker)
    broker.purge("default")
    later = Recorded(one.id, one.encode(), b"pending|2|1|5|0|0|0||0\n", is_final=False)

    assert broker.reconcile(3, [later]) == {one.id: "restored"}

    assert broker.sweep() == (0, False)
    assert status(broker, one) == Status.PENDING
    audit(broker)


# --- kept ---


def test_what_is_as_new_or_newer_is_kept_and_nothing_changes(broker, clock):
    """A restarted server that lost nothing, with life going on."""
    same, newer, final = submitted(broker, 3)
    end(broker, final, "cancelled")
    moving, _ = held(broker, queue="other")
    rows = [row(broker, one) for one in (same, newer, final, moving)]
    broker.cancel([newer.id])
    broker.start("w1:0:x", [moving.id])
    before = dump(broker, without=())

    assert set(broker.reconcile(2, rows).values()) == {"kept"}

    assert dump(broker, without=()) == before


def test_a_later_run_than_the_recorded_one_is_kept(broker):
    (one,) = submitted(broker)
    end(broker, one, "failed")
    recorded = row(broker, one)
    broker.retry(one, state(broker, one))
    before = dump(broker, without=())

    assert broker.reconcile(2, [recorded]) == {one.id: "kept"}

    assert dump(broker, without=()) == before


def test_a_later_epoch_outweighs_any_run_and_version(broker, clock):
    (one,) = submitted(broker)
    recorded = row(broker, one)
    wipe(broker, clock)
    broker.reconcile(3, [recorded])
    older = State(status=Status.PENDING, epoch=2, run=9, version=99)
    later = replace(older, epoch=4, run=1, version=1)

    def told(given):
        header = f"pending|{given.epoch}|{given.run}|{given.version}|0|0|0||0\n".encode()
        return broker.reconcile(5, [Recorded(one.id, one.encode(), header, False)], dry_run=True)

    assert told(older) == {one.id: "kept"}
    assert told(later) == {one.id: "restored"}


def test_a_dry_run_only_tells(broker, clock):
    lost, final, fallen = submitted(broker, 3)
    copy = Copy(broker)
    end(broker, final, "cancelled")
    end(broker, fallen, "failed")
    rows = [row(broker, one) for one in (lost, final, fallen)]
    copy.restore()
    for name in ("payloads", "states", "q:default:ready"):
        broker.link.call("ZREM" if name.startswith("q") else "HDEL", keys.key(0, name), lost.id)
    before = dump(broker, without=())
    wanted = {lost.id: "restored", final.id: "dropped", fallen.id: "dropped"}

    assert broker.reconcile(2, rows, dry_run=True) == wanted
    assert dump(broker, without=()) == before
    assert broker.reconcile(2, rows) == wanted


def test_any_number_of_tasks_and_big_ones_too(broker, clock):
    small = submitted(broker, 1000) + submitted(broker, 300)
    big = [task(args=["x" * 3 * 2**20]) for _ in range(5)]
    for one in big:
        broker.submit(one)
    rows = [row(broker, one) for one in small + big]
    wipe(broker, clock)

    assert broker.reconcile(2, rows) == dict.fromkeys([r.id for r in rows], "restored")

    assert broker.stats().ready == 1305
    assert set(broker.reconcile(2, rows, dry_run=True).values()) == {"kept"}
    audit(broker)


def test_the_restored_are_heard_of_by_who_is_idle(broker, clock):
    (one,) = submitted(broker)
    recorded = row(broker, one)
    wipe(broker, clock)
    executor = executor_of(broker)
    claim(broker, executor, limit=1, idle_ms=60_000, offer="an-offer")

    broker.reconcile(2, [recorded])

    assert ids_of(broker.wait(executor, 60)) == [one.id]
    assert state(broker, one).epoch == 2


def test_a_task_of_another_shard_is_restored_there(broker, options):
    options(SHARDS={"far": 1})
    one = task(queue="far")
    line = Attempt(outcome="retrying", error="first").encode() + b"\n"
    recorded = Recorded(one.id, one.encode(), b"pending|1|1|4|1|1|0||5\n" + line, False)

    assert broker.reconcile(2, [recorded], shard=1) == {one.id: "restored"}

    assert broker.link.call("ZCARD", keys.ready("far")) == 1
    assert broker.get(one.id).state.version == 5


def test_what_only_a_newer_version_can_read_is_restored_all_the_same(broker):
    newer = Recorded("an-id", b"1|default|1|0\nnot JSON", b"", is_final=False)
    (one,) = submitted(broker, queue="other")
    recorded = row(broker, one)
    broker.link.call("FLUSHALL")

    wanted = {"an-id": "restored", one.id: "restored"}
    assert broker.reconcile(2, [newer, recorded]) == wanted
