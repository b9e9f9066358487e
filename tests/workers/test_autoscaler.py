"""The autoscaler: what it decides on given numbers, and what comes of it in a simulated world."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from workers_app.autoscaling.autoscaler import History, Numbers, desired_slots, wish

from .simulation import World, most_reversals

BUSY = Numbers(
    at=1000.0, slots=2, fewest=1, most=10, busy=2, utilisation=1.0, backlog=0, arrival_rate=0.0,
    mean_seconds=0.1, total_slots=2, total_most=10, memory_percent=50.0, cpu_percent=50.0,
)  # fmt: skip
LONG_IDLE = History(changed_at=0.0, since=0.0)


@pytest.fixture(autouse=True)
def _options(settings):
    settings.DTPS = {
        **settings.DTPS,
        "SCALE_TARGET_SECONDS": 5.0,
        "SCALE_DOWN_SECONDS": 30.0,
        "SCALE_MEMORY_PERCENT": 100.0,
        "SCALE_CPU_PERCENT": 100.0,
    }


# --- up ---


def test_it_has_the_slots_that_keep_up_and_drain_the_backlog_within_the_target():
    numbers = replace(
        BUSY, most=24, backlog=240, arrival_rate=12.0, mean_seconds=0.4, total_most=72, busy=2
    )

    slots, reason = desired_slots(numbers, History())

    assert slots == 8
    assert reason == (
        "240 tasks wait, 2 run and 12/s arrive at 0.4 s each: 25 slots drain them in 5 s; "
        "this worker's share is 8."
    )


def test_a_task_never_asks_for_more_than_one_slot():
    numbers = replace(BUSY, backlog=3, mean_seconds=600.0)

    slots, reason = desired_slots(numbers, History())

    assert slots == 5
    assert "5 slots run them at once" in reason


def test_what_cannot_be_shared_evenly_goes_to_some_and_not_to_all():
    numbers = replace(BUSY, slots=1, busy=1, backlog=700, total_most=100, total_slots=10)

    slots = [desired_slots(replace(numbers, luck=place / 10), History())[0] for place in range(10)]

    assert sum(slots) == 14
    assert set(slots) == {1, 2}


def test_without_experience_it_doubles_as_long_as_all_slots_are_in_use():
    numbers = replace(BUSY, mean_seconds=0.0, backlog=50)

    assert desired_slots(numbers, History())[0] == 4
    assert desired_slots(replace(numbers, busy=1), History())[0] == 2
    assert desired_slots(replace(numbers, backlog=1), History())[0] == 3


def test_it_decides_at_most_once_a_second():
    numbers = replace(BUSY, backlog=500)

    assert desired_slots(numbers, History(changed_at=999.5))[0] == 2
    assert desired_slots(numbers, History(changed_at=999.0))[0] == 10


@pytest.mark.parametrize(
    ("option", "field", "name"),
    [
        ("SCALE_MEMORY_PERCENT", "memory_percent", "memory"),
        ("SCALE_CPU_PERCENT", "cpu_percent", "processor"),
    ],
)
def test_it_does_not_grow_on_a_host_that_has_nothing_left(settings, option, field, name):
    settings.DTPS = {**settings.DTPS, option: 90.0}
    numbers = replace(BUSY, backlog=500)

    slots, reason = desired_slots(replace(numbers, **{field: 92.0}), History())

    assert slots == 2
    assert f"92 % of the host's {name} is in use, and the limit is 90 %" in reason
    assert desired_slots(replace(numbers, **{field: 90.0}), History())[0] == 10


def test_slots_that_would_stand_idle_too_are_not_added():
    paused = replace(BUSY, busy=0, utilisation=0.0, backlog=1000, slots=4)

    slots, reason = desired_slots(paused, History())

    assert slots == 4
    assert "most slots are idle" in reason


def test_it_takes_more_than_its_share_when_the_others_do_not_help():
    numbers = replace(BUSY, backlog=400, total_slots=40, total_most=100, most=10, slots=2)
    assert desired_slots(numbers, History())[0] == 2

    history = History().after(replace(numbers, at=980.0), 2)
    assert desired_slots(replace(numbers, at=989.9), history)[0] == 2
    slots, reason = desired_slots(replace(numbers, at=990.0), history)

    assert slots == 3
    assert "have been in use for 10 s" in reason


# --- down ---


def test_it_gives_slots_up_only_when_fewer_have_sufficed_for_long():
    idle = replace(BUSY, slots=8, busy=0, utilisation=0.0)

    assert desired_slots(idle, History())[0] == 8
    assert desired_slots(idle, replace(LONG_IDLE, since=971.0))[0] == 8
    slots, reason = desired_slots(idle, replace(LONG_IDLE, needs=((980.0, 3),)))

    assert slots == 6
    assert reason == "For 30 s no more than 3 slots would have been needed."


def test_it_keeps_what_was_needed_at_any_moment_of_that_time():
    idle = replace(BUSY, slots=8, busy=0, utilisation=0.0)

    history = LONG_IDLE.after(replace(idle, at=980.0, utilisation=0.7), 8)
    history = history.after(replace(idle, at=990.0, utilisation=0.1), 8)

    assert desired_slots(idle, history)[0] == 7
    assert desired_slots(replace(idle, at=1009.9), history)[0] == 7
    assert desired_slots(replace(idle, at=1010.0), history)[0] == 6


def test_it_remembers_no_more_than_it_needs_for_that():
    history = LONG_IDLE
    for n in range(1000):
        history = history.after(replace(BUSY, at=n / 10, slots=8, utilisation=n % 7 / 7), 8)

    assert len(history.needs) <= 8


def test_while_unknown_work_waits_for_a_slot_none_is_given_up():
    starting = replace(BUSY, slots=4, busy=2, utilisation=0.2, mean_seconds=0.0, backlog=2)

    assert desired_slots(starting, LONG_IDLE)[0] == 4
    assert desired_slots(replace(starting, backlog=1), LONG_IDLE)[0] == 3


def test_growth_starts_that_time_anew():
    careful = replace(BUSY, mean_seconds=0.0, backlog=500)
    slots, _ = desired_slots(careful, LONG_IDLE)
    assert slots == 4

    history = LONG_IDLE.after(careful, slots)

    assert history.since == BUSY.at
    assert history.changed_at == BUSY.at


def test_steps_down_follow_each_other_slowly():
    idle = replace(BUSY, slots=8, busy=0, utilisation=0.0)

    history = LONG_IDLE.after(idle, 6)

    assert desired_slots(replace(idle, slots=6, at=1004.9), history)[0] == 6
    assert desired_slots(replace(idle, slots=6, at=1005.0), history)[0] == 5


def test_what_comes_in_units_goes_in_units():
    idle = replace(BUSY, slots=8, busy=0, utilisation=0.0, unit=4, most=12)

    assert desired_slots(idle, LONG_IDLE)[0] == 4
    assert desired_slots(replace(idle, fewest=0, slots=4), LONG_IDLE)[0] == 0
    assert desired_slots(idle, replace(LONG_IDLE, needs=((980.0, 5),)))[0] == 8
    assert desired_slots(replace(BUSY, backlog=300, most=12, unit=4, fewest=4), History())[0] == 4
    assert (
        desired_slots(replace(BUSY, backlog=250, slots=4, busy=4, most=12, unit=4), History())[0]
        == 8
    )


def test_a_busy_slot_is_never_given_up():
    mostly = replace(BUSY, slots=8, busy=7, utilisation=0.1)

    assert desired_slots(mostly, LONG_IDLE)[0] == 7
    assert desired_slots(replace(mostly, most=4), LONG_IDLE)[0] == 7


def test_it_goes_back_within_its_bounds():
    outside = replace(BUSY, slots=12, busy=0, utilisation=0.0)

    assert desired_slots(outside, History())[0] == 10
    assert desired_slots(replace(outside, slots=1, fewest=3), History())[0] == 3


# --- whatever the numbers are ---

many = examples(deadline=None, derandomize=True, database=None, max_examples=300)
COUNTS = st.integers(0, 2000)
SOME_NUMBERS = st.builds(
    lambda fewest, more, total, slots, busy, **rest: Numbers(
        fewest=fewest, most=fewest + more, slots=slots, busy=min(busy, slots),
        total_slots=total, total_most=total, **rest,
    ),
    fewest=st.integers(0, 50), more=st.integers(0, 200), total=COUNTS, slots=st.integers(0, 300),
    busy=COUNTS, at=st.floats(0, 1e6), utilisation=st.floats(0, 1), backlog=st.integers(0, 10**7),
    arrival_rate=st.floats(0, 1e5), mean_seconds=st.floats(0, 1e5),
    memory_percent=st.floats(0, 100), cpu_percent=st.floats(0, 100),
    luck=st.floats(0, 1, exclude_max=True),
)  # fmt: skip
SOME_HISTORY = st.builds(
    History,
    changed_at=st.floats(-1e6, 1e6), since=st.none() | st.floats(-1e6, 1e6),
    needs=st.lists(st.tuples(st.floats(-1e6, 1e6), st.integers(0, 300)), max_size=3).map(tuple),
    short_since=st.none() | st.floats(-1e6, 1e6),
)  # fmt: skip


@many
@given(SOME_NUMBERS, SOME_HISTORY)
def test_it_stays_within_its_bounds_and_never_takes_a_busy_slot(numbers, history):
    slots, reason = desired_slots(numbers, history)

    assert slots <= max(numbers.most, numbers.busy)
    assert slots >= min(numbers.fewest, numbers.slots)
    assert slots >= min(numbers.busy, numbers.slots)
    assert reason.endswith(".")


@many
@given(SOME_NUMBERS, SOME_HISTORY)
def test_the_same_numbers_mean_the_same_decision(numbers, history):
    assert desired_slots(numbers, history) == desired_slots(numbers, history)


@many
@given(SOME_NUMBERS, st.lists(st.integers(1, 50), min_size=1, max_size=30))
def test_the_shares_of_all_workers_hardly_exceed_the_whole(numbers, mosts):
    numbers = replace(numbers, total_most=sum(mosts), busy=0)
    rng = Random(1)

    wishes = [wish(replace(numbers, most=most, luck=rng.random())) for most in mosts]

    # Each is rounded once, by less than a slot.
    assert sum(w.share for w in wishes) < wishes[0].total + len(mosts)


# --- what comes of it ---


def poisson(rng, rate, begin, end, seconds):
    """Tasks that arrive by chance, ``rate`` a second."""
    at, tasks = begin, []
    while (at := at + rng.expovariate(rate)) < end:
        tasks.append((at, seconds()))
    return tasks


def step(rng):
    return poisson(rng, 50, 5, 95, lambda: 0.2)


def burst(rng):
    return [(5.0, 0.1)] * 2000


def small_burst(rng):
    return [(5.0, 0.1)] * 100


def sawtooth(rng):
    return [
        each for n in range(6) for each in poisson(rng, 40, 5 + 40 * n, 15 + 40 * n, lambda: 0.3)
    ]


def slow_sawtooth(rng):
    return [
        each for n in range(4) for each in poisson(rng, 40, 5 + 90 * n, 30 + 90 * n, lambda: 0.3)
    ]


def long_tasks(rng):
    return [(5.0, 30.0)] * 20


def long_stream(rng):
    return poisson(rng, 0.2, 5, 305, lambda: 60.0)


def two_kinds(rng):
    return poisson(rng, 10, 5, 155, lambda: 0.05 if rng.random() < 0.9 else 5.0)


def growing_longer(rng):
    return poisson(rng, 30, 5, 65, lambda: 0.1) + poisson(rng, 3, 65, 125, lambda: 3.0)


def tiny_tasks(rng):
    return [(5.0, 0.002)] * 25_000


LOADS = [
    step, burst, small_burst, sawtooth, slow_sawtooth, long_tasks, long_stream, two_kinds,
    growing_longer, tiny_tasks,
]  # fmt: skip
TARGET_SECONDS = 5.0


@pytest.mark.parametrize("workers", [1, 5], ids=["alone", "five"])
@pytest.mark.parametrize("load", LOADS, ids=lambda load: load.__name__)
def test_a_load_is_served_without_flapping_and_without_ending_anything(load, workers):
    tasks = load(Random(7))
    last = max(at for at, _ in tasks)
    most = 20 // workers if workers > 1 else 20

    world = World(tasks, workers=workers, most=most).run(last + 400)
    ideal = World(tasks, workers=workers, most=most, slots=most, scales=False).run(last + 400)

    assert world.finished == len(tasks)
    assert world.interrupted == 0
    assert max(most_reversals(worker.decisions) for worker in world.workers) <= 1
    # Of every wait, the scaling is to blame for less than the target and its reaction.
    assert world.longest_wait <= 2 * max(ideal.longest_wait, TARGET_SECONDS)
    assert world.last_finish - 5 <= 2 * max(ideal.last_finish - 5, TARGET_SECONDS)
    assert world.slots == workers  # in the end nothing is left of it


@pytest.mark.parametrize("seed", range(5))
def test_many_workers_on_one_queue_do_not_all_jump(seed):
    tasks = [(5.0, 0.1)] * 2000  # 40 slots drain that in 5 s

    world = World(tasks, workers=20, most=20, seed=seed).run(60)

    assert world.finished == len(tasks)
    assert world.peak <= 1.5 * 40
    assert world.last_finish - 5 <= 2 * TARGET_SECONDS


@pytest.mark.parametrize("load", [burst, step, long_tasks, tiny_tasks], ids=lambda f: f.__name__)
def test_it_reacts_within_two_seconds(load):
    world = World(load(Random(7)), most=20).run(20)

    at, before, to = world.workers[0].decisions[0]
    assert to > before
    assert at <= 5 + 2


def test_without_work_nothing_is_decided_but_to_go_down():
    world = World([], workers=3, most=10, slots=5).run(200)

    assert world.slots == 3
    assert all(to < before for w in world.workers for _, before, to in w.decisions)
    assert min(at for w in world.workers for at, _, _ in w.decisions) >= 30
