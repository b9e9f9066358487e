"""Why a task does not run: one test for each reason, with a real server behind it."""

import pytest
from django.test import Client

from tasks_app.broker.answers import Remark
from tasks_app.broker.connection import run_id_in
from tasks_app.enqueue import TaskRequest, message_of, submit
from tasks_app.exceptions import TaskNotFound
from tasks_app.message import Attempt, now_us
from tasks_app.models import Outbox
from tasks_app.note import LOST, UNKNOWN_TYPE
from tasks_app.registry import get, task_types
from tasks_app.remarks import Progress, encode
from tasks_app.sketch import MOST_NAMES, may_know, sketch_of
from tasks_app.states import Status
from tasks_app.why import explain
from tests.conftest import wait_until

from .executing import EXECUTOR, WORKER, Hands, record

HOUR_US = 3_600_000_000


@pytest.fixture
def hands(broker):
    return Hands(broker)


def submitted(name="test", **options):
    """Submit one task. Return its id."""
    [message] = submit([TaskRequest(type=get(name), args=["x"], **options)])
    return message.id


def codes(task_id):
    return [reason.code for reason in explain(task_id).reasons]


def first(task_id, code):
    """The first reason, which must be of this code."""
    [reason, *_] = explain(task_id).reasons
    assert reason.code == code, reason
    return reason


def worker(broker, name=WORKER, **said):
    """Announce a worker that serves the default queue, with two slots, and has run ten tasks."""
    usual = {
        "queues": ["default"], "status": "active", "slots": 2, "active": 0, "reserved": 0,
        "processed": 10, "busyUs": 10_000_000, "known": sketch_of(task_types()),
    }  # fmt: skip
    broker.fleet.announce(name, usual | said, executors=[f"{name}:0:aa"])


def test_nobody_knows_why_of_a_task_that_there_is_not(broker, db):
    with pytest.raises(TaskNotFound):
        explain("nowhere")


def test_a_paused_queue_comes_first(broker):
    task_id = submitted()
    broker.pause("default")

    assert "paused" in first(task_id, "queue_paused").sentence
    assert codes(task_id)[1:] == ["no_worker", "next"]
    assert explain(task_id).reasons[2].sentence == "It is the next of its queue."
    broker.resume("default")
    assert "queue_paused" not in codes(task_id)


def test_a_server_that_no_leader_has_looked_at_since_its_start_lets_nobody_in(broker):
    task_id = submitted()
    worker(broker)
    broker.open_gate("another run")

    assert "restarted" in first(task_id, "gate_closed").sentence

    broker.open_gate(run_id_in(broker.link.call("INFO", "server")))
    assert codes(task_id) == ["next"]


def test_without_any_worker_that_is_said(broker):
    reason = first(submitted(), "no_worker")

    assert "No worker runs at all" in reason.sentence
    assert reason.numbers == {"queue": "default", "workers_alive": 0, "workers_silent": 0}


def test_workers_of_other_queues_are_named(broker):
    worker(broker, queues=["mail", "media"])

    assert (
        "1 worker serves other queues: mail and media." in first(submitted(), "no_worker").sentence
    )


def test_a_worker_that_fell_silent_is_named(broker, settings):
    settings.DTPS = {**settings.DTPS, "LEASE_SECONDS": 0.03, "RENEW_SECONDS": 0.01}
    worker(broker)
    task_id = submitted()
    wait_until(lambda: not broker.fleet.workers()[WORKER].is_alive, "the end of the lease")

    assert f"{WORKER} did, and fell silent" in first(task_id, "no_worker").sentence


def test_workers_that_are_paused_or_stop_are_told_apart(broker):
    task_id = submitted()
    worker(broker, status="paused")
    assert first(task_id, "workers_paused").sentence == (
        f"The only worker of the queue default is paused: {WORKER}."
    )

    worker(broker, "w2", status="stopping")
    assert "All 2 workers" in first(task_id, "workers_paused").sentence

    worker(broker, status="stopping")
    assert first(task_id, "workers_stopping").numbers["stopping"] == 2

    worker(broker, "w3")
    assert codes(task_id) == ["next"]


def test_a_type_that_no_worker_of_the_queue_knows_is_noticed_before_one_is_offered_it(broker):
    worker(broker, known=sketch_of(["primes"]))

    reason = first(submitted(), "unknown_type")

    assert "No worker of the queue default knows the type test" in reason.sentence
    assert reason.numbers["workers_that_know_it"] == 0


def test_a_task_that_was_put_off_since_its_worker_did_not_know_it_says_so(broker, hands):
    task_id = submitted()
    hands.claim()
    hands.settle(task_id, "released", pause_ms=60_000, error_type=UNKNOWN_TYPE)
    worker(broker)

    assert broker.get(task_id).state.status is Status.SCHEDULED
    sentence = first(task_id, "unknown_type").sentence
    assert "1 of 1 may know it. It is offered again in 60 s." in sentence
    assert "scheduled" not in codes(task_id)


def test_a_delayed_task_says_when_it_is_due_and_what_would_stop_it_then(broker):
    task_id = submitted(run_after_us=now_us() + 2 * HOUR_US)

    reason = first(task_id, "scheduled")

    assert reason.sentence.startswith("It is due in 2 h, at ")
    assert 7000 < reason.numbers["due_in_seconds"] < 7201
    assert reason.numbers["due_at"].endswith("Z")
    assert codes(task_id)[1:] == ["no_worker"]


def test_a_due_task_that_nobody_promotes_misses_the_coordinator(broker):
    task_id = submitted(run_after_us=now_us() + 30_000)
    wait_until(lambda: "no_coordinator" in codes(task_id), "the moment")

    assert "has been due for" in first(task_id, "scheduled").sentence
    broker.fleet.lead("somebody")
    assert "no_coordinator" not in codes(task_id)


def test_between_two_attempts_the_last_failure_is_told(broker, hands):
    task_id = submitted(max_attempts=3)
    hands.claim()
    hands.settle(
        task_id, "retry", pause_ms=60_000, error_type="builtins.ValueError", error="no\nsuch  file."
    )

    reason = first(task_id, "retrying")

    assert reason.sentence.startswith(
        "Attempt 1 of 3 failed with ValueError: no such file. The next attempt comes in 60 s, at "
    )
    assert (reason.numbers["failures"], reason.numbers["max_attempts"]) == (1, 3)


def test_a_long_error_is_cut_in_the_sentence_alone(broker, hands):
    task_id = submitted(max_attempts=3)
    hands.claim()
    hands.settle(task_id, "retry", pause_ms=60_000, error_type="a.B", error="x" * 5000)

    reason = first(task_id, "retrying")

    assert len(reason.sentence) < 400
    assert len(reason.numbers["error"]) == 5000


def test_a_task_after_the_death_of_its_process_is_suspect(broker, hands):
    task_id = submitted()
    hands.claim()
    hands.start(task_id)
    reason = Attempt(worker=WORKER, ended_us=now_us(), outcome="crashed", error_type=LOST)
    assert broker.reap(WORKER, EXECUTOR, reason=reason, started=[task_id]) == 1
    worker(broker)

    assert codes(task_id) == ["next", "crashed"]
    assert "died" in explain(task_id).reasons[1].sentence


def test_the_tasks_that_go_first_are_counted_and_the_start_is_estimated(broker):
    for _ in range(20):
        submitted(priority=50)
    task_id = submitted()
    submitted()  # behind it
    worker(broker, active=2, reserved=3)

    reason = first(task_id, "behind")

    # 20 in the queue, 3 in hand, and half of the two that run, one second each, on two slots.
    assert reason.numbers["ahead"] == 20
    assert reason.numbers["expected_start_in_seconds"] == 12.0
    assert reason.sentence == (
        "20 tasks of its queue go first; it starts in about 12 s if nothing more urgent arrives."
    )


def test_the_estimate_is_as_honest_as_its_numbers(broker):
    submitted(priority=50)
    task_id = submitted()
    worker(broker, active=2, processed=2, busyUs=2_000_000)
    assert "too little has run yet" in first(task_id, "behind").sentence

    worker(broker, active=2, queues=["default", "mail"])
    assert "or later, since its workers serve other queues too" in first(task_id, "behind").sentence


def test_the_next_task_of_a_busy_queue_waits_for_a_slot(broker):
    task_id = submitted()
    worker(broker, active=2)

    reason = first(task_id, "next")

    assert reason.sentence.startswith("It is the next of its queue, and all slots are in use; ")
    assert reason.numbers["expected_start_in_seconds"] == 0.5
    worker(broker, active=1)
    assert "any moment" in first(task_id, "next").sentence


def test_the_measured_arrivals_are_among_the_numbers(broker):
    task_id = submitted()
    worker(broker)
    assert first(task_id, "next").numbers["arrival_rate"] is None

    broker.fleet.keep_demand({"default": {"arrivalRate": 2.5}})
    assert first(task_id, "next").numbers["arrival_rate"] == 2.5


def test_a_full_limit_tells_how_full_it_is_and_who_goes_first(broker, hands):
    first_id, second_id, task_id = (submitted(concurrency=1) for _ in range(3))
    hands.claim()
    worker(broker)

    reason = first(task_id, "limit_full")

    assert "is full (1 of 1 at once); 1 task of it goes first." in reason.sentence
    assert first(second_id, "limit_full").sentence.endswith("it is the next.")
    assert first(first_id, "assigned")


def test_a_rate_that_is_used_up_says_when_it_has_room_again(broker, hands):
    submitted(rate="1/m")
    task_id = submitted(rate="1/m")
    hands.claim()
    worker(broker)

    reason = first(task_id, "rate_used_up")

    assert "is used up (1/m): it has room again in " in reason.sentence
    assert 0 < reason.numbers["next_in_seconds"] <= 61


def test_a_committed_task_that_redis_does_not_have_is_in_the_outbox(broker, db):
    message = message_of(TaskRequest(type=get("test"), args=["x"]))
    row = Outbox(id=message.id, definition=message.encode(), created_us=1, turn_us=1)
    row.save()
    assert "its transaction has committed" in first(message.id, "outbox").sentence

    row.tries, row.reason = 2, "Queue default holds all the tasks that it may."
    row.save()
    assert "refused it 2 times. Queue default holds" in first(message.id, "outbox").sentence
    assert codes(message.id) == ["outbox", "no_coordinator"]

    broker.fleet.lead("somebody")
    assert codes(message.id) == ["outbox"]


def test_a_committed_task_whose_process_has_its_turn_misses_nobody(broker, db):
    message = message_of(TaskRequest(type=get("test"), args=["x"]))
    turn_us = now_us() + HOUR_US
    Outbox(id=message.id, definition=message.encode(), created_us=1, turn_us=turn_us).save()

    assert codes(message.id) == ["outbox"]


def test_a_running_task_says_how_far_it_is(broker, hands):
    task_id = submitted()
    hands.claim()
    hands.start(task_id)
    worker(broker)
    said = Progress(done=3, total=12, note="pages")
    remark = Remark(id=task_id, token=hands.tokens[task_id], serial=1, progress=encode(said))
    broker.remark(EXECUTOR, [remark])

    reason = first(task_id, "processing")

    assert reason.sentence.endswith(" It has done 3 of 12 (pages).")
    assert reason.numbers["progress"] == {"done": 3.0, "total": 12.0, "note": "pages"}


def test_a_task_that_put_itself_off_says_so(broker, hands):
    task_id = submitted()
    hands.claim()
    hands.settle(task_id, "snoozed", pause_ms=60_000, snoozes=1)

    assert first(task_id, "snoozed").sentence.startswith("It asked to be run later: it goes on in")


def test_a_debounced_task_waits_for_a_newer_one(broker):
    task_id = submitted(unique=True, debounce=60)

    assert "a newer one of its key" in first(task_id, "debounced").sentence


def test_a_task_in_hand_names_its_worker_and_what_runs_before_it(broker, hands):
    task_id = submitted()
    hands.claim()
    worker(broker, executors=[{"id": EXECUTOR, "active": 1}])

    reason = first(task_id, "assigned")

    assert f"The worker {WORKER} holds it, behind the 1 task" in reason.sentence
    assert reason.numbers["executor"] == EXECUTOR
    assert codes(task_id) == ["assigned"]


def test_a_running_task_says_since_when_and_where(broker, hands):
    task_id = submitted(max_attempts=3, timeout=90)
    hands.claim()
    hands.start(task_id)
    worker(broker)

    reason = first(task_id, "processing")

    assert f"It runs on the worker {WORKER}, since" in reason.sentence
    assert "attempt 1 of 3, which may take 2 min" in reason.sentence
    assert reason.numbers["since"].endswith("Z")


def test_a_task_in_the_hands_of_a_silent_worker_will_come_back(broker, hands, settings):
    task_id = submitted()
    settings.DTPS = {**settings.DTPS, "LEASE_SECONDS": 0.5, "RENEW_SECONDS": 0.1}
    hands.claim()
    wait_until(lambda: "worker_silent" in codes(task_id), "the end of the lease")

    assert codes(task_id) == ["worker_silent", "assigned"]


def test_a_finished_task_tells_how_it_ended_and_whether_that_is_recorded(broker, hands, db):
    task_id = submitted()
    hands.claim()
    at = now_us()
    hands.settle(task_id, "completed", number=1, started_us=at, ended_us=at + 1_500_000)

    reason = first(task_id, "completed")
    assert reason.sentence == f"It completed on the worker {WORKER} after 1.5 s."
    assert codes(task_id) == ["completed", "unrecorded"]

    record(broker, task_id)
    assert codes(task_id) == ["completed"]


@pytest.mark.parametrize(
    ("most", "times", "code", "said"),
    [
        (1, 1, "failed", "It failed with ValueError: no. It had one attempt."),
        (2, 2, "failed", "Attempt 2 of 2 failed with ValueError: no. There was no other"),
        (5, 1, "given_up", "Attempt 1 of 5 failed with ValueError: no. After that error"),
    ],
)
def test_a_failed_task_tells_why_it_is_not_tried_again(broker, hands, most, times, code, said):
    task_id = submitted(max_attempts=most)
    for number in range(1, times + 1):
        hands.claim()
        outcome = "failed" if number == times else "retry"
        hands.settle(task_id, outcome, number=number, error_type="builtins.ValueError", error="no")

    assert first(task_id, code).sentence.startswith(said)


def test_poison_is_called_so(broker, hands, settings):
    settings.DTPS = {**settings.DTPS, "MAX_CRASHES": 1}
    task_id = submitted()
    hands.claim()
    hands.start(task_id)
    reason = Attempt(worker=WORKER, ended_us=now_us(), outcome="crashed", error_type=LOST)
    broker.reap(WORKER, EXECUTOR, reason=reason, started=[task_id])

    assert first(task_id, "poison").sentence.startswith("Poison:")


def test_who_cancelled_it_is_told(broker):
    task_id = submitted()
    broker.cancel([task_id], by="ann")

    assert first(task_id, "cancelled").sentence == "Cancelled by ann."


def test_an_expired_task_says_by_when_it_had_to_begin(broker):
    task_id = submitted(expires_us=now_us() + 20_000)
    wait_until(lambda: broker.promote() and broker.get(task_id).state.is_final, "the expiry")

    assert "Nobody had begun it by" in first(task_id, "expired").sentence


def test_an_expired_task_that_nobody_ends_misses_the_coordinator(broker):
    task_id = submitted(expires_us=now_us() + 20_000)
    wait_until(lambda: "no_coordinator" in codes(task_id), "the expiry")

    assert explain(task_id).reasons[-1].sentence.startswith("It has expired, but no coordinator")
    broker.fleet.lead("somebody")
    assert "no_coordinator" not in codes(task_id)


def test_the_api_answers_with_words_and_numbers(broker, db):
    api = Client(headers={"host": "127.0.0.1:8080"})
    task_id = submitted()

    answer = api.get(f"/api/tasks/{task_id}/why")

    assert answer.status_code == 200
    body = answer.json()
    assert (body["task_id"], body["status"]) == (task_id, "pending")
    assert body["reasons"][0]["code"] == "no_worker"
    assert body["reasons"][0]["sentence"].startswith("No live worker serves the queue default.")
    assert body["reasons"][0]["numbers"]["workers_alive"] == 0
    assert api.get("/api/tasks/nowhere/why").status_code == 404


def test_a_register_full_of_nonsense_does_no_harm(broker):
    task_id = submitted()
    broker.fleet.announce(WORKER, {"queues": "default", "slots": -1, "known": 7})
    assert codes(task_id) == ["no_worker", "next"]

    broker.fleet.announce(
        WORKER, {"queues": ["default"], "slots": "two", "busyUs": None, "executors": 5}
    )
    assert codes(task_id) == ["next"]


def test_a_sketch_knows_its_names_and_hardly_any_other():
    names = [f"shop.tasks.number_{n}" for n in range(200)]
    sketch = sketch_of(names)

    assert all(may_know(sketch, name) for name in names)
    assert sum(may_know(sketch, f"other_{n}") for n in range(1000)) < 5
    assert len(sketch) == 6 * 200
    assert may_know(sketch_of(str(n) for n in range(MOST_NAMES + 1)), "anything")
