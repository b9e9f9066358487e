"""What a fleet that waits for work costs the server: its heartbeats, its idle calls, its orders.

The workers are light: they say and ask what real ones do, as often, with connections of their own,
but many share a process.
"""

import multiprocessing
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from uuid import uuid4

from tasks_app.broker import Broker, broker
from tasks_app.broker.connection import Link
from tasks_app.conf import conf
from workers_app.executor.executor import IDLE_MS, IDLE_SECONDS
from workers_app.supervisor.bell import Bell

from .report import Line
from .work import ROOT, wait_until

SLOTS = 4
PROCESSES = 4
SETTLE_SECONDS = 3.0  # after the last worker has registered
MEASURE_SECONDS = 10.0
ORDERS_A_SECOND = 10
ORDER = {"order": "resume"}


def measure(count: int) -> list[Line]:
    queue = broker()
    queue.link.call("FLUSHDB")
    with _coordinator():
        wait_until(queue.fleet.leader, "a leader")
        alone = _share()
        with _workers(count):
            wait_until(lambda: len(queue.fleet.workers()) == count, "all workers")
            time.sleep(SETTLE_SECONDS)
            idle = _share()
            ordered = _share(_orders(Random(1)))
            calls = _calls_a_second()
    size = f"{count} idle workers x {SLOTS} slots"
    return [
        Line("the server with a coordinator alone", alone, "% core"),
        Line(f"with {size}", idle, "% core", f"{idle - alone:.2f} % for them"),
        Line(f"with {ORDERS_A_SECOND} orders a second too", ordered, "% core"),
        Line("calls a second meanwhile", calls, "/s"),
    ]


def _share(acts: Iterator[None] | None = None) -> float:
    """The server's processor time, in percent of one core, while something goes on."""
    began, before = time.perf_counter(), _spent()
    while (passed := time.perf_counter() - began) < MEASURE_SECONDS:
        if acts is None:
            time.sleep(MEASURE_SECONDS - passed)
        else:
            next(acts)
    return (_spent() - before) / (time.perf_counter() - began) * 100


def _spent() -> float:
    cpu = broker().link.client().info("cpu")
    return cpu["used_cpu_user"] + cpu["used_cpu_sys"]


def _calls_a_second() -> float:
    client = broker().link.client()
    before, began = client.info("stats")["total_commands_processed"], time.perf_counter()
    time.sleep(2.0)
    after = client.info("stats")["total_commands_processed"]
    return (after - before) / (time.perf_counter() - began)


def _orders(rng: Random) -> Iterator[None]:
    """Orders to workers, evenly over time."""
    fleet = broker().fleet
    names = list(fleet.workers())
    while True:
        fleet.order(rng.choice(names), ORDER)
        time.sleep(1 / ORDERS_A_SECOND)
        yield


@contextmanager
def _coordinator() -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "runcoordinator"], cwd=ROOT, env=os.environ,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


@contextmanager
def _workers(count: int) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    names = [f"light-{n}" for n in range(count)]
    processes = [
        context.Process(target=serve, args=(names[n::PROCESSES], stop), daemon=True)
        for n in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        stop.set()
        for process in processes:
            process.join()


def serve(names: list[str], stop: threading.Event) -> None:
    """Be some workers: one thread is all their supervisors, and each executor has one."""
    import django

    django.setup()
    queue = Broker(Link(conf().redis_url, timeout=5))
    executors = {name: [f"{name}:{n}:{uuid4().hex[:8]}" for n in range(SLOTS)] for name in names}
    bells = {name: Bell(queue.link, name) for name in names}
    for name in names:  # an executor may claim once it is announced
        queue.fleet.announce(name, said(name, executors[name]), executors=executors[name])
    for name in names:
        for executor in executors[name]:
            threading.Thread(target=wait, args=(queue, name, executor), daemon=True).start()
    due = {name: time.monotonic() + n / len(names) for n, name in enumerate(names)}
    while not stop.is_set():
        _beat(queue, executors, bells, due)
    os._exit(0)  # the executors wait for the server, not for us


def _beat(queue: Broker, executors: dict, bells: dict[str, Bell], due: dict[str, float]) -> None:
    """Renew whose lease is due, and fetch the orders of whose bell has rung."""
    name = min(due, key=due.get)
    files = {number: each for each, bell in bells.items() for number in bell.files}
    ready = select.select(list(files), [], [], max(0.0, due[name] - time.monotonic()))[0]
    for number in ready:
        if bells[files[number]].has_rung():
            queue.fleet.orders(files[number])
    if time.monotonic() >= due[name]:
        due[name] += conf().renew_seconds
        queue.fleet.announce(
            name, said(name, executors[name]), executors=executors[name], queues=["default"]
        )
        bells[name].listen()


def said(name: str, executors: list[str]) -> dict:
    """About what a real worker says of itself."""
    return {
        "hostname": "benchmark", "pid": os.getpid(), "started_us": 1, "queues": ["default"],
        "kind": "processes", "types": 20, "config": {"poolSize": SLOTS}, "version": "0.1.0",
        "slots": SLOTS, "processes": SLOTS, "threads": 1, "bounds": [1, 10], "status": "active",
        "processed": 123_456, "failed": 12, "stolen": 0, "stolenFrom": 0, "crashed": 0,
        "recycled": 0, "active": 0, "reserved": 0, "busyUs": 123_456_789,
        "executors": [
            {"id": each, "pid": 12_345, "active": 0, "reserved": 0, "memoryBytes": 50_000_000}
            for each in executors
        ],
    }  # fmt: skip


def wait(queue: Broker, worker: str, executor: str) -> None:
    """Be an idle executor: ask for work with an offer, sleep until woken, ask again."""
    offer = ""
    while True:
        former, offer = offer, uuid4().hex
        queue.exchange(
            executor, worker, ["default"], limit=1, idle_ms=IDLE_MS, offer=offer, steals=True,
            former=former,
        )  # fmt: skip
        queue.wait(executor, IDLE_SECONDS)
