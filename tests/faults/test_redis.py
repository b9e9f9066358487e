"""Rows R1 to R20: a Redis that restarts, stalls, loses replies, forgets, is full, or is far away.

R7, script by script, is in test_replies.py; for orders, in test_orders.py.
"""

import resource
import shutil
import signal
import threading
from contextlib import contextmanager

import psutil
import pytest

from tasks_app.enqueue import TaskRequest, message_of
from tasks_app.exceptions import QueueFull, QueueUnavailable
from tasks_app.registry import get
from tasks_app.states import Status

from ..conftest import wait_until
from ..redis_server import RedisServer
from .producer import ACKED, REFUSED, Producer
from .rig import CALM, SHORT, hold_for

AWAY = "event=redis_away"


@contextmanager
def load(world, name="effect", *args, **options):
    """Submit tasks all the time, whatever becomes of each call."""
    is_over = threading.Event()

    def submit():
        while not is_over.is_set():
            world.producer.offer(5, name, *args, **options)
            is_over.wait(0.02)

    thread = threading.Thread(target=submit)
    thread.start()
    try:
        yield world.producer
    finally:
        is_over.set()
        thread.join()


def wait_for_more(world, count):
    """Wait until so many more tasks have been executed."""
    before = len(world.executions())
    world.wait(lambda: len(world.executions()) >= before + count, f"{count} more executions")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["in order", "killed"])
def test_R1_R2_what_was_accepted_survives_a_restart_under_load(world, number):
    world.coordinator()
    world.worker(processes=2)
    with load(world) as producer:
        for _ in range(3):
            wait_for_more(world, 20)
            world.end_server(number)
            world.server.start()
        wait_for_more(world, 20)

    verdict = world.settle()
    assert len(producer.ids(ACKED)) > 60
    assert verdict.lost == []


def test_R3_what_a_rolled_back_server_has_lost_is_restored_and_nothing_final_runs_again(
    world, tmp_path
):
    """The append-only file loses its end, as in a power cut that reached the database only."""
    world.coordinator()
    worker = world.worker()
    world.broker.pause("later")
    before = world.producer.submit_many(5, "effect", queue="later")
    world.wait(lambda: world.recorded().keys() >= {*before}, "their records")
    copy = tmp_path / "copy"
    shutil.copytree(world.server.directory / "appendonlydir", copy)
    done = world.producer.submit_many(5, "effect")
    after = world.producer.submit_many(5, "effect", queue="later")
    world.wait_until_final(*done)
    world.wait(
        lambda: world.broker.stats().unrecorded == 0 and world.recorded().keys() >= {*after, *done},
        "all records",
    )

    world.end_server()
    shutil.rmtree(world.server.directory / "appendonlydir")
    shutil.copytree(copy, world.server.directory / "appendonlydir")
    world.server.start()
    world.broker.resume("later")
    world.worker("--queues", "later")

    states = world.wait_until_final(*before, *after, *done)
    assert {state.status for state in states} == {Status.COMPLETED}
    assert len(world.executions()) == 15
    assert worker.is_alive
    world.settle()


def test_R4_without_a_server_a_submit_is_refused_and_nothing_is_claimed_to_be_stored(world):
    world.coordinator()
    world.worker()
    world.end_server()

    refused = world.producer.offer(1, "effect")
    with pytest.raises(QueueUnavailable):
        world.broker.stats()
    world.server.start()
    accepted = world.producer.submit_many(3, "effect")

    assert world.producer.told[refused[0]] == REFUSED
    world.wait_until_final(*accepted)
    world.settle()


def test_R5_what_ends_during_an_outage_is_told_afterwards_and_what_outlives_the_lease_runs_again(
    short_world, tmp_path
):
    world = short_world
    world.coordinator()
    worker = world.worker(processes=3)
    short = [world.producer.submit("effect_until", str(tmp_path / "short")) for _ in range(2)]
    long = world.producer.submit("effect_until", str(tmp_path / "long"))
    runs = [world.wait_for_start(task_id) for task_id in (*short, long)]
    for task_id in (*short, long):
        world.wait_for(task_id, Status.PROCESSING)

    world.end_server()
    (tmp_path / "short").touch()
    wait_until(lambda: all(run.ended_ns for run in world.executions(short[0])), "their ends")
    wait_until(lambda: not _exists(runs[2].pid), "the end of what outlives the lease")
    world.server.start()
    (tmp_path / "long").touch()

    *told, again = world.wait_until_final(*short, long)
    assert {(s.status, s.starts, s.crashes) for s in told} == {(Status.COMPLETED, 1, 0)}
    assert (again.status, again.crashes) == (Status.COMPLETED, 0)
    assert len(world.executions(long)) == 2
    assert worker.is_alive
    world.settle()


def _exists(pid):
    return psutil.pid_exists(pid)


@pytest.mark.parametrize("seconds", [0.05, 0.6])
def test_R6_a_slow_server_makes_nobody_do_anything_twice(world, seconds):
    """A supervisor waits 0.4 s for an answer, the others 1.5 s."""
    world.coordinator()
    proxy = world.proxy()
    url = proxy.through(world.server.url)
    world.worker(processes=2, url=url)
    world.producer.broker = world.broker_at(url, timeout=1.5)
    ids = world.producer.offer(1, "effect")
    world.wait_until_final(*ids)
    proxy.delay_seconds = seconds
    for _ in range(5):
        ids += world.producer.offer(4, "effect")
    world.wait(lambda: len(world.executions()) >= 8, "work at a crawl")
    proxy.heal()

    world.settle()
    assert len(world.executions()) == len({run.id for run in world.executions()})
    world.producer.broker.link.close()


def test_R6_a_server_that_stands_still_makes_nobody_do_anything_twice(world):
    world.leader(processes=2)
    with load(world, "effect", 0.01):
        for _ in range(2):
            wait_for_more(world, 20)
            world.server.process.send_signal(signal.SIGSTOP)
            hold_for(2.0)  # longer than anybody waits for an answer, shorter than the lease
            world.server.process.send_signal(signal.SIGCONT)
        wait_for_more(world, 20)

    assert world.settle().repeats == 0


def test_R7_lost_replies_lose_and_double_nothing(world):
    world.coordinator()
    proxy = world.proxy()
    url = proxy.through(world.server.url)
    world.worker(processes=2, threads=2, url=url)
    world.producer.broker = world.broker_at(url, timeout=5)
    with load(world) as producer:
        for _ in range(15):
            wait_for_more(world, 5)
            proxy.drop_replies(2)
            world.wait(lambda: proxy.drops_left == 0, "the lost replies")
        wait_for_more(world, 20)
    producer.broker.link.close()

    verdict = world.settle()
    assert proxy.dropped == 30
    assert verdict.repeats == 0


def test_R8_scripts_that_are_forgotten_all_the_time_fail_nothing(world):
    worker = world.leader(processes=2)
    with load(world) as producer:
        for _ in range(30):
            wait_for_more(world, 5)
            world.broker.link.call("SCRIPT", "FLUSH")

    verdict = world.settle()
    assert producer.errors == []
    assert AWAY not in worker.log
    assert verdict.repeats == 0


def test_R9_a_full_server_refuses_new_work_and_drains_by_itself(short_world):
    world = short_world
    world.coordinator()
    world.broker.pause("default")
    ids = world.producer.submit_many(300, "effect", 0.005)
    world.broker.link.call("CONFIG", "SET", "maxmemory", "1mb")

    refused = world.producer.offer(5, "effect")
    assert isinstance(world.producer.errors[-1], QueueFull)
    assert {world.producer.told[i] for i in refused} == {REFUSED}
    world.broker.resume("default")
    worker = world.worker(processes=2)
    states = world.wait_until_final(*ids)
    world.broker.link.call("CONFIG", "SET", "maxmemory", "0")

    assert {(s.status, s.starts, s.crashes) for s in states} == {(Status.COMPLETED, 1, 0)}
    assert AWAY not in worker.log
    world.wait_until_final(*world.producer.submit_many(5, "effect"))
    assert world.settle().repeats == 0


def test_R11_a_wiped_server_is_filled_again_from_the_record(world):
    coordinator = world.coordinator()
    world.worker()
    world.broker.pause("later")
    waiting = world.producer.submit_many(20, "effect", queue="later")
    done = world.producer.submit_many(20, "effect")
    world.wait_until_final(*done)
    world.wait(lambda: world.broker.stats().unrecorded == 0, "the record")
    world.wait(lambda: world.recorded().keys() >= {*waiting, *done}, "the record")

    world.broker.link.call("FLUSHALL")
    world.wait(lambda: world.live(waiting).keys() == {*waiting}, "what waited")
    world.worker("--queues", "default,later")

    states = world.wait_until_final(*waiting, *done)
    assert {state.status for state in states} == {Status.COMPLETED}
    assert len(world.executions()) == 40
    assert coordinator.is_alive
    world.wait_until_final(*world.producer.submit_many(5, "effect"))
    world.settle()


@pytest.mark.parametrize("on_lease_lost", ["stop", "continue"])
def test_R15_a_worker_that_is_cut_off_is_replaced_and_its_outcome_refused(
    short_world, tmp_path, on_lease_lost
):
    world = short_world
    world.coordinator()
    proxy = world.proxy()
    world.worker(url=proxy.through(world.server.url), ON_LEASE_LOST=on_lease_lost)
    task_id = world.producer.submit("effect_until", str(tmp_path / "gate"))
    run = world.wait_for_start(task_id)
    world.wait_for(task_id, Status.PROCESSING)

    proxy.cut()
    world.worker()
    world.wait_for_start(task_id, times=2)
    if on_lease_lost == "stop":
        wait_until(lambda: not _exists(run.pid), "the end of what it ran")
    (tmp_path / "gate").touch()
    (state,) = world.wait_until_final(task_id)
    before, stale = world.final_record(task_id), world.count("stale")
    proxy.heal()

    assert [line.outcome for line in state.attempts] == ["crashed", "completed"]
    if on_lease_lost == "continue":
        world.wait(lambda: world.count("stale") > stale, "its late outcome")
    world.wait_until_final(*world.producer.submit_many(4, "effect"))
    world.settle()
    assert world.recorded()[task_id] == before


def test_R16_lines_whose_other_end_vanished_are_given_up(world):
    world.coordinator()
    proxy = world.proxy()
    worker = world.worker(processes=2, url=proxy.through(world.server.url))
    world.wait_until_final(*world.producer.submit_many(4, "effect"))

    proxy.forget()
    ids = world.producer.submit_many(10, "effect")

    states = world.wait_until_final(*ids)
    assert {state.status for state in states} == {Status.COMPLETED}
    assert worker.is_alive
    assert world.settle().repeats == 0


@pytest.fixture
def on_small_disk(make_world, tmp_path):
    """A world whose server is told, when it writes to a file that is too long for it."""
    program = tmp_path / "server"
    program.write_text(f'#!/bin/sh\ntrap "" XFSZ\nexec "{RedisServer().binary}" "$@"\n')
    program.chmod(0o755)
    return make_world(server=RedisServer(str(program)), options=SHORT)


def test_R18_a_server_whose_disk_is_full_is_an_outage_that_passes(on_small_disk):
    world = on_small_disk
    world.coordinator()
    worker = world.worker(processes=2)
    world.wait_until_final(*world.producer.submit_many(4, "effect"))

    server = world.server.process.pid
    files = (world.server.directory / "appendonlydir").glob("*.incr.aof")
    size = max(file.stat().st_size for file in files)
    _, hard = resource.prlimit(server, resource.RLIMIT_FSIZE)
    resource.prlimit(server, resource.RLIMIT_FSIZE, (size + 2000, hard))
    world.wait(
        lambda: world.producer.told[world.producer.offer(5, "effect")[0]] == REFUSED,
        "the refusal",
    )
    assert "MISCONF" in str(world.producer.errors[-1])
    worker.wait_for(AWAY)
    resource.prlimit(server, resource.RLIMIT_FSIZE, (hard, hard))

    world.wait(
        lambda: world.producer.told[world.producer.offer(1, "effect")[0]] == ACKED,
        "the end of the refusals",
    )
    world.settle()


def test_R19_a_long_queue_is_worked_off_and_nobody_asks_for_all_of_it(world):
    world.coordinator()
    many = Producer(world.broker)
    for _ in range(30):
        many.submit_many(1000, "effect", queue="full", priority=-50)
    world.broker.link.call("CONFIG", "RESETSTAT")
    first = world.producer.submit_many(200, "effect", queue="full")
    worker = world.worker("--queues", "full", processes=2)

    states = world.wait_until_final(*first)

    assert {state.status for state in states} == {Status.COMPLETED}
    assert worker.stop() == 0
    assert len(world.broker.ready_ids("full", 3, 100)) == 100
    assert not {"keys", "scan", "hvals", "sort"} & commands_used(world).keys()
    world.broker.purge("full")
    world.producer.told |= many.told
    world.settle()


def test_R20_ten_thousand_queues_cost_a_claim_nothing(make_world, settings):
    settings.DTPS = {**settings.DTPS, "MAX_QUEUES": 0}
    world = make_world(options=CALM | {"MAX_QUEUES": 0})
    world.broker.fleet.announce("w", {}, executors=["w:0:x"])
    alone = commands_of_a_claim(world)
    effect = get("tests.sample.effects.effect")
    for shelf in range(10):
        requests = [TaskRequest(type=effect, queue=f"{shelf}-{n}") for n in range(1000)]
        world.broker.cancel(world.producer.send([message_of(each) for each in requests]))

    assert len(world.broker.stats().queues) > 10_000
    assert commands_of_a_claim(world) == alone
    world.broker.fleet.resign("w")
    world.coordinator()
    world.worker()
    world.wait_until_final(*world.producer.submit_many(20, "effect"))
    world.settle()


def commands_used(world):
    """How often the server has run each command since the last RESETSTAT, also in scripts."""
    lines = world.broker.link.call("INFO", "commandstats").decode().splitlines()
    used = (line.removeprefix("cmdstat_").split(":calls=") for line in lines if ":calls=" in line)
    return {name: int(rest.partition(",")[0]) for name, rest in used}


def commands_of_a_claim(world):
    """How often each command is run to claim a task, once the script is known."""
    for _ in range(2):
        (task_id,) = world.producer.submit_many(1, "effect")
        world.broker.link.call("CONFIG", "RESETSTAT")
        claimed = world.broker.claim("w:0:x", "w", ["default"], 1)
        used = commands_used(world)
        assert [task.message.id for task in claimed.claimed] == [task_id]
        world.broker.cancel([task_id])
    return used
