"""The sampler: one sample a second, of counters that only grow."""

from tasks_app.message import now_us
from workers_app.coordinator.services.sampler import Sampler, seconds_to_next

from ..lua.world import claim, executor_of, outcome, submitted


def test_a_sample_tells_what_was_counted_and_what_waits(broker):
    done, failed, _ = submitted(broker, 3)
    submitted(broker, 2, run_after_us=now_us() + 3_600_000_000)
    executor = executor_of(broker)
    token = claim(broker, executor).token
    broker.finish(executor, [outcome(done.id, token), outcome(failed.id, token, "failed")])
    submitted(broker, 4)

    Sampler(broker).tick()

    (sample,) = broker.fleet.samples()
    assert sample.pop("at_ms") > 0
    assert sample == {
        "completed": 1, "failed": 1, "submitted": 9,
        "ready": 4, "scheduled": 2, "active_workers": 1, "slots": 0, "busy": 0,
    }  # fmt: skip


def test_samples_are_kept_in_order(broker):
    sampler = Sampler(broker)

    for count in range(3):
        submitted(broker)
        sampler.tick()
        assert [sample["submitted"] for sample in broker.fleet.samples()] == list(
            range(1, count + 2)
        )


def test_the_pause_ends_at_a_full_second_and_not_at_the_one_that_was_just_sampled():
    assert seconds_to_next(12_000) == 1.0
    assert seconds_to_next(12_300) == 0.7
    assert round(seconds_to_next(12_998), 3) == 1.002
