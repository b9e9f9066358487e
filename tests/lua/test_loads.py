"""loads: how much executors hold."""

from .world import claim, executor_of, held, submitted


def test_what_each_holds_is_counted_over_all_shards(broker, options):
    options(SHARDS={"far": 1})
    executor = executor_of(broker)
    submitted(broker, 3)
    submitted(broker, 2, queue="far")
    claim(broker, executor)
    claim(broker, executor, queues=["far"], shard=1)
    held(broker, "w2:0:x")

    assert broker.loads([executor, "unknown", "w2:0:x"]) == {
        executor: 5, "unknown": 0, "w2:0:x": 1
    }  # fmt: skip
    assert broker.loads([]) == {}
