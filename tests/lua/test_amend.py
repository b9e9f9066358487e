"""amend: a task that nobody holds gets another priority or queue, and moves to where it belongs."""

import pytest
from msgspec.structs import replace

from tasks_app.message import State, priority_of
from tasks_app.options.unique import Unique
from tests.conftest import wait_until

from .test_cancel import assigned, pending, processing, retrying, scheduled
from .test_limits import limited
from .world import (
    audit,
    claim,
    dump,
    end,
    executor_of,
    ids_of,
    named,
    places,
    state,
    submitted,
    task,
)


def amend(broker, *ones, **fields):
    """What comes of the order that these tasks be so."""
    stored = broker.read([one.id for one in ones])
    orders = [(stored[one.id][0], replace(one, **fields)) for one in ones]
    return broker.amend(orders)


@pytest.mark.parametrize("bring", [pending, scheduled, retrying])
@pytest.mark.parametrize("fields", [{"priority": 80}, {"queue": "other / one"}])
def test_a_task_that_waits_moves_and_keeps_all_else(broker, bring, fields):
    one = bring(broker)
    before, ((key, score),) = state(broker, one), places(broker)[one.id]

    assert amend(broker, one, **fields) == {one.id: "amended"}

    after = state(broker, one)
    assert (after.status, after.version) == (before.status, before.version + 1)
    assert (after.run, after.changed_ms, after.lines) == (
        before.run, before.changed_ms, before.lines,
    )  # fmt: skip
    assert broker.get(one.id).message == replace(one, **fields)
    ((moved, new_score),) = places(broker)[one.id]
    assert moved == key.replace("default", "other%20%2F%20one") if "queue" in fields else key
    wanted = replace(one, **fields).rank if bring is pending else score
    assert new_score == wanted
    assert one.id in broker.changes(10).ids
    if one.expires_us:
        assert len(named(broker, "q:*:expiring")) == 1
    audit(broker)


def test_a_higher_priority_goes_first_and_wakes_whoever_is_idle(broker):
    first, second = submitted(broker, 2, queue="slow")
    executor = executor_of(broker)
    assert claim(broker, executor, queues=["default"]).claimed == []

    amend(broker, first, second, queue="default")
    amend(broker, replace(second, queue="default"), priority=1)

    assert broker.wait(executor, 1) is not None
    assert ids_of(claim(broker, executor)) == [second.id, first.id]


@pytest.mark.parametrize("bring", [assigned, processing])
def test_a_task_in_hand_is_left_alone(broker, bring):
    one = bring(broker)
    before = dump(broker, without=())

    assert amend(broker, one, priority=1) == {one.id: bring.__name__}

    assert dump(broker, without=()) == before


@pytest.mark.parametrize("final", ["completed", "failed", "cancelled"])
def test_a_finished_task_is_left_alone(broker, final):
    (one,) = submitted(broker)
    end(broker, one, final)
    before = dump(broker, without=())

    assert amend(broker, one, priority=1) == {one.id: final}

    assert dump(broker, without=()) == before


def test_one_that_was_changed_meanwhile_is_left_alone(broker):
    (one,) = submitted(broker)
    unknown = task()
    seen = one.encode()
    amend(broker, one, priority=1)
    before = dump(broker, without=())

    answers = broker.amend([(seen, replace(one, queue="x")), (b"", unknown)])

    assert answers == {one.id: "other", unknown.id: "unknown"}
    assert dump(broker, without=()) == before


def test_what_a_purge_has_put_aside_stays_there(broker):
    (one,) = submitted(broker)
    broker.purge("default")
    before = dump(broker, without=())

    assert amend(broker, one, queue="x") == {one.id: "aside"}

    assert dump(broker, without=()) == before


def test_a_limit_is_kept_and_its_line_is_ordered_anew(broker):
    first, second, third = limited(broker, 3, concurrency=1)
    assert [name for name, _ in places(broker)[third.id]] == ["q:default:waiting"]

    assert amend(broker, third, queue="mail", priority=priority_of(10)) == {third.id: "amended"}

    audit(broker)
    assert [name for name, _ in places(broker)[third.id]] == ["q:mail:waiting"]
    broker.cancel([first.id])
    assert [name for name, _ in places(broker)[third.id]] == ["q:mail:ready"]
    assert [name for name, _ in places(broker)[second.id]] == ["q:default:waiting"]
    assert ids_of(claim(broker, executor_of(broker), queues=["mail"])) == [third.id]
    audit(broker)


def test_one_that_its_limit_has_let_in_gives_its_place_up_to_whoever_is_more_urgent(broker):
    first, second = limited(broker, 2, concurrency=1)

    amend(broker, first, priority=-100)

    audit(broker)
    assert [name for name, _ in places(broker)[first.id]] == ["q:default:waiting"]
    assert [name for name, _ in places(broker)[second.id]] == ["q:default:ready"]


def test_a_unique_key_stays_with_its_task(broker):
    one = task(unique_key="k", unique=Unique())
    broker.submit(one)
    before = {name: broker.link.call("GET", f"dtps:{{s0}}:{name}") for name in named(broker, "u*")}
    assert before

    amend(broker, one, queue="x", priority=1)

    after = {name: broker.link.call("GET", f"dtps:{{s0}}:{name}") for name in named(broker, "u*")}
    assert after == before
    assert broker.submit(task(unique_key="k", unique=Unique())) == one.id
    broker.cancel([one.id])
    assert named(broker, "u*") == []


def test_many_big_ones_take_several_calls(broker):
    ones = [task(args=["x" * 1_000_000]) for _ in range(20)] + [task() for _ in range(1200)]
    for some in (ones[:20], ones[20:1000], ones[1000:]):
        broker.submit_many(some)

    answers = amend(broker, *ones, priority=1)

    assert answers == {one.id: "amended" for one in ones}
    assert wait_until(lambda: broker.stats().queues[0].levels[5]) == len(ones)


def test_a_scheduled_one_starts_when_it_would_have(broker, clock):
    one = task(run_after_us=clock.in_us(1000))
    broker.submit(one)
    amend(broker, one, queue="x")

    clock.advance(1000)
    broker.promote()

    assert broker.get(one.id).state == State(version=3, changed_ms=clock.now_ms, status="pending")
    assert ids_of(claim(broker, executor_of(broker), queues=["x"])) == [one.id]


def test_one_that_is_due_and_not_promoted_yet_is_not_lost(broker, clock):
    one = task(run_after_us=clock.in_us(1000))
    broker.submit(one)
    clock.advance(2000)

    amend(broker, one, queue="x")
    audit(broker)
    broker.promote()

    assert ids_of(claim(broker, executor_of(broker), queues=["x"])) == [one.id]


def test_a_queue_too_many_is_refused_until_one_is_empty(broker, options):
    options(MAX_QUEUES=3)
    one, two, three = (submitted(broker, queue=name)[0] for name in ("a", "b", "c"))
    before = dump(broker)

    assert amend(broker, one, queue="d") == {one.id: "queues"}
    assert dump(broker) == before

    assert amend(broker, one, queue="b") == {one.id: "amended"}
    assert set(amend(broker, two, three, queue="d").values()) == {"amended"}  # "a" is empty
    assert {queue.name for queue in broker.stats().queues} == {"b", "c", "d"}
    audit(broker)


def test_two_new_queues_in_one_call_are_both_counted(broker, options):
    options(MAX_QUEUES=3)
    one, two = submitted(broker, 2, queue="a")[0], submitted(broker, 2, queue="b")[0]
    stored = broker.read([one.id, two.id])

    orders = [
        (stored[each.id][0], replace(each, queue=name)) for each, name in ((one, "c"), (two, "d"))
    ]

    assert list(broker.amend(orders).values()) == ["amended", "queues"]
    audit(broker)
