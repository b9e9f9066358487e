"""The pause before a retry: exponential, fully jittered, bounded."""

from random import Random

import pytest

from tasks_app.message import TaskMessage
from tasks_app.retrying import next_pause_ms


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
