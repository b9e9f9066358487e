"""The scaler: what it makes of counters and of what the leader says."""

import pytest

from workers_app.autoscaling.scaler import Others, Scaler, Use


@pytest.fixture(autouse=True)
def _options(settings):
    settings.DTPS = {
        **settings.DTPS,
        "SCALE_TARGET_SECONDS": 5.0,
        "SCALE_DOWN_SECONDS": 30.0,
        "SCALE_MEMORY_PERCENT": 100.0,
        "SCALE_CPU_PERCENT": 100.0,
    }


class Pool:
    """Feeds a scaler one beat after the other."""

    def __init__(self, fewest=1, most=10, slots=1):
        self.scaler = Scaler(fewest, most)
        self.slots = slots
        self.at = 100.0

    def beat(self, busy=0, done=0, busy_us=0, backlog=0, demand=(), seconds=1.0):
        self.at += seconds
        decision = self.scaler.tick(
            self.at, slots=self.slots, busy=busy, done=done, busy_us=busy_us, backlog=backlog,
            demand=demand,
        )  # fmt: skip
        if decision:
            self.slots = decision.to_slots
        return decision


def test_a_decision_comes_with_its_reason_and_the_numbers():
    pool = Pool()
    pool.beat(busy=1, done=0)

    decision = pool.beat(busy=1, done=2, busy_us=1_000_000, backlog=40)

    assert (decision.from_slots, decision.to_slots) == (1, 5)
    kept = decision.to_json()
    assert (kept["from"], kept["to"]) == (1, 5)
    assert kept["reason"].startswith("40 tasks wait, 1 run")
    assert kept["at_ms"] > 1_600_000_000_000
    assert kept["numbers"]["mean_seconds"] == 0.5
    assert kept["numbers"]["backlog"] == 40
    assert pool.beat(busy=5, done=12, busy_us=6_000_000, backlog=30) is None


def test_equal_bounds_switch_it_off():
    pool = Pool(fewest=4, most=4, slots=4)

    assert not any(pool.beat(busy=4, done=n, busy_us=n, backlog=1000) for n in range(10))


def test_the_number_that_somebody_chose_is_kept_for_a_while():
    pool = Pool(fewest=2, most=10, slots=4)
    for _ in range(29):
        assert pool.beat() is None

    pool.scaler.resized(12)
    pool.slots = 12

    for _ in range(30):
        assert pool.beat() is None
    assert pool.beat().to_slots == 9
    assert (pool.scaler.fewest, pool.scaler.most) == (2, 12)


def test_others_on_the_queues_take_their_share():
    pool = Pool(most=10)
    shared = [{"slots": 3, "most": 30, "workers": 3, "arrivalRate": 0.0, "ready": 120}]
    pool.beat(busy=1, demand=shared)

    decision = pool.beat(busy=1, done=2, busy_us=1_000_000, backlog=120, demand=shared)

    assert decision.to_slots in (4, 5)  # a third of 12.1
    assert decision.numbers.total_most == 30


# --- how long a task takes ---


def test_the_mean_is_that_of_what_ended_lately():
    use = Use()
    use.note(0.0, 2, 2, 0, 0, 0)
    assert use.mean_seconds == 0.0

    use.note(1.0, 2, 2, 10, 1_000_000, 0)
    assert use.mean_seconds == pytest.approx(0.1)

    for n in range(1, 121):
        use.note(1.0 + n, 2, 2, 10 + n, 1_000_000 + n * 2_000_000, 0)
    assert use.mean_seconds == pytest.approx(2.0, rel=0.05)


def test_long_tasks_show_before_they_end():
    use = Use()
    use.note(0.0, 4, 4, 0, 0, 100)
    for n in range(1, 21):
        use.note(float(n), 4, 4, 40 * n, 4_000_000 * n, 100)
    assert use.mean_seconds == pytest.approx(0.1, rel=0.1)

    for n in range(21, 41):
        use.note(float(n), 4, 4, 800, 80_000_000, 100)

    assert use.mean_seconds > 1.0


def test_a_slot_is_in_use_also_between_very_short_tasks():
    use = Use()
    for n in range(20):  # 0.1 ms each, and 0.4 ms from one to the next
        use.note(float(n), 1, 0, 2500 * n, 250_000 * n, 50_000)

    assert use.mean_seconds == pytest.approx(0.0004, rel=0.1)
    assert use.utilisation == pytest.approx(0.25, rel=0.2)


def test_counters_that_fall_say_nothing():
    use = Use()
    use.note(0.0, 1, 1, 100, 10_000_000, 0)
    use.note(1.0, 1, 1, 110, 11_000_000, 0)

    use.note(2.0, 1, 1, 5, 500_000, 0)
    use.note(2.0, 1, 1, 5, 500_000, 0)

    assert use.mean_seconds == pytest.approx(0.1)


# --- what the leader says ---


def test_of_several_queues_the_busy_ones_count():
    others = Others()
    lonely = {"slots": 2, "most": 10, "workers": 1, "arrivalRate": 0.0, "ready": 0}
    shared = {"slots": 20, "most": 100, "workers": 10, "arrivalRate": 50.0, "ready": 500}

    others.note(0.0, [lonely, shared])
    assert others.with_ours(2, 10) == (20, 100)

    others.note(1.0, [lonely | {"ready": 1000}, shared | {"arrivalRate": 0.0, "ready": 0}])
    assert others.with_ours(2, 10) == (20, 10)
    assert others.arrival_rate == 0.0


def test_without_a_leader_the_last_word_counts_for_a_while():
    others = Others()
    others.note(0.0, [{"slots": 4, "most": 40, "workers": 4, "arrivalRate": 9.0, "ready": 1}])

    others.note(59.0, [])
    assert others.with_ours(1, 10) == (4, 40)
    assert others.arrival_rate == 0.0  # nobody knows

    others.note(61.0, [])
    assert others.with_ours(1, 10) == (1, 10)


@pytest.mark.parametrize("nonsense", [{}, {"most": "many"}, {"most": None, "slots": -3}, "x", None])
def test_nonsense_of_a_leader_is_no_reason_to_stop(nonsense):
    others = Others()
    others.note(0.0, [nonsense])

    assert others.with_ours(2, 10) == (2, 10)
