"""The surveyor: what each queue has, and how fast work arrives."""

import pytest

from tasks_app.broker.answers import Registered
from workers_app.coordinator.services.surveyor import Rates, Surveyor, capacity

from ..conftest import wait_until
from ..lua.world import submitted


def worker(name, *queues, slots=2, bounds=(1, 8), status="active", is_alive=True, **more):
    said = {"queues": list(queues), "slots": slots, "bounds": list(bounds), "status": status}
    return Registered(name, said | more, 2000 if is_alive else 0, 1000)


def agent(name, queues, most, workers, is_alive=True):
    said = {"workers": workers, "fleet": {"queues": queues, "most": most, "workers": workers}}
    return Registered(name, said, 2000 if is_alive else 0, 1000)


def test_slots_and_bounds_are_added_up_for_each_queue():
    found = capacity([worker("a", "default", "mail"), worker("b", "mail", slots=3)], [])

    assert found == {
        "default": {"slots": 2, "most": 8, "workers": 1},
        "mail": {"slots": 5, "most": 16, "workers": 2},
    }


def test_who_takes_no_tasks_does_not_count():
    found = capacity(
        [
            worker("a", "default"),
            worker("paused", "default", status="paused"),
            worker("ending", "default", status="stopping"),
            worker("silent", "default", is_alive=False),
        ],
        [],
    )

    assert found["default"]["workers"] == 1


def test_what_an_agent_may_start_counts_instead_of_what_it_has():
    workers = [worker("k1", "mail", bounds=(2, 2)), worker("other", "mail")]

    found = capacity(workers, [agent("host", ["mail"], 20, ["k1", "k2"])])

    assert found["mail"] == {"slots": 4, "most": 28, "workers": 2}
    gone = capacity(workers, [agent("host", ["mail"], 20, ["k1"], is_alive=False)])
    assert gone["mail"] == {"slots": 4, "most": 10, "workers": 2}


@pytest.mark.parametrize(
    "said", [{}, {"queues": None}, {"queues": ["q"], "slots": "x", "bounds": 7}, {"status": 1}]
)
def test_nonsense_of_one_worker_keeps_nobody_else_out(said):
    odd = Registered("odd", said, 2000, 1000)
    odd_agent = Registered("odd", {"fleet": said}, 2000, 1000)

    found = capacity([odd, worker("a", "default")], [odd_agent])

    assert found["default"] == {"slots": 2, "most": 8, "workers": 1}


# --- rates ---


def rates_after(*counts):
    rates = Rates()
    return [rates.note(float(at), {"q": count}) for at, count in enumerate(counts)][-1]["q"]


def test_a_steady_stream_is_a_rate():
    assert rates_after(100, 110, 120, 130, 140, 150) == 10.0


def test_a_burst_is_a_backlog_and_no_rate():
    assert rates_after(0, 0, 5000, 5000, 5000) == 0.0
    assert rates_after(0, 10, 20, 5030, 5040, 5050) == 10.0


def test_a_counter_that_fell_is_no_negative_rate():
    assert rates_after(100, 110, 120, 0, 10, 20) == 10.0
    assert rates_after(50, 40, 30, 20, 10, 0) == 0.0


def test_it_counts_in_the_time_that_passed():
    rates = Rates()
    for n in range(6):
        found = rates.note(2.0 * n, {"q": 10 * n, f"of{n}": 1})

    assert found["q"] == 5.0
    assert found.keys() == {"q", "of5"}  # what is not counted any more is forgotten


# --- all of it ---


def test_each_worker_is_told_what_there_is_on_its_queues(broker):
    said = {"queues": ["default", "mail"], "slots": 3, "bounds": [1, 9], "status": "active"}
    broker.fleet.announce("w1", said)
    broker.fleet.announce("w2", {**said, "queues": ["mail"]})
    submitted(broker, 4)
    surveyor = Surveyor(broker)

    assert surveyor.tick() == 1.0

    told = broker.fleet.announce("w1", said, queues=["default", "mail"])
    assert told.demand == {
        "default": {"slots": 3, "most": 9, "workers": 1, "arrivalRate": 0.0, "ready": 4},
        "mail": {"slots": 6, "most": 18, "workers": 2, "arrivalRate": 0.0, "ready": 0},
    }


def test_work_that_keeps_arriving_shows_as_a_rate(broker):
    said = {"queues": ["default"], "slots": 3, "bounds": [1, 9], "status": "active"}
    surveyor = Surveyor(broker)

    def rate():
        submitted(broker, 5)
        surveyor.tick()
        told = broker.fleet.announce("w1", said, queues=["default"])
        return told.demand.get("default", {}).get("arrivalRate")

    assert wait_until(rate, "a rate") > 0


def test_a_paused_queue_has_nothing_to_do(broker):
    broker.fleet.announce("w1", {"queues": ["default"], "slots": 3})
    submitted(broker, 4)
    broker.pause("default")

    Surveyor(broker).tick()

    told = broker.fleet.announce("w1", {"queues": ["default"], "slots": 3}, queues=["default"])
    assert told.demand["default"]["ready"] == 0
