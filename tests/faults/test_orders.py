"""Row R7, for what a worker is told: an order whose answer is lost on its way is obeyed, once."""

import pytest

from tasks_app.states import Status

# The bell's answer and the next announcement's, and once more.
LOST = 3


@pytest.fixture
def lossy(world):
    """A line that loses what a worker is told, and the worker at its end."""
    world.coordinator()
    proxy = world.proxy()
    worker = world.worker("--max", "3", url=proxy.through(world.server.url))
    world.wait(lambda: world.is_alive(worker.name), "its registration")
    return proxy, worker


def times_told(worker, order):
    return worker.log.count(f"event=told worker={worker.name} order={order}")


def test_R7_a_worker_is_scaled_once_though_the_answers_that_say_so_are_lost(world, lossy):
    proxy, worker = lossy
    proxy.drop_replies(LOST, word=b'"scale"')

    world.broker.fleet.order(worker.name, {"order": "scale", "slots": 3})

    world.wait(lambda: world.broker.fleet.workers()[worker.name].said["slots"] == 3, "three slots")
    assert (proxy.drops_left, proxy.dropped) == (0, LOST)
    world.broker.fleet.order(worker.name, {"order": "pause"})  # behind all that came before
    world.wait(lambda: times_told(worker, "pause"), "the next order")
    assert times_told(worker, "scale") == 1
    world.settle()


def test_R7_a_task_is_stopped_once_though_the_answers_that_say_so_are_lost(world, lossy, tmp_path):
    proxy, worker = lossy
    task_id = world.producer.submit("effect_until", str(tmp_path / "gate"))
    world.wait_for(task_id, Status.PROCESSING)
    proxy.drop_replies(LOST, word=b'"cancel"')

    world.broker.cancel([task_id])
    (after,) = world.wait_until_final(world.producer.submit("effect"))  # in the same slot

    assert after.status == Status.COMPLETED
    assert (proxy.drops_left, proxy.dropped) == (0, LOST)
    assert world.state(task_id).status == Status.CANCELLED
    world.broker.fleet.order(worker.name, {"order": "pause"})
    world.wait(lambda: times_told(worker, "pause"), "the next order")
    assert times_told(worker, "cancel") == 1
    world.settle()
