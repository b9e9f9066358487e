"""submit with a unique key, a debounce or an idempotency key; and how a key is let go."""

import threading

import pytest
from msgspec.structs import replace

from tasks_app.broker import keys
from tasks_app.broker.answers import Recorded
from tasks_app.exceptions import DuplicateTask, KeyReused, QueueFull, WrongState
from tasks_app.message import State
from tasks_app.options.unique import Unique
from tasks_app.states import Status

from .world import (
    CRASH,
    audit,
    claim,
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

HOUR_MS = 3_600_000


def unique(key="k", **fields):
    """A task that has a key; how, in words of Unique."""
    how = {name: fields.pop(name) for name in ("on_duplicate", "period") if name in fields}
    return task(unique_key=key, unique=Unique(**how), **fields)


def debounced(key="k", wait=5.0, most=20.0, **fields):
    return task(unique_key=key, debounce=wait, debounce_most=most, **fields)


def repeated(key="call", **fields):
    return task(idempotency_key=key, **fields)


def owner(broker, key="k"):
    """Who has a key; "" if nobody does."""
    return (broker.link.call("GET", keys.key(0, f"unique:{key}")) or b"").decode().split(" ")[0]


def marks(broker):
    return {i.decode() for i in broker.link.call("HKEYS", keys.key(0, "marks"))}


def forgotten(broker, *tasks):
    """Let Redis forget finished tasks; return their states."""
    states = [state(broker, one) for one in tasks]
    versions = {one.id: each.version for one, each in zip(tasks, states, strict=True)}
    assert broker.forget(versions) == len(tasks)
    return states


# --- while it is open ---


def test_a_second_one_of_a_key_stores_nothing_and_tells_the_first(broker):
    first = unique()
    assert broker.submit(first) == first.id
    before = dump(broker, without=())

    assert broker.submit(unique()) == first.id

    assert dump(broker, without=()) == before


@pytest.mark.parametrize("on_duplicate", ["existing", "refuse"])
@pytest.mark.parametrize("standing", ["pending", "scheduled", "assigned", "processing", "retrying"])
def test_an_open_task_keeps_its_key(broker, clock, standing, on_duplicate):
    run_after_us = clock.in_us(HOUR_MS) if standing == "scheduled" else 0
    first = unique(run_after_us=run_after_us)
    broker.submit(first)
    if standing in ("assigned", "processing", "retrying"):
        executor = executor_of(broker)
        token = claim(broker, executor).token
        if standing == "processing":
            broker.start(executor, [first.id])
        if standing == "retrying":
            broker.finish(executor, [outcome(first.id, token, "retry", pause_ms=HOUR_MS)])
    assert status(broker, first) == standing
    second = unique(on_duplicate=on_duplicate)

    if on_duplicate == "existing":
        assert broker.submit(second) == first.id
    else:
        with pytest.raises(DuplicateTask, match=first.id) as caught:
            broker.submit(second)
        assert caught.value.task_id == first.id

    assert broker.get(second.id) is None
    assert owner(broker) == first.id


def test_other_keys_are_none_of_its_business(broker):
    broker.submit_many([unique("a"), unique("b"), task()])

    assert broker.stats().ready == 3


def run_of(broker, one, how):
    """Bring a waiting task to its end in one of all the ways there are."""
    if how in ("completed", "failed", "cancelled"):
        end(broker, one, how)
    elif how == "swept":
        broker.purge(one.queue)
        broker.sweep()
    elif how == "poison":
        for _ in range(3):
            claim(broker, executor_of(broker))
            broker.start("w1:0:x", [one.id])
            broker.reap("w1", "w1:0:x", reason=CRASH)
            broker.link.call("ZUNIONSTORE", keys.ready("default"), 1, keys.scheduled("default"))
            broker.link.call("DEL", keys.scheduled("default"))


@pytest.mark.parametrize("how", ["completed", "failed", "cancelled", "swept"])
def test_a_key_is_let_go_when_its_task_ends(broker, how):
    first, second = unique(), unique()
    broker.submit(first)
    run_of(broker, first, how)

    assert owner(broker) == ""
    assert broker.submit(second) == second.id
    assert owner(broker) == second.id
    audit(broker)


@pytest.mark.parametrize("by", ["promote", "claim"])
def test_a_key_is_let_go_when_its_task_expires(broker, clock, by):
    broker.submit(unique(expires_us=clock.in_us(10)))
    clock.advance(10)

    if by == "promote":
        broker.promote()
    else:
        claim(broker, executor_of(broker))

    assert owner(broker) == ""


def test_a_key_is_let_go_when_its_task_is_poison(broker, clock, options):
    options(MAX_CRASHES=2)
    first = unique()
    broker.submit(first)
    for _ in range(2):
        claim(broker, executor_of(broker))
        broker.start("w1:0:x", [first.id])
        broker.reap("w1", "w1:0:x", reason=CRASH)

    assert status(broker, first) == Status.FAILED
    assert owner(broker) == ""


def test_many_that_end_in_one_call_let_all_their_keys_go(broker):
    tasks = [unique(str(n)) for n in range(50)]
    broker.submit_many([*tasks, task()])
    exchange = claim(broker, executor_of(broker), limit=100)

    done = [outcome(one.id, exchange.token, number=1) for one in tasks]
    assert broker.finish("w1:0:x", done) == []

    assert named(broker, "unique:*") == []


def test_what_a_purge_has_put_aside_has_its_key_no_more(broker):
    first, second = unique(), unique()
    broker.submit(first)
    broker.purge("default")

    assert broker.submit(second) == second.id

    broker.sweep()
    assert (status(broker, first), status(broker, second)) == ("cancelled", "pending")
    assert owner(broker) == second.id


def test_a_task_that_waits_for_its_limit_has_its_key_and_is_replaced(broker):
    limited = {"limit": "l", "limit_label": "l", "concurrency": 1}
    broker.submit(task(**limited))
    first, second = unique(**limited), unique(**limited, on_duplicate="replace")
    broker.submit(first)
    assert status(broker, first) == "waiting"

    assert broker.submit(unique(**limited)) == first.id
    assert broker.submit(second) == second.id

    assert (status(broker, first), status(broker, second)) == ("cancelled", "waiting")
    waiting = broker.link.call("SMEMBERS", keys.key(0, "q:default:waiting"))
    assert list(waiting) == [second.id.encode()]
    broker.purge("default")
    third = unique()
    assert broker.submit(third) == third.id


def test_a_key_whose_task_is_gone_is_free(broker):
    first, second = unique(), unique()
    broker.submit(first)
    for name in ("payloads", "states"):
        broker.link.call("HDEL", keys.key(0, name), first.id)

    assert broker.submit(second) == second.id


def test_an_id_that_is_known_is_refused_whatever_its_key(broker):
    first = unique()
    broker.submit(first)

    for again in (first, replace(first, unique=Unique(on_duplicate="replace"))):
        with pytest.raises(DuplicateTask, match="known"):
            broker.submit(again)
    assert status(broker, first) == "pending"


# --- for a period ---


def test_a_period_holds_the_key_beyond_the_end_and_not_longer(broker, private_server):
    first = unique(period=3600)
    broker.submit(first)
    end(broker, first)
    forgotten(broker, first)

    assert broker.submit(unique(period=3600)) == first.id
    (name,) = named(broker, "unique:*")
    left_ms = broker.link.call("PTTL", keys.key(0, name))
    assert 0 < left_ms <= HOUR_MS
    broker.link.call("PEXPIRE", keys.key(0, name), 0)  # the hour is over

    second = unique(period=3600)
    assert broker.submit(second) == second.id


def test_a_period_begins_anew_with_a_replacement(broker):
    first, second = (unique(period=3600, on_duplicate="replace") for _ in range(2))
    broker.submit(first)
    end(broker, first)
    broker.link.call("PEXPIRE", keys.key(0, "unique:k"), 1000)

    assert broker.submit(second) == second.id

    assert broker.link.call("PTTL", keys.key(0, "unique:k")) > HOUR_MS / 2
    assert status(broker, first) == "completed"


# --- replace ---


@pytest.mark.parametrize("standing", ["pending", "scheduled", "retrying"])
def test_a_task_that_nobody_has_in_hand_is_replaced(broker, clock, standing):
    first = unique(run_after_us=clock.in_us(HOUR_MS) if standing == "scheduled" else 0)
    broker.submit(first)
    if standing == "retrying":
        token = claim(broker, executor_of(broker)).token
        broker.finish("w1:0:x", [outcome(first.id, token, "retry", pause_ms=HOUR_MS)])
    second = unique(on_duplicate="replace", priority=3)

    assert broker.submit(second) == second.id

    assert status(broker, first) == "cancelled"
    (*_, told) = state(broker, first).attempts
    assert second.id in told.error
    assert first.id in broker.changes(10).ids
    assert owner(broker) == second.id
    assert broker.stats().count("cancelled") == 1
    assert ids_of(claim(broker, executor_of(broker))) == [second.id]
    audit(broker)


@pytest.mark.parametrize("started", [False, True])
def test_what_is_in_hand_is_left_to_end_beside_its_replacement(broker, started):
    first, token = held(broker, started=started, unique_key="k")
    second = unique(on_duplicate="replace")

    assert broker.submit(second) == second.id
    assert owner(broker) == second.id

    assert broker.finish("w1:0:x", [outcome(first.id, token, number=1)]) == []
    assert owner(broker) == second.id  # not that of the first any more
    assert broker.submit(unique()) == second.id


def test_a_replaced_task_makes_room_in_a_full_queue(broker, options):
    options(MAX_QUEUE_DEPTH=1)
    broker.submit(unique())

    broker.submit(unique(on_duplicate="replace"))

    with pytest.raises(QueueFull):
        broker.submit(unique("other"))


# --- many in a call ---


def test_each_task_of_a_call_is_decided_by_itself(broker):
    old = unique("a")
    broker.submit(old)
    again, new, twice, plain = unique("a"), unique("b"), unique("b"), task()

    assert broker.submit_many([again, new, twice, plain]) == {again.id: old.id, twice.id: new.id}

    assert ids_of(claim(broker, executor_of(broker))) == [old.id, new.id, plain.id]
    assert broker.stats().count("submitted") == 3


def test_a_refusal_refuses_the_whole_call(broker):
    old = unique("a")
    broker.submit(old)
    before = dump(broker, without=())

    replacing, refusing = unique("a", on_duplicate="replace"), unique("b", on_duplicate="refuse")
    with pytest.raises(DuplicateTask, match="Two tasks") as caught:
        broker.submit_many([task(), unique("b"), replacing, refusing])
    assert caught.value.task_id == ""
    with pytest.raises(DuplicateTask, match=old.id):
        broker.submit_many([task(), unique("a", on_duplicate="refuse"), repeated()])

    assert dump(broker, without=()) == before


def test_a_refusal_for_another_reason_replaces_nothing(broker, options):
    options(MAX_QUEUE_DEPTH=1)
    broker.submit(unique())
    before = dump(broker, without=())

    with pytest.raises(QueueFull):
        broker.submit_many([unique(on_duplicate="replace"), task()])

    assert dump(broker, without=()) == before


def test_of_many_replacements_in_a_call_the_last_one_stays(broker):
    old, *news = (unique(on_duplicate="replace") for _ in range(4))
    broker.submit(old)

    assert broker.submit_many(news) == {}

    assert [status(broker, one) for one in (old, *news)] == ["cancelled"] * 3 + ["pending"]
    assert owner(broker) == news[-1].id
    assert list(places(broker)) == [news[-1].id]
    audit(broker)


def test_a_call_of_duplicates_alone_stores_nothing(broker):
    old = unique()
    broker.submit(old)
    before = dump(broker, without=())

    others = broker.submit_many([unique() for _ in range(1000)])

    assert set(others.values()) == {old.id} and len(others) == 1000
    assert dump(broker, without=()) == before


def test_of_many_threads_that_submit_one_key_at_once_one_stores_a_task(broker):
    tasks, answers = [unique() for _ in range(20)], []
    barrier = threading.Barrier(len(tasks))

    def submit(one):
        barrier.wait()
        answers.append(broker.submit(one))

    threads = [threading.Thread(target=submit, args=(one,)) for one in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 20 and len(set(answers)) == 1
    assert broker.stats().count("submitted") == broker.stats().ready == 1


# --- debounce ---


def test_a_debounced_task_waits_and_a_newer_one_replaces_it(broker, clock):
    first, second = debounced(args=[1]), debounced(args=[2])
    broker.submit(first)
    assert places(broker)[first.id] == [("q:default:scheduled", clock.now_ms + 5000.0)]
    clock.advance(4999)

    assert broker.submit(second) == second.id

    assert status(broker, first) == "cancelled"
    assert places(broker) == {second.id: [("q:default:scheduled", clock.now_ms + 5000.0)]}
    clock.advance(5000)
    broker.promote()
    assert ids_of(claim(broker, executor_of(broker))) == [second.id]
    audit(broker)


def test_a_debounced_task_cannot_be_put_off_for_ever(broker, clock):
    began_ms = clock.now_ms
    for _ in range(4):
        last = debounced(wait=5, most=12)
        broker.submit(last)
        clock.advance(3000)

    ((_, due_ms),) = places(broker)[last.id]
    assert due_ms == began_ms + 12_000


def test_a_debounced_task_whose_wait_is_over_is_left_to_run(broker, clock):
    first, second, third = debounced(), debounced(), debounced()
    broker.submit(first)
    clock.advance(5000)
    broker.promote()

    broker.submit(second)  # its own wait, and its own bound
    clock.advance(1000)
    broker.submit(third)

    assert [status(broker, one) for one in (first, second, third)] == [
        "pending", "cancelled", "scheduled",
    ]  # fmt: skip
    assert places(broker)[third.id] == [("q:default:scheduled", clock.now_ms + 5000.0)]
    end(broker, first)
    assert owner(broker) == third.id


def test_a_debounced_task_does_not_start_before_its_own_moment(broker, clock):
    one = debounced(run_after_us=clock.in_us(60_000))
    broker.submit(one)

    assert places(broker)[one.id] == [("q:default:scheduled", clock.now_ms + 60_000.0)]


def test_debounced_tasks_of_one_call_become_the_last_one(broker, clock):
    tasks = [debounced() for _ in range(3)]

    broker.submit_many(tasks)

    assert [status(broker, one) for one in tasks] == ["cancelled", "cancelled", "scheduled"]
    assert owner(broker) == tasks[-1].id


# --- idempotency ---


def test_a_repeated_call_stores_nothing_and_tells_the_first_task(broker):
    first = repeated(args=[1])
    broker.submit(first)
    end(broker, first)
    forgotten(broker, first)
    before = dump(broker, without=())

    assert broker.submit(repeated(args=[1])) == first.id

    assert dump(broker, without=()) == before
    (name,) = named(broker, "promise:*")
    assert 0 < broker.link.call("PTTL", keys.key(0, name)) <= 24 * HOUR_MS
    assert named(broker, "marks") == []


@pytest.mark.parametrize("other", [{"args": [2]}, {"kwargs": {"a": 1}}, {"type": "other"}])
def test_a_key_that_is_used_for_something_else_is_refused(broker, other):
    first = repeated(args=[1])
    broker.submit(first)
    before = dump(broker, without=())

    with pytest.raises(KeyReused, match=first.id) as caught:
        broker.submit_many([task(), repeated(**{"args": [1], **other})])

    assert caught.value.task_id == first.id
    assert dump(broker, without=()) == before


def test_a_call_that_found_another_task_is_repeated_with_that_one(broker):
    first = unique()
    broker.submit(first)
    assert broker.submit(unique(idempotency_key="call")) == first.id
    end(broker, first)

    assert broker.submit(unique(idempotency_key="call")) == first.id
    assert broker.submit(unique(idempotency_key="another")) != first.id


def test_a_key_that_is_given_twice_in_a_call_is_one_task(broker):
    one, two = repeated(), repeated()

    assert broker.submit_many([one, two]) == {two.id: one.id}


def test_the_time_for_repeats_can_be_chosen(broker, options):
    options(IDEMPOTENCY_SECONDS=60)
    broker.submit(repeated())

    (name,) = named(broker, "promise:*")
    assert 0 < broker.link.call("PTTL", keys.key(0, name)) <= 60_000


# --- ids that are promised already ---


@pytest.mark.parametrize("on_duplicate", ["existing", "refuse"])
def test_a_promised_id_is_stored_as_cancelled_if_another_task_stands_for_it(broker, on_duplicate):
    first, second, plain = unique(), unique(on_duplicate=on_duplicate), task()
    broker.submit(first)

    assert broker.submit_many([second, plain], promised=True) == {}

    assert status(broker, second) == "cancelled"
    assert first.id in state(broker, second).attempts[-1].error
    assert status(broker, plain) == "pending"
    assert owner(broker) == first.id
    audit(broker)


# --- what a key lives through ---


def test_a_finished_task_that_is_retried_has_its_key_again(broker):
    first = unique()
    broker.submit(first)
    end(broker, first, "failed")
    (recorded,) = forgotten(broker, first)
    assert marks(broker) == set()

    broker.retry(first, recorded)

    assert owner(broker) == first.id
    assert broker.submit(unique()) == first.id
    end(broker, first)
    assert owner(broker) == ""


def test_a_finished_task_is_not_retried_beside_another_one_of_its_key(broker):
    first, second = unique(), unique()
    broker.submit(first)
    end(broker, first)
    broker.submit(second)
    before = dump(broker, without=())

    with pytest.raises(WrongState, match=second.id):
        broker.retry(first, state(broker, first))
    assert dump(broker, without=()) == before

    end(broker, second)
    broker.retry(first, state(broker, first))
    assert owner(broker) == first.id


def test_a_retry_is_no_submit_and_begins_no_period(broker):
    first, second = unique(period=3600), unique(period=3600)
    broker.submit(first)
    end(broker, first)
    broker.link.call("DEL", keys.key(0, "unique:k"))  # the hour is over
    broker.submit(second)

    broker.retry(first, state(broker, first))

    assert status(broker, first) == "pending"
    assert owner(broker) == second.id


def row(broker, one):
    definition, raw = broker.read([one.id])[one.id]
    return Recorded(one.id, definition, raw or b"", State.decode(raw).is_final)


@pytest.mark.parametrize("on_duplicate", ["existing", "replace"])
def test_keys_are_taken_again_after_a_wipe(broker, on_duplicate):
    first, call = unique(on_duplicate=on_duplicate), repeated()
    broker.submit_many([first, call])
    rows = [row(broker, one) for one in (first, call)]
    broker.link.call("FLUSHALL")

    broker.reconcile(2, rows)

    assert owner(broker) == first.id
    assert marks(broker) == {first.id}
    assert broker.submit(unique()) == first.id
    assert broker.submit(repeated()) == call.id


def test_of_two_restored_tasks_with_one_key_the_later_one_has_it(broker):
    first, _ = held(broker, unique_key="k")
    second = unique(on_duplicate="replace")
    broker.submit(second)
    rows = [row(broker, one) for one in (first, second)]

    for order in (rows, rows[::-1]):
        broker.link.call("FLUSHALL")
        broker.reconcile(2, order)
        assert owner(broker) == second.id


def test_a_task_that_ended_before_a_rollback_has_its_key_no_more(broker):
    first = unique()
    broker.submit(first)
    ended = Recorded(first.id, b"", b"completed|1|1|3|1|0|0||5\n", is_final=True)

    assert broker.reconcile(2, [ended]) == {first.id: "dropped"}

    assert owner(broker) == ""
    assert marks(broker) == set()


def test_nothing_is_left_of_unique_tasks_that_are_forgotten(broker):
    tasks = [unique("a"), unique("a", on_duplicate="replace"), debounced("b")]
    for one in tasks:
        broker.submit(one)
    broker.cancel([one.id for one in tasks])

    forgotten(broker, *tasks)

    assert [n for n in named(broker, "*") if n.startswith(("unique:", "promise:", "marks"))] == []


def test_tasks_without_a_key_leave_no_marks(broker):
    (one,) = submitted(broker)

    assert named(broker, "marks") == []
    end(broker, one)
    assert named(broker, "marks") == []
