"""demand, arrivals, backlog: what workers and leader know of the queues, to choose a size by."""

from tasks_app.broker import keys

from .world import claim, executor_of, submitted, task


def test_a_worker_learns_with_its_renewal_what_waits_and_what_the_leader_tells(broker, clock):
    submitted(broker, 3, queue="a")
    submitted(broker, 2, queue="ä b")
    broker.submit(task(queue="a", run_after_us=clock.in_us(1000)))
    broker.fleet.keep_demand({"a": {"slots": 4}, "other": {"slots": 1}})

    announced = broker.fleet.announce("w1", {}, queues=["a", "ä b", "new", "a"])

    assert announced.backlog == {"a": 3, "ä b": 2, "new": 0}
    assert announced.demand == {"a": {"slots": 4}}
    assert announced.renewed_ms == clock.now_ms


def test_what_a_paused_queue_keeps_is_no_backlog(broker):
    submitted(broker, 3)
    broker.pause("default")
    assert broker.fleet.announce("w1", {}, queues=["default"]).backlog == {"default": 0}

    broker.resume("default")
    assert broker.fleet.announce("w1", {}, queues=["default"]).backlog == {"default": 3}


def test_executors_and_queues_are_not_mixed_up(broker):
    executors = ["w1:0:x", "w1:1:x"]

    announced = broker.fleet.announce("w1", {}, executors=executors, queues=["a", "b"])

    assert list(announced.backlog) == ["a", "b"]
    assert broker.fleet.executors("w1") == executors


def test_a_new_demand_takes_the_place_of_the_old_one_and_is_believed_for_seconds(broker):
    broker.fleet.keep_demand({"a": {"n": 1}, "b": {"n": 1}})
    broker.fleet.keep_demand({"b": {"n": 2}})

    assert broker.fleet.announce("w1", {}, queues=["a", "b"]).demand == {"b": {"n": 2}}
    assert 0 < broker.link.call("TTL", keys.key(0, "demand")) <= 10
    broker.fleet.keep_demand({})
    assert broker.fleet.announce("w1", {}, queues=["a", "b"]).demand == {}


def test_each_shard_is_told_of_its_queues(broker, options):
    options(SHARDS={"far": 1})
    submitted(broker, 2, queue="far")
    broker.fleet.keep_demand({"far": {"n": 1}, "near": {"n": 2}})

    announced = broker.fleet.announce("w1", {}, queues=["near", "far"])

    assert announced.backlog == {"near": 0, "far": 2}
    assert announced.demand == {"far": {"n": 1}, "near": {"n": 2}}
    assert broker.fleet.arrivals() == {"far": 2}


def test_arrivals_are_counted_by_queue_and_never_fall(broker):
    assert broker.fleet.arrivals() == {}
    broker.submit_many([task(queue="a"), task(queue="ä|b"), task(queue="a")])
    submitted(broker, queue="a")
    executor = executor_of(broker)
    claim(broker, executor, queues=["a"])
    broker.reset_counters()

    assert broker.fleet.arrivals() == {"a": 3, "ä|b": 1}


def test_a_queue_whose_name_is_dropped_is_not_counted_any_more(broker, options):
    options(MAX_QUEUES=2)
    submitted(broker, queue="a")
    claim(broker, executor_of(broker), queues=["a"])
    submitted(broker, queue="b")

    submitted(broker, queue="c")

    assert broker.fleet.arrivals() == {"b": 1, "c": 1}
