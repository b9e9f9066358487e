"""The host agent: workers appear and end when somebody asks for it, or when there is work."""

import json
import signal

import psutil
import pytest

from tasks_app.enqueue import TaskRequest, submit
from tasks_app.exceptions import NoAgent, WorkerNotFound
from tasks_app.registry import get
from tests.conftest import PATIENCE_SECONDS, wait_until
from tests.faults.proxy import FaultProxy
from workers_app.agent import fleet_control
from workers_app.agent.agent import options
from workers_app.control import PoolConfig

from .programs import are_gone, environment, is_alive

SMALL = PoolConfig.fitted(pool_size=1, max_workers=1, processes=1, threads=1)


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    monkeypatch.setattr(fleet_control, "LONGEST_WAIT_SECONDS", PATIENCE_SECONDS)


@pytest.fixture
def start_agent(run, var, broker, redis_server):
    """Start `manage.py runagent`, with options."""

    def start(*words, url=redis_server.url, **dtps):
        program = run(
            "manage.py", "runagent", *words,
            env=environment(
                var,
                DTPS_REDIS_URL=url,
                DJANGO_SETTINGS_MODULE="tests.workers.process_settings",
                TEST_DTPS=json.dumps(dtps),
            ),
        )  # fmt: skip
        program.wait_for("ready to start workers")
        wait_until(fleet_control.agents, "the agent's first announcement")
        return program

    return start


@pytest.fixture
def proxy(redis_server):
    proxy = FaultProxy(redis_server.socket)
    yield proxy
    proxy.close()


@pytest.fixture
def agent(start_agent):
    """A running agent without a fleet."""
    return start_agent()


def process_of(broker, worker):
    return psutil.Process(broker.fleet.workers()[worker].said["pid"])


def working(broker):
    """The ids of the workers that are there and do not drain."""
    workers = broker.fleet.workers().values()
    return {each.id for each in workers if each.is_alive and each.said["status"] == "active"}


def test_worker_starts_and_stops_when_asked(agent, broker):
    worker = fleet_control.start_worker(SMALL)
    process = process_of(broker, worker)
    assert process.parent().pid == agent.pid

    fleet_control.stop_worker(worker)

    wait_until(lambda: worker not in broker.fleet.workers(), "the worker's resignation")
    wait_until(lambda: are_gone([process]), "the end of its process")
    assert f"ended worker={worker} code=0" in agent.wait_for("ended worker=")


def test_worker_that_has_not_registered_yet_can_be_stopped(agent, broker):
    (host,) = fleet_control.agents()
    order = {"order": "start", "id": "w-new", "config": SMALL.to_json()}
    broker.fleet.order_agent(host.id, order)

    def is_stopped():
        try:
            fleet_control.stop_worker("w-new")
        except WorkerNotFound:
            return False
        return True

    wait_until(is_stopped, "the worker, as the agent knows it")

    agent.wait_for("ended worker=w-new")
    wait_until(lambda: not fleet_control.agents()[0].said["workers"], "the agent without it")
    assert "replaces worker=w-new" not in agent.said()


def test_order_that_nobody_waits_for_any_more_is_not_carried_out(agent, broker, monkeypatch):
    monkeypatch.setattr(fleet_control, "LONGEST_WAIT_SECONDS", 0.2)
    agent.signal(signal.SIGSTOP)

    with pytest.raises(NoAgent, match="does not answer"):
        fleet_control.start_worker(SMALL)
    agent.signal(signal.SIGCONT)

    agent.wait_for("nobody waits for it any more")
    assert "agent: started" not in agent.said()


def test_order_is_refused_also_if_it_is_in_time_but_was_given_up(agent, broker):
    (host,) = fleet_control.agents()
    order = {"order": "start", "id": "w-late", "config": SMALL.to_json()}
    assert broker.fleet.hold(fleet_control.start_of("w-late"), "nobody", 60_000)

    broker.fleet.order_agent(host.id, order | {"until": host.now_ms + 3_600_000})

    agent.wait_for("refused worker=w-late")
    assert "agent: started" not in agent.said()


@pytest.mark.parametrize(
    "lost", ['"order": "start"', "start:w-new"], ids=["the order", "the agent's word"]
)
def test_order_is_carried_out_once_though_answers_are_lost(
    start_agent, broker, redis_server, proxy, lost
):
    agent = start_agent(url=proxy.through(redis_server.url))
    (host,) = fleet_control.agents()
    proxy.drop_replies(2, word=lost.encode())

    order = {"order": "start", "id": "w-new", "config": SMALL.to_json()}
    broker.fleet.order_agent(host.id, order)
    wait_until(lambda: "w-new" in working(broker), "the worker")
    assert (proxy.drops_left, proxy.dropped) == (0, 2)
    broker.fleet.order_agent(host.id, {"order": "stop", "id": "w-new"})

    agent.wait_for("ended worker=w-new")
    assert agent.said().count("agent: started") == 1
    assert "cannot obey" not in agent.said()


def test_order_that_cannot_be_carried_out_keeps_no_other_back(agent, broker):
    (host,) = fleet_control.agents()
    for config in ({"poolSize": -1}, SMALL.to_json()):
        order = {"order": "start", "id": "w-new", "config": config}
        broker.fleet.order_agent(host.id, order)

    wait_until(lambda: "w-new" in working(broker), "the worker")
    agent.wait_for("cannot obey")


def test_worker_that_is_being_started_is_not_given_up(agent, broker):
    worker = fleet_control.start_worker(SMALL)

    assert not fleet_control._give_up(worker)


def test_killed_worker_is_replaced_and_all_drain_with_the_agent(agent, broker):
    worker = fleet_control.start_worker(SMALL)
    process_of(broker, worker).kill()
    wait_until(lambda: broker.fleet.workers().keys() - {worker}, "a new worker")
    assert f"replaces worker={worker}" in agent.said()
    family = agent.family()

    agent.signal(signal.SIGTERM)

    assert agent.wait() == 0, agent.said()
    assert are_gone(family)
    assert fleet_control.agents() == []
    assert broker.fleet.workers().keys() <= {worker}


def test_worker_that_is_told_to_restart_begins_anew_with_a_fresh_interpreter(agent, broker):
    worker = fleet_control.start_worker(SMALL)

    for _ in range(2):
        before = process_of(broker, worker)
        broker.fleet.order(worker, {"order": "restart"})
        wait_until(lambda: are_gone([before]), "the end of the old one")  # noqa: B023
        (worker,) = wait_until(lambda: working(broker) - {worker}, "a new one")  # noqa: B023

    assert process_of(broker, worker).parent().pid == agent.pid
    fleet_control.stop_worker(worker)
    agent.wait_for(f"ended worker={worker} code=0")
    assert agent.said().count("code=75") == 2


def test_workers_end_with_an_agent_that_was_killed(agent, broker):
    worker = process_of(broker, fleet_control.start_worker(SMALL))

    agent.signal(signal.SIGKILL)

    wait_until(lambda: are_gone([worker]), "the end of the worker")


# --- a fleet ---


def test_fleet_grows_with_the_work_and_shrinks_by_idle_workers_only(start_agent, broker, tmp_path):
    agent = start_agent(
        "--min", "1", "--max", "3", "--pool-size", "2", "--threads", "2", "--name", "crew",
        SCALE_CPU_PERCENT=100.0, SCALE_DOWN_SECONDS=2.0, LEASE_SECONDS=60.0,
    )  # fmt: skip
    first = wait_until(lambda: working(broker), "the first worker")
    asked = fleet_control.start_worker(SMALL)
    gates = [tmp_path / str(n) for n in range(6)]
    block = get("tests.sample.tasks.block_until")

    ids = [task.id for task in submit([TaskRequest(block, args=[str(gate)]) for gate in gates])]

    wait_until(lambda: len(working(broker) - {asked}) == 3, "the whole fleet")
    wait_until(lambda: all_run(broker, ids), "the run of all")
    kept = broker.fleet.decisions()
    assert kept[0]["agent"] == fleet_control.agents()[0].id
    assert kept[0]["to"] == 6
    told = {n: w.said for n, w in broker.fleet.workers().items()}
    assert all(each["bounds"] == [2, 2] for name, each in told.items() if name != asked)

    for gate in gates[1:]:
        gate.touch()
    wait_until(lambda: len(working(broker) - {asked}) == 1, "the end of the idle ones")

    (left,) = working(broker) - {asked}
    assert broker.must_get(ids[0]).state.status == "processing"
    assert broker.must_get(ids[0]).state.owner.startswith(left) or asked in working(broker)
    gates[0].touch()
    wait_until(lambda: finished(broker, ids[0]), "the end of the last task")
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0, agent.said()
    assert first


def all_run(broker, ids):
    return all(broker.must_get(each).state.status == "processing" for each in ids)


def finished(broker, task_id):
    return broker.must_get(task_id).state.is_final


def test_fleet_replaces_what_is_missing(start_agent, broker):
    agent = start_agent("--min", "2", "--pool-size", "1", "--name", "crew")
    wait_until(lambda: len(working(broker)) == 2, "the fleet")
    first, second = sorted(working(broker))

    fleet_control.stop_worker(first)
    process_of(broker, second).kill()

    wait_until(lambda: len(working(broker) - {first, second}) == 2, "two new ones")
    assert is_alive(psutil.Process(agent.pid))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--pool-size", "3"], "need --min or --max"),
        (["--min", "3", "--max", "2"], "at most --max"),
        (["--max", "2", "--queues", "a\tb"], "--queues"),
        (["--max", "2", "--pool-size", "0"], "poolSize"),
    ],
)
def test_wrong_option_is_named(run, var, redis_server, words, said):
    program = run(
        "manage.py", "runagent", *words, env=environment(var, DTPS_REDIS_URL=redis_server.url)
    )

    assert program.wait() == 1
    assert said in program.said()


# --- without an agent ---


def test_without_an_agent_the_answer_says_how_to_start_one(broker):
    with pytest.raises(NoAgent, match=r"manage\.py runagent"):
        fleet_control.start_worker(SMALL)


def test_unknown_worker_cannot_be_stopped(broker):
    with pytest.raises(WorkerNotFound, match="nobody-1"):
        fleet_control.stop_worker("nobody-1")


def test_every_choice_of_a_worker_reaches_its_command():
    config = PoolConfig.fitted(
        pool_size=6, min_workers=2, max_workers=8, processes=3, threads=2,
        queues=("mail", "default"), enable_steal=False, name="mailer",
    )  # fmt: skip

    assert " ".join(options(config)) == (
        "--pool-size 6 --min 2 --max 8 --queues mail,default "
        "--processes 3 --threads 2 --name mailer --no-steal"
    )
