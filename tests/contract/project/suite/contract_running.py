"""What becomes of a task in a worker, and what its result says at each moment."""

import asyncio
import json
from datetime import UTC, datetime, timedelta, timezone

import loose
import pytest
from asgiref.sync import async_to_sync
from bookshop import tasks
from bookshop.api import TaskResultStatus
from bookshop.models import Book, Page
from django.test import override_settings
from django.utils import timezone as clock
from waiting import finished, value_of, wait_until


def test_a_new_result_is_ready_and_knows_nothing_yet():
    result = tasks.add.using(run_after=clock.now() + timedelta(days=1)).enqueue(1, second=2)

    for seen in (result, tasks.add.get_result(result.id)):
        assert seen.status == TaskResultStatus.READY and not seen.is_finished
        assert (seen.args, seen.kwargs) == ([1], {"second": 2})
        assert (seen.errors, seen.worker_ids, seen.attempts) == ([], [], 0)
        assert seen.started_at is seen.finished_at is seen.last_attempted_at is None
        assert clock.is_aware(seen.enqueued_at)
        assert isinstance(seen.id, str) and len(seen.id) <= 64
        assert seen.backend == "default"
        with pytest.raises(ValueError, match="Task has not finished yet"):
            seen.return_value  # noqa: B018


def test_a_result_is_a_snapshot_until_it_is_refreshed():
    result = tasks.give_back.enqueue([1])
    other = tasks.give_back.get_result(result.id)
    result.args[0].append(2)
    result.worker_ids.append("me")

    assert other.args == [[1]] and "me" not in other.worker_ids
    assert finished(other).args == [[1]]
    assert result.status == TaskResultStatus.READY
    async_to_sync(result.arefresh)()
    assert result.return_value == {"args": [[1]], "kwargs": {}}
    assert len(result.worker_ids) == 1


def test_a_success_has_its_value_and_its_times_in_order():
    result = finished(tasks.add.enqueue(1, second=2))

    assert result.status == TaskResultStatus.SUCCESSFUL and result.return_value == 3
    assert result.enqueued_at <= result.started_at == result.last_attempted_at
    assert result.started_at <= result.finished_at
    assert (result.attempts, len(result.worker_ids), result.errors) == (1, 1, [])


def test_a_failure_has_its_exception_and_no_value():
    result = finished(tasks.fail.enqueue())

    assert result.status == TaskResultStatus.FAILED
    assert (result.attempts, len(result.errors)) == (1, 1)  # nobody has asked for a retry
    assert result.errors[0].exception_class is ValueError
    assert result.errors[0].exception_class_path == "builtins.ValueError"
    assert result.errors[0].traceback.startswith("Traceback (most recent call last)")
    assert 'raise ValueError("on purpose")' in result.errors[0].traceback
    assert "executor" not in result.errors[0].traceback
    with pytest.raises(ValueError, match="Task failed"):
        result.return_value  # noqa: B018


def test_any_exception_can_be_told():
    result = finished(tasks.fail_in_an_own_way.enqueue())

    assert result.errors[0].exception_class is tasks.OwnError


@pytest.mark.parametrize(
    "name", ["SystemExit", "KeyboardInterrupt", "GeneratorExit", "BaseException"]
)
def test_nothing_that_a_task_raises_ends_its_worker(name):
    result = finished(tasks.leave.enqueue(name))

    assert result.status == TaskResultStatus.FAILED
    assert result.errors[0].exception_class_path == f"builtins.{name}"
    assert (result.attempts, len(result.worker_ids)) == (1, 1)
    assert value_of(tasks.add.enqueue(1)) == 1


def test_nor_does_what_a_coroutine_raises():
    result = finished(tasks.leave_a_coroutine.enqueue())

    assert result.errors[0].exception_class is SystemExit
    assert value_of(tasks.slowly.enqueue(1)) == 1


def test_a_retry_that_was_asked_for_keeps_the_errors_before_it():
    result = finished(tasks.third_time_lucky.enqueue())

    assert result.status == TaskResultStatus.SUCCESSFUL
    assert result.return_value == ["builtins.ConnectionError"] * 2
    assert [error.exception_class for error in result.errors] == [ConnectionError] * 2
    assert result.attempts == len(result.worker_ids) == 3
    assert result.enqueued_at <= result.started_at < result.last_attempted_at <= result.finished_at


def test_a_task_that_fails_for_good_has_an_error_for_each_attempt():
    result = finished(tasks.never_lucky.enqueue())

    assert result.status == TaskResultStatus.FAILED
    assert result.attempts == len(result.errors) == len(result.worker_ids) == 2


def test_the_first_attempt_is_told_that_it_is_the_first_and_all_that_was_overridden():
    moment = clock.now() - timedelta(microseconds=5)
    changed = tasks.look_at_myself.using(priority=-7, queue_name="mail", run_after=moment)

    result = changed.enqueue(1)

    assert value_of(result) == {
        "attempt": 1, "id": result.id, "status": "RUNNING", "attempts": 1, "workers": 1,
        "priority": -7, "queue": "mail", "run_after": moment.astimezone(UTC).isoformat(),
        "backend": ["default", "default"], "args": [1], "has_started": True,
    }  # fmt: skip
    found = tasks.look_at_myself.get_result(result.id)
    assert found.task == changed


@pytest.mark.parametrize("ask", [tasks.ask_for_myself, tasks.ask_for_myself_in_a_coroutine])
def test_an_attempt_that_asks_for_its_own_result_finds_that_it_runs(ask):
    assert value_of(ask.enqueue()) == ["RUNNING", 1, False]


def test_a_task_outside_of_every_app_is_run_like_any_other():
    assert value_of(loose.wander.enqueue(3)) == 3


def test_zero_and_default_are_overrides_too():
    plain = tasks.important.using(priority=0, queue_name="default")

    found = tasks.important.get_result(plain.enqueue().id)

    assert (found.task.priority, found.task.queue_name) == (0, "default")


@pytest.mark.parametrize(
    "moment",
    [
        datetime(9000, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=-9, minutes=-30))),
        datetime(2100, 7, 1, 0, 0, 0, 1, tzinfo=UTC),
    ],
)
def test_a_moment_far_away_comes_back_to_the_microsecond(moment):
    result = tasks.add.using(run_after=moment).enqueue(1)

    assert tasks.add.get_result(result.id).task.run_after == moment


def test_a_deferred_task_waits_and_holds_up_nobody():
    due = clock.now() + timedelta(seconds=1.5)
    later = tasks.add.using(priority=100, run_after=due).enqueue(1)
    now = finished(tasks.add.using(priority=-100).enqueue(2))

    assert now.status == TaskResultStatus.SUCCESSFUL
    assert finished(later).started_at >= due


def test_all_201_priorities_are_told_apart_and_equal_ones_keep_their_order():
    Page.objects.filter(text__startswith="line").delete()
    blocker = tasks.hold_the_line.using(priority=100).enqueue("the last of the line")
    wait_until(lambda: tasks.hold_the_line.get_result(blocker.id).status == "RUNNING")
    priorities = [0, -100, 100, 99, 1, 2, -1, 0, 50, 51, -99, 100, 0]

    results = [
        tasks.stand_in_line.using(priority=priority).enqueue(f"line {number:02}")
        for number, priority in enumerate(priorities)
    ]
    Book.objects.create(title="the last of the line")
    for result in results:
        finished(result)

    ran = Page.objects.filter(text__startswith="line").order_by("pk").values_list("text", flat=True)
    wanted = sorted(range(len(priorities)), key=lambda n: (-priorities[n], n))
    assert [int(text.split()[1]) for text in ran] == wanted


VALUES = [
    [], {}, [[]], {"a": {}}, [None, True, False], 2**53 + 1, 2**64 + 1, -(2**70), 0.1, 1e300,
    "nul \0 inside", "Grüße 🎉", "", {"": 1}, ["a" * 10_000],
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_any_json_goes_there_and_back(value):
    result = tasks.give_back.enqueue(value, named=value)

    assert value_of(result) == {"args": [value], "kwargs": {"named": value}}
    assert tasks.give_back.get_result(result.id).args == [value]
    assert tasks.give_back.get_result(result.id).kwargs == {"named": value}
    assert json.dumps(result.return_value["args"]) == json.dumps([value])  # True is not 1


def test_tuples_become_lists_and_bytes_text_on_the_way_there_and_back():
    result = tasks.give_back.enqueue((1, (2,)), b"text", key={"nested": ("x",)})

    assert result.args == [[1, [2]], "text"] and result.kwargs == {"key": {"nested": ["x"]}}
    assert value_of(result)["args"] == [[1, [2]], "text"]
    assert value_of(tasks.give_bytes.enqueue("Grüße")) == "Grüße"


@pytest.mark.parametrize(
    ("kind", "error"),
    [("object", TypeError), ("set", TypeError), ("nan", ValueError), ("latin1", ValueError),
     ("surrogate", ValueError)],
)  # fmt: skip
def test_a_value_that_json_cannot_carry_is_a_failure(kind, error):
    result = finished(tasks.give_what_no_json_has.enqueue(kind))

    assert result.status == TaskResultStatus.FAILED
    assert issubclass(result.errors[0].exception_class, error)


def test_the_users_names_are_the_users_own():
    names = ("task", "args", "kwargs", "queue", "queue_name", "priority", "timeout", "id", "alias",
             "backend")  # fmt: skip
    kwargs = {name: number for number, name in enumerate(names)}

    assert value_of(tasks.awkward_names.enqueue(**kwargs)) == list(range(len(names)))


def test_a_status_never_goes_back_and_is_never_lost():
    order = ["READY", "RUNNING", "SUCCESSFUL"]
    results = [tasks.add.enqueue(n) for n in range(50)]
    seen = {result.id: [] for result in results}

    def look():
        for result in results:
            seen[result.id].append(tasks.add.get_result(result.id).status)
        return all(statuses[-1] == "SUCCESSFUL" for statuses in seen.values())

    wait_until(look)
    for _ in range(20):  # Redis forgets them now, and the history takes over
        look()
    for statuses in seen.values():
        assert statuses == sorted(statuses, key=order.index)


def test_coroutines_run_and_may_ask_the_database():
    Book.objects.get_or_create(title="a book to count")

    assert value_of(tasks.count_books.enqueue()) >= 1
    assert [value_of(tasks.slowly.enqueue(n)) for n in range(3)] == [0, 1, 2]


def test_async_code_enqueues_looks_and_refreshes_in_any_loop():
    async def journey():
        result = await tasks.slowly.aenqueue("x")
        found = await tasks.slowly.aget_result(result.id)
        while not found.is_finished:
            await asyncio.sleep(0.02)
            await found.arefresh()
        return found.return_value

    assert [asyncio.run(journey()), asyncio.run(journey()), async_to_sync(journey)()] == ["x"] * 3


@pytest.mark.parametrize("speak", [tasks.speak, tasks.speak_in_a_coroutine])
def test_what_a_task_leaves_in_its_context_is_gone_for_the_next(speak):
    results = [speak.enqueue(language) for language in ("de", "ne") * 6]

    assert [value_of(result) for result in results] == [["en-us", "none"]] * 12


def test_a_task_runs_in_autocommit():
    assert value_of(tasks.is_in_a_transaction.enqueue()) is False


def test_a_transaction_that_is_left_open_takes_nothing_with_it_but_what_is_in_it():
    results = [tasks.leave_a_transaction_open.enqueue(f"open {n}") for n in range(6)]
    after = [tasks.print_page.enqueue(f"after {n}") for n in range(6)]

    assert [value_of(result) for result in results] == ["done"] * 6
    for result in after:
        value_of(result)
    texts = set(Page.objects.values_list("text", flat=True))
    assert {f"open {n}: before" for n in range(6)} | {f"after {n}" for n in range(6)} <= texts
    assert not {f"open {n}: inside" for n in range(6)} & texts


def test_a_task_may_enqueue_another_one():
    value_of(tasks.chain.enqueue("chained"))

    page = Page.objects.get(text="chained")
    wait_until(lambda: Page.objects.filter(text=f"chained: {page.pk}").exists())


def test_without_time_zones_every_moment_is_local_and_naive():
    before = datetime.now()
    with override_settings(USE_TZ=False):
        moment = datetime(2100, 7, 1, 12, 30, 0, 5)
        later = tasks.add.using(run_after=moment).enqueue(1)
        result = finished(tasks.add.enqueue(1))

        assert tasks.add.get_result(later.id).task.run_after == moment
        for seen in (result.enqueued_at, result.started_at, result.finished_at):
            assert seen.tzinfo is None
        assert abs(result.enqueued_at - clock.now()) < timedelta(hours=1)
    assert before.tzinfo is None


def test_a_task_that_its_worker_does_not_know_ends_as_failed_and_harms_nobody():
    result = tasks.new_task.enqueue()  # the worker is older than we

    finished(result)

    assert result.status == TaskResultStatus.FAILED
    assert result.errors and "new_task" in result.errors[0].traceback
    assert value_of(tasks.add.enqueue(1)) == 1
