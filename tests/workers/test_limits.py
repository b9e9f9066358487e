"""Limits with real workers: how many run at once, how many begin in a time, in which order."""

import time
from dataclasses import dataclass

import pytest

from tests.sample.effects import LOG

from ..conftest import wait_until

MANY = ("--processes", "2", "--threads", "3", "--min", "6", "--max", "6")


@dataclass(frozen=True)
class Effect:
    """One line of what the tasks say."""

    task_id: str
    what: str  # "start" or "end"
    at_ns: int


def effects(var_dir):
    """All that was said, in its order."""
    path = var_dir / LOG
    lines = path.read_text().splitlines() if path.exists() else []
    words = (line.split() for line in lines)
    return [Effect(word[0], word[4], int(word[5])) for word in words]


def starts(var_dir, ids):
    """Those of some tasks, in the order of their moments."""
    wanted = set(ids)
    found = [e for e in effects(var_dir) if e.task_id in wanted and e.what == "start"]
    return sorted(found, key=lambda effect: effect.at_ns)


@pytest.fixture
def workers(start):
    """Two, which are there until the end of the test."""
    both = [start("runworker", *MANY) for _ in range(2)]
    yield both
    for one in both:
        one.stop()


def test_no_more_than_the_limit_run_at_once_on_all_workers(queue, workers, var_dir):
    requests = [queue.request("effect", 0.02, concurrency=3) for _ in range(120)]
    ids = queue.submit_together(requests)
    for task_id in ids:
        queue.wait_until_final(task_id)

    running, most = 0, 0
    mine = set(ids)
    for effect in sorted(effects(var_dir), key=lambda each: (each.at_ns, each.what)):
        if effect.task_id in mine:
            running += 1 if effect.what == "start" else -1
            most = max(most, running)

    assert most == 3
    assert len(starts(var_dir, ids)) == len(ids)


def test_no_more_begin_than_the_bucket_gives(queue, workers, var_dir):
    began_ns = time.monotonic_ns()
    ids = queue.submit_together([queue.request("effect", rate="5/s") for _ in range(20)])
    for task_id in ids:
        queue.wait_until_final(task_id)

    found = starts(var_dir, ids)

    # Whoever is late begins later than his token came, never earlier.
    for number, effect in enumerate(found, 1):
        assert number <= 5 + 5 * (effect.at_ns - began_ns) / 1e9 + 0.01
    assert len(found) == len(ids)


def test_a_flood_of_one_tenant_does_not_stand_before_the_others(queue, start, var_dir):
    def requests(tenant, count):
        return [queue.request("effect_of_tenant", kwargs={"tenant": tenant}) for _ in range(count)]

    flood = []
    for _ in range(5):
        flood += queue.submit_together(requests("flood", 1000))
    worker = start("runworker", "--processes", "1", "--threads", "2", "--min", "2", "--max", "2")
    wait_until(lambda: len(starts(var_dir, flood)) > 200, "the flood")

    others = queue.submit_together([r for n in range(5) for r in requests(f"tenant {n}", 5)])
    before = len(starts(var_dir, flood))
    for task_id in others:
        queue.wait_until_final(task_id)
    queue.broker.purge("default")

    last = starts(var_dir, others)[-1]
    meanwhile = [e for e in starts(var_dir, flood)[before:] if e.at_ns < last.at_ns]
    assert len(starts(var_dir, others)) == 25
    # Ten were in hand or ready; with each round of the others comes one more.
    assert len(meanwhile) <= 60
    wait_until(lambda: queue.broker.sweep() == (0, False), "the sweep")
    worker.stop()
