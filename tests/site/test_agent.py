"""The host agent: workers appear and end when somebody asks for it."""

import signal

import psutil
import pytest

from tasks_app.exceptions import NoAgent, WorkerNotFound
from tests.conftest import PATIENCE_SECONDS, wait_until
from workers_app import fleet_control
from workers_app.agent import options
from workers_app.control import PoolConfig

from .programs import are_gone, environment

SMALL = PoolConfig.fitted(pool_size=1, processes=1, threads=1)


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    monkeypatch.setattr(fleet_control, "LONGEST_WAIT_SECONDS", PATIENCE_SECONDS)


@pytest.fixture
def agent(run, var, broker, redis_server):
    """A running `manage.py runagent`."""
    program = run("manage.py", "runagent", env=environment(var, DTPS_REDIS_URL=redis_server.url))
    program.wait_for("ready to start workers")
    wait_until(fleet_control.agents, "the agent's first announcement")
    return program


def process_of(broker, worker):
    return psutil.Process(broker.fleet.workers()[worker].said["pid"])


def test_worker_starts_and_stops_when_asked(agent, broker):
    worker = fleet_control.start_worker(SMALL)
    process = process_of(broker, worker)
    assert process.parent().pid == agent.pid

    fleet_control.stop_worker(worker)

    wait_until(lambda: worker not in broker.fleet.workers(), "the worker's resignation")
    wait_until(lambda: are_gone([process]), "the end of its process")


def test_killed_worker_is_replaced_and_all_drain_with_the_agent(agent, broker):
    worker = fleet_control.start_worker(SMALL)
    process_of(broker, worker).kill()
    wait_until(lambda: broker.fleet.workers().keys() - {worker}, "a new worker")
    family = agent.family()

    agent.signal(signal.SIGTERM)

    assert agent.wait() == 0, agent.said()
    assert are_gone(family)
    assert fleet_control.agents() == []
    assert broker.fleet.workers().keys() <= {worker}


def test_workers_end_with_an_agent_that_was_killed(agent, broker):
    worker = process_of(broker, fleet_control.start_worker(SMALL))

    agent.signal(signal.SIGKILL)

    wait_until(lambda: are_gone([worker]), "the end of the worker")


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
