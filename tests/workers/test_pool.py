"""The numbers of a worker: slots, slices, pauses, and what the API says of them."""

from random import Random

import pytest

from tasks_app.exceptions import InvalidCall
from workers_app.control import LONGEST_ID, PoolConfig, new_worker_id
from workers_app.executor.timing import (
    LONGEST_PAUSE,
    MOST_A_SLICE,
    Mean,
    pause_before_respawn,
    pause_before_try,
    tasks_worth,
)
from workers_app.supervisor.pool import kind_of, layout, processes_for, shares, spread
from workers_app.supervisor.rebirth import reborn
from workers_app.supervisor.safety import judge


@pytest.mark.parametrize("slots", [1, 2, 5, 9, 100])
@pytest.mark.parametrize("cpus", [1, 2, 64])
def test_slots_spread_evenly_over_the_processes(slots, cpus):
    spread = shares(slots, processes_for(slots, cpus))

    assert sum(spread) == slots
    assert max(spread) - min(spread) <= 1
    assert min(spread) >= 1


@pytest.mark.parametrize(
    ("given", "threads"),
    [
        ({"pool_size": 3}, [1, 1, 1]),
        ({"processes": 2, "threads": 3}, [3, 3]),
        ({"processes": 2}, [1, 1]),
        ({"pool_size": 5, "processes": 2}, [3, 2]),
        ({"pool_size": 6, "threads": 4}, [3, 3]),
    ],
)
def test_processes_and_threads_are_as_they_were_asked_for(given, threads):
    assert layout(PoolConfig.fitted(**given)) == threads


@pytest.mark.parametrize(
    ("given", "kind", "slots", "threads"),
    [
        ({"pool_size": 3}, "processes", 5, [1] * 5),
        ({"pool_size": 3}, "processes", 1, [1]),
        ({"processes": 2, "threads": 1}, "processes", 3, [1, 1, 1]),
        ({"processes": 2, "threads": 3}, "threads", 9, [5, 4]),
        ({"processes": 2, "threads": 3}, "threads", 2, [1, 1]),
        ({"processes": 2, "threads": 3}, "threads", 1, [1]),
        ({"pool_size": 5, "processes": 2}, "threads", 6, [3, 3]),
    ],
)
def test_a_pool_grows_and_shrinks_by_what_it_has_many_of(given, kind, slots, threads):
    config = PoolConfig.fitted(**given)

    assert kind_of(config) == kind
    assert spread(config, kind, slots) == threads


@pytest.mark.parametrize(
    ("words", "worker", "again"),
    [
        (["manage.py", "runworker"], "host-0123abcd", ["manage.py", "runworker"]),
        (
            ["manage.py", "runworker", "--id", "w1", "--threads", "2"],
            "w1",
            ["manage.py", "runworker", "--threads", "2", "--name", "w1"],
        ),
        (
            ["manage.py", "runworker", "--id=w1-0123abcd"],
            "w1-0123abcd",
            ["manage.py", "runworker", "--name", "w1"],
        ),
        (
            ["manage.py", "runworker", "--name", "x", "--id", "y"],
            "y",
            ["manage.py", "runworker", "--name", "x"],
        ),
    ],
)
def test_a_worker_that_begins_anew_says_the_same_but_for_its_id(words, worker, again):
    assert reborn(words, worker) == again


def test_short_tasks_are_claimed_in_slices_and_long_ones_one_by_one():
    assert tasks_worth(0.05, 0.0) == MOST_A_SLICE
    assert tasks_worth(0.05, 0.00001) == MOST_A_SLICE
    assert tasks_worth(0.05, 0.005) == 10
    assert tasks_worth(0.05, 3600.0) == 1


def test_a_mean_follows_what_is_new():
    mean = Mean(0.05)

    mean.add(10.0, 1)
    assert mean.seconds > 5
    for _ in range(20):
        mean.add(0.0001, 10)
    assert mean.seconds < 0.0001
    mean.add(1.0, 0)
    assert mean.seconds < 0.0001


def test_pauses_grow_and_have_a_bound():
    pauses = [pause_before_try(n, Random(1)) for n in range(1, 200)]

    assert 0 < pauses[0] < pauses[5] <= max(pauses) <= LONGEST_PAUSE
    assert pause_before_respawn(0) == 0
    assert pause_before_respawn(1) < pause_before_respawn(5) < pause_before_respawn(1000) <= 30


def test_the_api_has_the_defaults_of_its_contract():
    assert PoolConfig.from_json({}).to_json() == {
        "poolSize": 5,
        "enableSteal": True,
        "minWorkers": 1,
        "maxWorkers": 10,
    }


@pytest.mark.parametrize(
    ("given", "fits"),
    [
        ({"poolSize": 20}, (20, 1, 20)),
        ({"minWorkers": 7}, (7, 7, 10)),
        ({"maxWorkers": 3}, (3, 1, 3)),
        ({"poolSize": 1, "minWorkers": 1, "maxWorkers": 1}, (1, 1, 1)),
        ({"processes": 2, "threads": 3}, (6, 1, 10)),
    ],
)
def test_a_bound_that_is_not_given_stretches(given, fits):
    config = PoolConfig.from_json(given)

    assert (config.pool_size, config.min_workers, config.max_workers) == fits
    assert PoolConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"poolSize": 0}, "poolSize"),
        ({"poolSize": "5"}, "poolSize"),
        ({"poolSize": True}, "poolSize"),
        ({"poolSize": 10**9}, "poolSize"),
        ({"minWorkers": 6, "poolSize": 5}, "minWorkers"),
        ({"maxWorkers": 4, "poolSize": 5}, "maxWorkers"),
        ({"enableSteal": "yes"}, "enableSteal"),
        ({"threads": -1}, "threads"),
        ({"poolSize": 5, "processes": 2, "threads": 2}, "poolSize"),
    ],
)
def test_a_pool_that_cannot_be_is_refused_by_the_name_of_its_field(given, field):
    with pytest.raises(InvalidCall) as refused:
        PoolConfig.from_json(given)

    assert field in refused.value.errors


def test_a_worker_id_is_new_each_time_and_free_of_colons():
    ids = {new_worker_id("a:b/ü" * 50) for _ in range(100)}

    assert len(ids) == 100
    assert all(":" not in worker and len(worker) <= LONGEST_ID for worker in ids)


@pytest.mark.parametrize(
    ("version", "aof", "policy", "refusals", "warnings"),
    [
        ("7.0.15", "1", "noeviction", 0, 0),
        ("7.2.4", "0", "noeviction", 0, 1),
        ("6.2.14", "1", "noeviction", 1, 0),
        ("8.0.0", "1", "allkeys-lru", 1, 0),
        ("5.0", "0", "volatile-ttl", 2, 1),
    ],
)
def test_a_server_that_would_lose_tasks_is_refused(version, aof, policy, refusals, warnings):
    verdict = judge({"redis_version": version, "aof_enabled": aof, "maxmemory_policy": policy})

    assert (len(verdict.refusals), len(verdict.warnings)) == (refusals, warnings)
