"""An idle executor's offer: it is handed a task by whoever wakes it, and loses none."""

from tasks_app.broker import keys
from tasks_app.states import Status

from .world import (
    CRASH,
    audit,
    claim,
    executor_of,
    ids_of,
    named,
    outcome,
    state,
    status,
    submitted,
    task,
)


def idle(broker, number=0, queue="default", offer="an-offer", idle_ms=60_000, worker="w1"):
    executor = executor_of(broker, worker, number)
    claim(broker, executor, limit=1, queues=[queue], idle_ms=idle_ms, offer=offer)
    return executor


def test_whoever_wakes_it_hands_it_the_task(broker):
    executor = idle(broker)
    (one,) = submitted(broker, args=[1, "ä"], expires_us=10**16)

    handed = broker.wait(executor, 60)

    assert (ids_of(handed), handed.token, handed.unreadable) == ([one.id], "an-offer", [])
    assert handed.claimed[0].message == one
    assert handed.claimed[0].state == state(broker, one)
    assert (status(broker, one), state(broker, one).owner) == (Status.ASSIGNED, executor)
    assert broker.held_ids(executor) == {one.id: "an-offer"}
    assert broker.finish(executor, [outcome(one.id, "an-offer")]) == []
    assert status(broker, one) == Status.COMPLETED
    audit(broker)


def test_an_offer_is_good_for_one_task(broker):
    executor = idle(broker)
    first, second = submitted(broker, 2)

    assert ids_of(broker.wait(executor, 60)) == [first.id]
    assert status(broker, second) == Status.PENDING
    submitted(broker)
    assert broker.wait(executor, 0.01) is None
    assert broker.withdraw(executor, "an-offer").claimed != []  # what it has not reported yet
    assert ids_of(claim(broker, executor, limit=1)) == [second.id]


def test_the_most_urgent_is_handed_over(broker):
    executor = idle(broker)
    low, high = task(priority=1), task(priority=2)
    broker.submit_many([low, high])

    assert ids_of(broker.wait(executor, 60)) == [high.id]


def test_each_idle_executor_gets_another_one(broker):
    executors = [idle(broker, number, offer=f"offer-{number}") for number in "01"]
    tasks = submitted(broker, 2)

    handed = [broker.wait(executor, 60) for executor in executors]

    assert sorted(ids_of(handed[0]) + ids_of(handed[1])) == [one.id for one in tasks]
    assert [each.token for each in handed] == ["offer-0", "offer-1"]
    audit(broker)


def test_without_an_offer_it_is_only_woken(broker):
    executor = idle(broker, offer="")
    (one,) = submitted(broker)

    assert broker.wait(executor, 60).claimed == []
    assert status(broker, one) == Status.PENDING


def test_an_exchange_ends_the_offer(broker):
    executor = idle(broker)
    claim(broker, executor, limit=1, idle_ms=0)
    (one,) = submitted(broker)

    assert named(broker, "wake:*") == []
    assert named(broker, "offers") == []
    assert status(broker, one) == Status.PENDING


def test_what_was_handed_over_unheard_comes_with_the_withdrawal(broker):
    executor = idle(broker)
    (one,) = submitted(broker)

    answer = broker.withdraw(executor, "an-offer")

    assert (ids_of(answer), answer.token) == ([one.id], "an-offer")
    assert ids_of(broker.withdraw(executor, "an-offer")) == [one.id]  # a repeated call
    assert named(broker, "wake:*") == []  # it does not come twice
    audit(broker)


def test_after_the_withdrawal_nothing_is_handed_over(broker):
    executor = idle(broker)
    assert broker.withdraw(executor, "an-offer").claimed == []

    (one,) = submitted(broker)

    assert status(broker, one) == Status.PENDING
    assert broker.wait(executor, 60).claimed == []


def ask_again(broker, executor, **options):
    """What an executor does after a wait without a wake-up: claim, and offer anew."""
    return broker.exchange(
        executor, "w1", ["default"], limit=5, offer="next-offer", former="an-offer", **options
    )


def test_what_was_handed_over_unheard_comes_with_the_next_claim_and_nothing_more(broker):
    executor = idle(broker)
    first, _ = submitted(broker, 2)

    answer = ask_again(broker, executor, request="once")

    assert (ids_of(answer), answer.token) == ([first.id], "an-offer")
    assert ask_again(broker, executor, request="once") == answer
    assert (named(broker, "wake:*"), named(broker, "offers")) == ([], [])
    audit(broker)


def test_a_claim_that_ends_an_offer_for_which_nothing_came_makes_the_next_one(broker):
    executor = idle(broker)
    answer = ask_again(broker, executor, request="once")
    assert (answer.claimed, answer.token) == ([], "once")

    (one,) = submitted(broker)

    handed = broker.wait(executor, 60)
    assert (ids_of(handed), handed.token) == ([one.id], "next-offer")


def test_an_offer_ends_with_a_claim_of_a_worker_that_lost_its_lease(broker):
    executor = idle(broker)
    broker.fleet.resign("w1")

    assert not ask_again(broker, executor).has_lease

    assert named(broker, "offers") == []


def test_a_paused_queue_hands_nothing_over(broker):
    executor = idle(broker)
    broker.pause("default")
    (one,) = submitted(broker)

    assert broker.wait(executor, 60).claimed == []
    assert status(broker, one) == Status.PENDING


def test_what_has_expired_is_left_to_a_claim(broker, clock):
    executor = idle(broker)
    (one,) = submitted(broker, expires_us=clock.in_us(-1))

    assert broker.wait(executor, 60).claimed == []
    assert claim(broker, executor).claimed == []
    assert status(broker, one) == Status.EXPIRED
    audit(broker)


def test_a_dead_executors_offer_ends_and_what_it_was_handed_comes_back_uncharged(broker):
    dead = idle(broker)
    (one,) = submitted(broker)
    other = idle(broker, number=1, offer="another")

    broker.reap("w1", dead, reason=CRASH, queues=["default"])

    assert ids_of(broker.wait(other, 60)) == [one.id]
    assert (state(broker, one).crashes, state(broker, one).owner) == (0, other)
    idle_again = idle(broker, number=2, offer="a-third")
    broker.reap("w1", idle_again, reason=CRASH, queues=["default"])
    (two,) = submitted(broker)
    assert status(broker, two) == Status.PENDING
    assert named(broker, "offers") == []
    audit(broker)


def test_a_retry_at_once_is_handed_over_too(broker):
    executor = idle(broker)
    (one,) = submitted(broker)
    token = broker.wait(executor, 60).token
    other = idle(broker, number=1, offer="another")

    broker.finish(executor, [outcome(one.id, token, "retry")])

    handed = broker.wait(other, 60)
    assert (ids_of(handed), handed.claimed[0].state.failures) == ([one.id], 1)


def test_what_only_a_newer_version_can_read_is_named(broker):
    executor = idle(broker)
    broker.run("submit", 0, 0, 0, 0, 0, "", 0, "an-id", b"1|default|1|0\nnot JSON", 0, "")

    handed = broker.wait(executor, 60)

    assert (handed.claimed, handed.unreadable) == ([], ["an-id"])


def test_a_resume_hands_over(broker):
    broker.pause("default")
    (one,) = submitted(broker)
    executor = idle(broker)

    broker.resume("default")

    assert ids_of(broker.wait(executor, 60)) == [one.id]
    assert broker.link.call("ZCARD", keys.ready("default")) == 0
