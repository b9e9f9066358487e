"""Whether a failed task is tried again, and how long it waits for that."""

import sys
from random import Random

import pytest
from django.db import OperationalError

from tasks_app.message import TaskMessage
from tasks_app.options.backoff import DECLARED, Backoff
from tasks_app.options.retrying import is_last, next_pause_ms


def task(backoff):
    return TaskMessage(id="a", type="t", submitted_us=1, backoff=backoff)


@pytest.mark.parametrize(("failures", "longest"), [(1, 2_000), (2, 4_000), (5, 32_000)])
def test_the_longest_pause_doubles_and_any_shorter_one_may_come(failures, longest):
    pauses = [next_pause_ms(task(2.0), failures, Random(seed)) for seed in range(1000)]

    assert 0 <= min(pauses) < longest * 0.05
    assert longest * 0.95 < max(pauses) <= longest


@pytest.mark.parametrize("failures", [20, 1_000, 10**9])
def test_the_pause_is_bounded_however_often_a_task_failed(failures, settings):
    settings.DTPS = {**settings.DTPS, "BACKOFF_MAX_SECONDS": 7}

    pauses = [next_pause_ms(task(1.0), failures, Random(seed)) for seed in range(100)]

    assert 6_000 < max(pauses) <= 7_000


def test_no_backoff_means_no_pause():
    assert next_pause_ms(task(0.0), 3, Random(1)) == 0


def pauses(backoff, failures=4, **more):
    return [next_pause_ms(task(backoff), n, Random(1), **more) for n in range(1, failures + 1)]


def test_the_other_kinds_say_exactly_how_long():
    assert pauses(Backoff.linear(2)) == [2_000, 4_000, 6_000, 8_000]
    assert pauses(Backoff.linear(2, most=5)) == [2_000, 4_000, 5_000, 5_000]
    assert pauses(Backoff.fixed(3)) == [3_000] * 4
    assert pauses(Backoff.list(1, 60)) == [1_000, 60_000, 60_000, 60_000]


def test_an_exponential_one_has_a_bound_of_its_own():
    longest = [next_pause_ms(task(Backoff.exponential(2, most=3)), 9, Random(n)) for n in range(99)]

    assert 2_800 < max(longest) <= 3_000


def test_no_kind_passes_the_bound_of_the_settings(settings):
    settings.DTPS = {**settings.DTPS, "BACKOFF_MAX_SECONDS": 1}

    for backoff in (Backoff.linear(2), Backoff.fixed(3), Backoff.list(9)):
        assert pauses(backoff) == [1_000] * 4
    assert pauses(DECLARED, declared=lambda *_: 10**9, error=OSError()) == [1_000] * 4


def test_a_function_is_told_of_the_failures_and_the_error():
    said = pauses(DECLARED, declared=lambda n, error: n + len(error.args), error=OSError("x"))

    assert said == [2_000, 3_000, 4_000, 5_000]


@pytest.mark.parametrize("answer", [None, "soon", float("nan"), float("inf"), [], 1j])
def test_a_function_that_says_nothing_sound_is_replaced_by_the_setting(answer, settings):
    settings.DTPS = {**settings.DTPS, "BACKOFF_SECONDS": 2}

    assert 0 < pauses(DECLARED, 1, declared=lambda *_: answer, error=OSError())[0] <= 2_000


@pytest.mark.parametrize("raised", [ZeroDivisionError, SystemExit, KeyboardInterrupt])
def test_so_is_one_that_raises_and_it_is_logged(raised, caplog):
    def broken(failures, error):
        raise raised("on purpose")

    assert 0 <= pauses(DECLARED, 1, declared=broken, error=OSError())[0] <= 1_000
    assert "event=backoff_failed" in caplog.text and "on purpose" in caplog.text


def test_a_negative_pause_is_none():
    assert pauses(DECLARED, 1, declared=lambda *_: -5, error=OSError()) == [0]


def given(**options):
    return TaskMessage(id="a", type="t", submitted_us=1, max_attempts=3, **options)


@pytest.mark.parametrize(
    ("options", "error", "last"),
    [
        ({}, ValueError, False),
        ({"retry_on": ("builtins.OSError",)}, OSError, False),
        ({"retry_on": ("builtins.OSError",)}, FileNotFoundError, False),
        ({"retry_on": ("OSError",)}, FileNotFoundError, False),
        ({"retry_on": ("builtins.OSError",)}, ValueError, True),
        ({"retry_on": ("django.db.utils.OperationalError",)}, OperationalError, False),
        ({"retry_on": ("django.db.OperationalError",)}, OperationalError, False),
        ({"retry_on": ("django.db.DatabaseError",)}, OperationalError, False),
        ({"retry_on": ("no.such.Error", "sys")}, OperationalError, True),
        ({"give_up_on": ("builtins.OSError",)}, FileNotFoundError, True),
        ({"give_up_on": ("builtins.OSError",)}, ValueError, False),
        ({"retry_on": ("OSError",), "give_up_on": ("FileNotFoundError",)}, FileNotFoundError, True),
        ({"retry_on": ("OSError",), "give_up_on": ("FileNotFoundError",)}, PermissionError, False),
        ({"retry_on": ("builtins.Exception",)}, SystemExit, True),
        ({"retry_on": ("builtins.BaseException",)}, SystemExit, False),
    ],
)
def test_an_exception_is_retried_or_not_by_its_class_and_all_above_it(options, error, last):
    assert is_last(given(**options), 1, error) is last
    assert is_last(given(**options), 3, error)


def test_a_path_is_looked_up_and_never_imported():
    assert is_last(given(retry_on=("antigravity.Error",)), 1, ValueError)
    assert "antigravity" not in sys.modules
