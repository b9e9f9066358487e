"""A result tells the truth in every state, wherever the task is by then."""

import pytest
from django.utils import timezone

from tasks_app import lookup
from tasks_app.api.task_view import status_of
from tasks_app.compat import TaskResultStatus
from tasks_app.exceptions import TaskCancelled, TaskExpired
from tasks_app.message import Attempt, State, StoredTask, TaskMessage, moment, now_us
from tasks_app.results import DJANGOS, attempts_of_run, finished_result, result_of, running_result
from tasks_app.states import Status
from tests.sample import tasks

from .executing import EXECUTOR, WORKER, Hands, record

pytestmark = pytest.mark.django_db

ERROR = {"error_type": "builtins.ValueError", "error": "no", "traceback": "Traceback ...\n"}
ORDER = [TaskResultStatus.READY, TaskResultStatus.RUNNING, TaskResultStatus.SUCCESSFUL]


@pytest.fixture
def hands(broker):
    return Hands(broker)


def stored(status, **fields):
    message = TaskMessage(id="a", type="test", submitted_us=1_000_000)
    return StoredTask(message, State(status=status, **fields))


def lines(*attempts):
    return b"".join(attempt.encode() + b"\n" for attempt in attempts)


def test_every_status_of_ours_is_one_of_djangos():
    ready = {"pending", "scheduled", "waiting", "assigned", "retrying"}

    assert {str(ours): str(djangos) for ours, djangos in DJANGOS.items()} == {
        **dict.fromkeys(ready, "READY"),
        "processing": "RUNNING",
        "completed": "SUCCESSFUL",
        **dict.fromkeys({"failed", "cancelled", "expired"}, "FAILED"),
    }
    assert {result_of(stored(status, starts=1)).status for status in Status} == set(
        TaskResultStatus
    )


def test_a_life_with_a_retry_seen_from_outside(broker, hands):
    result = tasks.echo.using(max_attempts=2).enqueue("x")

    hands.claim()
    result.refresh()
    assert (result.status, result.attempts, result.started_at) == ("READY", 0, None)

    hands.start(result.id)
    result.refresh()
    assert (result.status, result.worker_ids) == ("RUNNING", [WORKER])
    assert result.started_at == result.last_attempted_at
    assert timezone.is_aware(result.started_at)

    hands.settle(result.id, "retry", number=1, started_us=10, ended_us=20, **ERROR)
    result.refresh()
    assert (result.status, result.worker_ids, result.finished_at) == ("READY", [WORKER], None)
    assert [(e.exception_class, e.traceback) for e in result.errors] == [
        (ValueError, "Traceback ...\n")
    ]

    hands.claim()
    hands.settle(result.id, "completed", number=2, started_us=30, ended_us=40, result=0)
    result.refresh()
    assert (result.status, result.return_value) == ("SUCCESSFUL", 0)
    assert (result.attempts, result.worker_ids) == (2, [WORKER, WORKER])
    assert (result.started_at, result.last_attempted_at, result.finished_at) == (
        moment(10), moment(30), moment(40),
    )  # fmt: skip
    assert len(result.errors) == 1


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}, 2**70, "a\0b", {"a": [1, None]}])
def test_a_return_value_comes_back_as_it_was(hands, value):
    result = tasks.echo.enqueue()
    hands.claim()
    hands.settle(result.id, "completed", number=1, result=value)

    assert repr(tasks.echo.get_result(result.id).return_value) == repr(value)


def test_a_failure_has_no_return_value(hands):
    result = tasks.echo.enqueue()
    hands.claim()
    hands.settle(result.id, "failed", number=1, ended_us=9, **ERROR)
    result.refresh()

    assert (result.status, result.is_finished, result.finished_at) == ("FAILED", True, moment(9))
    assert len(result.errors) == 1
    with pytest.raises(ValueError, match="Task failed"):
        result.return_value  # noqa: B018


def test_who_was_cancelled_or_expired_failed_for_that_reason(broker):
    cancelled = tasks.echo.enqueue()
    broker.cancel([cancelled.id], by="Ada")
    cancelled.refresh()
    expired = result_of(stored(Status.EXPIRED, changed_ms=5))

    assert (cancelled.status, cancelled.errors[0].exception_class) == ("FAILED", TaskCancelled)
    assert "Cancelled by Ada" in cancelled.errors[0].traceback
    assert (expired.status, expired.errors[0].exception_class) == ("FAILED", TaskExpired)
    assert expired.finished_at == moment(5000)
    assert cancelled.finished_at is not None
    assert expired.worker_ids == cancelled.worker_ids == []


def test_a_crash_is_an_attempt_that_failed(broker, hands):
    result = tasks.echo.enqueue()
    hands.claim()
    hands.start(result.id)
    broker.reap(
        WORKER,
        EXECUTOR,
        reason=Attempt(
            worker=WORKER, outcome="crashed", error_type="tasks_app.exceptions.WorkerLost"
        ),
    )
    result.refresh()

    assert (result.status, result.worker_ids, len(result.errors)) == ("READY", [WORKER], 1)


def test_what_was_given_back_without_a_start_is_no_attempt():
    given_back = Attempt(worker="w0", outcome="pending", error_type="x.Unknown", error="?")
    done = Attempt(number=1, worker="w1", outcome="completed")

    result = result_of(stored(Status.COMPLETED, starts=1, lines=lines(given_back, done)))

    assert (result.worker_ids, result.errors) == (["w1"], [])


def test_attempts_that_left_no_line_are_counted_all_the_same():
    done = Attempt(number=3, worker="w1", outcome="completed")

    result = result_of(stored(Status.COMPLETED, starts=3, lines=lines(done)))

    assert (result.attempts, result.worker_ids) == (3, ["", "", "w1"])


LOST = "tasks_app.exceptions.WorkerLost"


def test_a_task_that_was_opened_again_starts_afresh():
    first = Attempt(number=1, run=1, worker="w1", outcome="failed", started_us=1, **ERROR)
    crash = Attempt(number=1, run=2, worker="w2", outcome="crashed", error_type=LOST)
    second = Attempt(number=2, run=2, worker="w3", outcome="completed", started_us=5, result=1)
    state = State(
        status=Status.COMPLETED, run=2, starts=2, crashes=1, lines=lines(first, crash, second)
    )

    result = result_of(stored(Status.COMPLETED, run=2, starts=2, crashes=1, lines=state.lines))

    assert attempts_of_run(state) == [crash, second]
    assert (result.worker_ids, len(result.errors), result.return_value) == (["w2", "w3"], 1, 1)
    assert result.started_at == moment(5)
    assert result_of(stored(Status.PENDING, run=2, lines=lines(first))).worker_ids == []


def test_who_is_cancelled_in_a_later_run_is_told_so_everywhere(broker, hands):
    result = tasks.echo.enqueue()
    hands.claim()
    hands.settle(result.id, "failed", number=1, ended_us=9, **ERROR)
    failed = broker.get(result.id)
    broker.retry(failed.message, failed.state)
    broker.cancel([result.id], by="Ada")
    result.refresh()

    assert [error.exception_class for error in result.errors] == [TaskCancelled]
    assert status_of(broker.get(result.id))["error"] == "Cancelled by Ada."


def test_a_running_task_is_in_its_first_attempt_first(broker, hands):
    tasks.context_attempt.enqueue()
    [claimed] = hands.claim()
    message, state = claimed.message, claimed.state

    first = running_result(message, state, 1, "w1", now_us(), tasks.context_attempt)
    failed = State(starts=2, failures=2, lines=lines(
        Attempt(number=1, worker="w1", started_us=5, outcome="retrying", **ERROR),
        Attempt(number=2, worker="w2", started_us=7, outcome="retrying", **ERROR),
    ))  # fmt: skip
    third = running_result(message, failed, 3, "w1", 9, tasks.context_attempt)

    assert (first.status, first.attempts, first.worker_ids) == ("RUNNING", 1, ["w1"])
    assert first.started_at == first.last_attempted_at
    assert first.task.takes_context
    assert (third.attempts, third.worker_ids, len(third.errors)) == (3, ["w1", "w2", "w1"], 2)
    assert (third.started_at, third.last_attempted_at) == (moment(5), moment(9))


def test_what_a_receiver_is_told_is_what_get_result_says(broker, hands):
    for outcome, said in (("completed", {"result": [1]}), ("failed", ERROR)):
        enqueued = tasks.echo.enqueue("x")
        [claimed] = hands.claim()
        attempt = Attempt(
            number=1, worker=WORKER, started_us=10, ended_us=20, outcome=outcome, **said
        )
        hands.settle(enqueued.id, outcome, number=1, started_us=10, ended_us=20, **said)

        told = finished_result(claimed.message, claimed.state, attempt, tasks.echo)

        assert told == tasks.echo.get_result(enqueued.id)


def test_a_status_never_goes_back_nor_missing_while_the_record_moves(broker, hands):
    """Redis, then both, then only the database, then Redis again, with a look after each step."""
    result = tasks.echo.enqueue()
    steps = [
        hands.claim,
        lambda: record(broker, result.id, forget=False),  # the history lags from here on
        lambda: hands.start(result.id),
        lambda: hands.settle(result.id, "completed", number=1, result=7),
        lambda: record(broker, result.id),
    ]
    seen = [result.status]
    for step in steps:
        step()
        seen.append(tasks.echo.get_result(result.id).status)

    assert broker.get(result.id) is None
    assert tasks.echo.get_result(result.id).return_value == 7
    assert [ORDER.index(status) for status in seen] == [0, 0, 0, 1, 2, 2]


def test_a_task_is_found_that_moves_to_the_database_after_the_first_look(
    broker, hands, monkeypatch
):
    result = tasks.echo.enqueue()
    hands.claim()
    hands.settle(result.id, "completed", number=1)
    looks = [(type(broker), "get_many"), (lookup, "_recorded")]
    originals = [getattr(*look) for look in looks]

    def then_moved(look):
        def look_then_move(*args):
            found = look(*args)
            for place, original in zip(looks, originals, strict=True):
                monkeypatch.setattr(*place, original)
            record(broker, result.id)
            return found

        return look_then_move

    for place, original in zip(looks, originals, strict=True):
        monkeypatch.setattr(*place, then_moved(original))

    assert lookup.find(result.id).state.status == "completed"
    assert broker.get(result.id) is None


def test_a_task_is_found_that_comes_back_to_redis_after_the_first_look(broker, monkeypatch):
    late = TaskMessage(id="late", type="test", submitted_us=now_us())
    look_in_database = lookup._recorded

    def submitted_meanwhile(ids):
        found = look_in_database(ids)
        broker.submit(late)
        return found

    monkeypatch.setattr(lookup, "_recorded", submitted_meanwhile)

    assert lookup.find("late").message == late


def test_many_are_found_wherever_they_are(broker, hands):
    live, recorded = tasks.echo.enqueue().id, tasks.echo.enqueue().id
    hands.claim()
    hands.settle(recorded, "completed", number=1)
    record(broker, recorded)

    found = lookup.find_many([live, recorded, "unknown", "\0", "*", live])

    assert set(found) == {live, recorded}
    assert lookup.find_many([]) == {}
