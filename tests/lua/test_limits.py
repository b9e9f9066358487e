"""Limits: who is admitted, who waits, and what a key remembers."""

import pytest

from tasks_app.broker import keys
from tasks_app.broker.answers import Limit
from tasks_app.exceptions import QueueFull
from tasks_app.message import State
from tasks_app.options.limits import rate_of
from tasks_app.states import Status

from .world import (
    CRASH,
    audit,
    claim,
    end,
    executor_of,
    ids_of,
    named,
    outcome,
    state,
    status,
    submitted,
    task,
)

KEY = "0" * 32


def limited(broker, count=1, concurrency=0, rate="", limit=KEY, **fields):
    return submitted(
        broker, count, concurrency=concurrency, rate=rate, limit=limit, limit_label="mail", **fields
    )


def taken(broker, executor="w1:0:x", limit=100, **more):
    """Claim all that there is; return the ids."""
    executor_of(broker, *executor.split(":")[:1], int(executor.split(":")[1]))
    return ids_of(claim(broker, executor, limit, idle_ms=0, **more))


def finish(broker, one, said="completed", executor="w1:0:x", **more):
    token = broker.held_ids(executor)[one.id]
    assert broker.finish(executor, [outcome(one.id, token, said, **more)]) == []


def statuses(broker, tasks):
    return [status(broker, one).value for one in tasks]


# --- how many at once ---


def test_no_more_than_the_limit_are_given_out(broker):
    tasks = limited(broker, 5, concurrency=2)

    assert statuses(broker, tasks) == ["pending"] * 2 + ["waiting"] * 3
    assert taken(broker) == [one.id for one in tasks[:2]]
    assert taken(broker, "w2:0:x") == []
    audit(broker)


@pytest.mark.parametrize("said", ["completed", "failed"])
def test_an_end_lets_the_next_one_in(broker, said):
    tasks = limited(broker, 4, concurrency=1)
    taken(broker)

    finish(broker, tasks[0], said)

    assert statuses(broker, tasks) == [said, "pending", "waiting", "waiting"]
    assert taken(broker) == [tasks[1].id]


def test_a_batch_lets_as_many_in_as_it_ends(broker):
    tasks = limited(broker, 6, concurrency=3)
    taken(broker)
    held = broker.held_ids("w1:0:x")

    broker.finish("w1:0:x", [outcome(i, token) for i, token in list(held.items())[:2]])

    assert sorted(taken(broker)) == sorted(one.id for one in tasks[3:5])
    audit(broker)


def test_a_retry_gives_its_place_up_while_it_waits(broker, clock):
    first, second = limited(broker, 2, concurrency=1)
    taken(broker)

    finish(broker, first, "retry", pause_ms=50)

    assert statuses(broker, [first, second]) == ["retrying", "pending"]
    clock.advance(50)
    broker.promote()
    assert statuses(broker, [first, second]) == ["waiting", "pending"]
    audit(broker)


def test_what_is_given_back_stands_at_the_head_of_its_line(broker):
    tasks = limited(broker, 3, concurrency=1)
    taken(broker)

    broker.release("w1:0:x", broker.held_ids("w1:0:x"))

    assert statuses(broker, tasks) == ["pending", "waiting", "waiting"]
    audit(broker)


def test_a_crash_frees_the_place(broker, clock):
    first, second = limited(broker, 2, concurrency=1)
    taken(broker)
    broker.start("w1:0:x", [first.id])

    broker.reap("w1", "w1:0:x", reason=CRASH)

    assert statuses(broker, [first, second]) == ["pending", "waiting"]
    assert taken(broker) == [first.id]
    broker.start("w1:0:x", [first.id])
    broker.reap("w1", "w1:0:x", reason=CRASH)  # the second one: with a pause
    assert statuses(broker, [first, second]) == ["retrying", "pending"]
    audit(broker)


@pytest.mark.parametrize("who", [0, 1, 2])
def test_whoever_is_cancelled_stands_nowhere_any_more(broker, who):
    tasks = limited(broker, 3, concurrency=1)
    taken(broker)

    broker.cancel([tasks[who].id])

    left = [one for one in tasks if one is not tasks[who]]
    wanted = {0: ["pending", "waiting"], 1: ["assigned", "waiting"], 2: ["assigned", "waiting"]}
    assert statuses(broker, left) == wanted[who]
    audit(broker)


def test_what_waits_expires_in_its_line(broker, clock):
    limited(broker, 1, concurrency=1)
    (late,) = limited(broker, 1, concurrency=1, expires_us=clock.in_us(20))
    (other,) = limited(broker, 1, concurrency=1)

    clock.advance(20)
    broker.promote()

    assert statuses(broker, [late, other]) == ["expired", "waiting"]
    audit(broker)


def test_what_expires_in_ready_frees_its_place(broker, clock):
    (late,) = limited(broker, 1, concurrency=1, expires_us=clock.in_us(20))
    (other,) = limited(broker, 1, concurrency=1)

    clock.advance(20)
    assert taken(broker) == []  # this claim finds that it has expired

    assert statuses(broker, [late, other]) == ["expired", "pending"]
    assert taken(broker) == [other.id]


def test_a_scheduled_task_stands_in_line_from_its_moment_on(broker, clock):
    (later,) = limited(broker, 1, concurrency=1, run_after_us=clock.in_us(50))
    (now,) = limited(broker, 1, concurrency=1)

    assert statuses(broker, [later, now]) == ["scheduled", "pending"]
    clock.advance(50)
    broker.promote()
    assert statuses(broker, [later, now]) == ["waiting", "pending"]
    audit(broker)


def test_an_operators_retry_stands_in_line_too(broker):
    done, other = limited(broker, 2, concurrency=1)
    end(broker, done, "cancelled")
    assert statuses(broker, [done, other]) == ["cancelled", "pending"]

    broker.retry(done, State())

    assert statuses(broker, [done, other]) == ["waiting", "pending"]
    end(broker, other, "cancelled")
    assert status(broker, done) == Status.PENDING
    audit(broker)


def test_a_purge_takes_what_waits_and_the_key_goes_on(broker):
    tasks = limited(broker, 5, concurrency=2)
    taken(broker, limit=1)

    assert broker.purge("default") == 4
    (new,) = limited(broker, 1, concurrency=2)
    while broker.sweep()[1]:
        pass

    assert statuses(broker, [*tasks, new]) == ["assigned"] + ["cancelled"] * 4 + ["pending"]
    audit(broker)


def test_what_was_purged_is_not_admitted_before_it_is_swept(broker):
    tasks = limited(broker, 3, concurrency=1)
    taken(broker)
    broker.purge("default")

    finish(broker, tasks[0])

    assert taken(broker) == []
    broker.sweep()
    assert statuses(broker, tasks) == ["completed", "cancelled", "cancelled"]
    audit(broker)


def test_other_keys_and_tasks_without_one_are_not_kept(broker):
    limited(broker, 2, concurrency=1)
    (other,) = limited(broker, 1, concurrency=1, limit="1" * 32)
    (free,) = submitted(broker)

    assert len(taken(broker)) == 3
    assert status(broker, other) == status(broker, free) == Status.ASSIGNED


def test_queues_share_the_limit_of_a_key(broker):
    (first,) = limited(broker, 1, concurrency=1)
    (second,) = limited(broker, 1, concurrency=1, queue="mail/out")
    taken(broker)

    finish(broker, first)

    assert taken(broker, queues=["mail/out"]) == [second.id]
    audit(broker)


def test_the_newest_submit_says_what_the_limit_is(broker):
    tasks = limited(broker, 4, concurrency=1)

    tasks += limited(broker, 1, concurrency=3)

    assert statuses(broker, tasks) == ["pending"] * 3 + ["waiting"] * 2
    tasks += limited(broker, 1, concurrency=1)
    end(broker, tasks[0])
    assert statuses(broker, tasks[:4]) == ["completed", "assigned", "assigned", "waiting"]


def test_what_waits_counts_in_the_depth_of_its_queue(broker, options):
    options(MAX_QUEUE_DEPTH=3)
    limited(broker, 3, concurrency=1)

    with pytest.raises(QueueFull):
        limited(broker, 1, concurrency=1)
    (queue,) = broker.stats().queues
    assert (queue.ready, queue.waiting) == (1, 2)


def test_an_idle_executor_is_handed_what_is_admitted(broker):
    tasks = limited(broker, 2, concurrency=1)
    taken(broker)
    executor_of(broker, "w2")
    claim(broker, "w2:0:x", idle_ms=60_000, offer="t" * 32)

    finish(broker, tasks[0])

    assert ids_of(broker.wait("w2:0:x", 60)) == [tasks[1].id]
    audit(broker)


def test_a_thousand_places_are_given_in_slices(broker):
    limited(broker, 1000, concurrency=1)
    for _ in range(2):
        limited(broker, 600, concurrency=2000)
    for _ in range(3):
        broker.promote()

    assert broker.link.call("ZCARD", keys.ready("default")) == 2000
    audit(broker)


def test_nothing_is_left_when_all_is_over(broker):
    tasks = limited(broker, 3, concurrency=1) + limited(broker, 2, rate="2/s", limit="1" * 32)
    for _ in tasks:
        for task_id in taken(broker):
            finish(broker, task(id=task_id))
    broker.forget({one.id: state(broker, one).version for one in tasks})

    assert named(broker, "marks") == []
    assert named(broker, "limit:*") == ["limit:" + "1" * 32]
    assert 0 < broker.link.call("PTTL", keys.key(0, "limit:" + "1" * 32)) <= 1000


# --- how many in some time ---


def test_as_many_begin_at_once_as_the_bucket_holds(broker, clock):
    tasks = limited(broker, 5, rate="3/s")

    assert taken(broker) == [one.id for one in tasks[:3]]
    for one in tasks[:3]:
        finish(broker, one)
    assert statuses(broker, tasks[3:]) == ["waiting"] * 2


def test_each_token_comes_back_in_its_time(broker, clock):
    tasks = limited(broker, 6, rate="4/s")
    assert len(taken(broker)) == 4

    clock.advance(249)
    assert broker.promote() == (0, 1)
    assert taken(broker) == []
    clock.advance(1)
    broker.promote()
    assert taken(broker) == [tasks[4].id]
    assert broker.promote() == (0, 250)


@pytest.mark.parametrize("between", [[], ["5/m"], [""]])
def test_after_a_change_a_bucket_is_empty_at_most(broker, clock, between):
    limited(broker, 1, rate="1/h")
    taken(broker)
    for rate in between:
        limited(broker, 1, rate=rate)
        taken(broker)

    limited(broker, 100, rate="10/s")

    clock.advance(1000)
    assert len(taken(broker)) == 10
    audit(broker)


def test_a_slower_rate_waits_no_longer_than_for_one_token_of_its_own(broker, clock):
    limited(broker, 100, rate="100/s")
    assert len(taken(broker)) == 100

    (last,) = limited(broker, 1, rate="1/m")

    assert taken(broker) == []
    clock.advance(60_000)
    assert taken(broker) == [last.id]


def test_of_a_rate_that_was_given_up_nothing_is_left(broker, clock):
    tasks = limited(broker, 3, rate="1/h") + limited(broker, 1, rate="")
    assert len(taken(broker)) == 4

    for one in tasks:
        finish(broker, one)

    assert named(broker, "rated") == named(broker, "parked") == []


def test_an_executor_that_claims_needs_no_coordinator(broker, clock):
    tasks = limited(broker, 2, rate="1/m")
    assert taken(broker) == [tasks[0].id]

    clock.advance(60_000)

    assert taken(broker) == [tasks[1].id]


def test_what_lies_ready_for_long_makes_no_second_burst(broker, clock):
    limited(broker, 9, rate="3/s")
    clock.advance(60_000)
    broker.promote()

    assert len(taken(broker)) == 3
    assert len(taken(broker)) == 0
    clock.advance(1000)
    assert len(taken(broker)) == 3


def test_an_unused_bucket_holds_no_more_than_its_tokens(broker, clock):
    limited(broker, 3, rate="3/s")
    taken(broker)
    clock.advance(3_600_000)
    limited(broker, 5, rate="3/s")

    assert len(taken(broker)) == 3


def test_a_cancelled_task_gives_its_token_back_unless_it_was_claimed(broker, clock):
    first, second, third = limited(broker, 3, rate="1/m")
    broker.cancel([first.id])
    assert taken(broker) == [second.id]

    broker.cancel([second.id])

    assert status(broker, third) == Status.WAITING
    audit(broker)


def test_a_retry_needs_another_token(broker, clock):
    (one,) = limited(broker, 1, rate="1/m")
    taken(broker)

    finish(broker, one, "retry")

    assert status(broker, one) == Status.WAITING
    clock.advance(60_000)
    assert taken(broker) == [one.id]


def test_what_is_handed_over_spends_a_token_too(broker, clock):
    executor_of(broker, "w2")
    claim(broker, "w2:0:x", idle_ms=60_000, offer="t" * 32)

    first, second = limited(broker, 2, rate="1/m")

    assert ids_of(broker.wait("w2:0:x", 60)) == [first.id]
    assert status(broker, second) == Status.WAITING
    clock.advance(60_000)
    broker.promote()
    assert taken(broker) == [second.id]


def test_both_limits_have_to_let_a_task_in(broker, clock):
    tasks = limited(broker, 9, rate="3/s", concurrency=2)
    assert len(taken(broker)) == 2

    finish(broker, tasks[0])
    finish(broker, tasks[1])
    assert taken(broker) == [tasks[2].id]  # the third token
    clock.advance(1000)
    assert taken(broker) == [tasks[3].id]  # the second place
    audit(broker)


def test_a_wiped_bucket_is_full(broker, clock):
    (one,) = limited(broker, 1, rate="1/m")
    taken(broker)
    clock.advance(60_000)

    assert named(broker, f"limit:{KEY}*") == [f"limit:{KEY}", f"limit:{KEY}:admitted"]
    finish(broker, one)
    assert named(broker, f"limit:{KEY}*") == []


def test_a_bucket_that_is_used_again_does_not_end(broker):
    for one in limited(broker, 2, rate="2/h"):
        taken(broker)
        finish(broker, one) if one.id in broker.held_ids("w1:0:x") else None
    assert broker.link.call("PTTL", keys.key(0, f"limit:{KEY}")) > 0

    limited(broker, 1, rate="2/h")

    assert broker.link.call("PTTL", keys.key(0, f"limit:{KEY}")) == -1


# --- turns ---


def tenant(n):
    return {"limit": f"{n:032x}", "limit_takes_turns": True}


def test_tenants_take_turns(broker, clock):
    flood = limited(broker, 1000, concurrency=10, **tenant(0))
    clock.advance(500)
    others = [limited(broker, 2, concurrency=10, **tenant(n)) for n in (1, 2)]

    order = taken(broker, limit=14)

    wanted = [flood[0], others[0][0], others[1][0], flood[1], others[0][1], others[1][1]]
    assert set(order[:6]) == {one.id for one in wanted}
    assert order[6:] == [one.id for one in flood[2:10]]


def test_an_old_flood_does_not_stand_before_new_tasks(broker, clock):
    flood = limited(broker, 100, concurrency=1, **tenant(0))
    clock.advance(60_000)
    (new,) = limited(broker, 1, concurrency=1, **tenant(1))
    assert taken(broker, limit=1) == [flood[0].id]

    clock.advance(1)
    finish(broker, flood[0])

    assert taken(broker, limit=1) == [new.id]


def test_priority_comes_before_turns(broker, clock):
    (normal,) = limited(broker, 1, concurrency=1, **tenant(0))
    clock.advance(1000)
    (urgent,) = limited(broker, 1, concurrency=1, priority=1, **tenant(1))

    assert taken(broker) == [urgent.id, normal.id]


def test_a_deadline_that_is_to_come_stays_one(broker, clock):
    (late,) = limited(broker, 1, concurrency=9, deadline_us=clock.in_us(90), **tenant(0))
    (early,) = limited(broker, 1, concurrency=9, deadline_us=clock.in_us(50), **tenant(1))
    (none,) = limited(broker, 1, concurrency=9, **tenant(2))

    assert taken(broker) == [early.id, late.id, none.id]


# --- what is shown ---


def test_it_is_told_how_full_a_limit_is(broker, clock):
    tasks = limited(broker, 5, concurrency=3)
    taken(broker, limit=2)

    assert broker.limits_of(tasks[4].id) == [Limit("mail", "concurrency", 3, 3, ahead=1)]
    assert broker.limits_of(tasks[0].id) == [Limit("mail", "concurrency", 3, 3, ahead=None)]


def test_it_is_told_when_there_is_a_token_again(broker, clock):
    tasks = limited(broker, 3, rate="2/s")
    assert broker.limits_of(tasks[2].id) == [Limit("mail", "rate", 2, 2, 0, None, "2/s")]
    taken(broker)

    at = clock.now_ms + 500
    assert broker.limits_of(tasks[2].id) == [Limit("mail", "rate", 2, 2, 0, at, "2/s")]


def test_a_task_without_a_limit_has_none(broker):
    (one,) = submitted(broker)

    assert broker.limits_of(one.id) == []
    assert broker.limits_of("unknown") == []


def test_of_a_key_with_nothing_to_remember_the_limits_are_told(broker, clock):
    (one,) = limited(broker, 1, concurrency=2, rate="3/m", run_after_us=clock.in_us(50))

    assert broker.limits_of(one.id) == [
        Limit("mail", "concurrency", 0, 2, None),
        Limit("mail", "rate", 0, 3, None, None, "3/m"),
    ]


# --- rates ---


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("10/s", (10, 1000)),
        ("100/m", (100, 60_000)),
        ("5/30s", (5, 30_000)),
        ("1000/h", (1000, 3_600_000)),
        ("1/2d", (1, 172_800_000)),
        ("0/s", None),
        ("10", None),
        ("10/0s", None),
        ("10/w", None),
        ("1/999d", None),
        ("1/s ", None),
    ],
)
def test_a_rate_is_a_number_per_time(text, wanted):
    assert rate_of(text) == wanted
