"""Starting and stopping workers from anywhere: asks the agents, and the workers themselves."""

import time

from tasks_app.broker import broker
from tasks_app.broker.answers import Registered
from tasks_app.exceptions import NoAgent, WorkerNotFound

from .control import STOP, PoolConfig, new_worker_id

LONGEST_WAIT_SECONDS = 3.0  # for an agent to obey and its worker to register
LOOK_SECONDS = 0.03

HOW_TO_START = "start one on the host with: python manage.py runagent"


def start_worker(config: PoolConfig) -> str:
    """Have a worker started on the host with the fewest. Return its id.

    It is registered when this returns, or at least being started. Raise NoAgent.
    """
    fleet = broker().fleet
    worker = new_worker_id(config.name)
    order = {"order": "start", "id": worker, "config": config.to_json()}
    agent = next((each for each in agents() if fleet.order_agent(each.id, order)), None)
    if agent is None:
        raise NoAgent(f"No host agent is alive to start a worker: {HOW_TO_START}")
    if not _is_obeyed(agent.id, worker):
        raise NoAgent(f"The host agent {agent.id} does not answer: {HOW_TO_START}")
    return worker


def stop_worker(worker: str) -> None:
    """Have a worker drain and end. Raise WorkerNotFound if none of this id is registered."""
    if not broker().fleet.order(worker, STOP):
        raise WorkerNotFound(f"No worker has the id {worker}.")


def agents() -> list[Registered]:
    """The agents that are alive, the one with the fewest workers first."""
    alive = [agent for agent in broker().fleet.agents().values() if agent.is_alive]
    return sorted(alive, key=lambda agent: (len(agent.said["workers"]), agent.id))


def _is_obeyed(agent: str, worker: str) -> bool:
    """Wait until the worker is registered. Return whether at least the agent has started it."""
    fleet = broker().fleet
    until = time.monotonic() + LONGEST_WAIT_SECONDS
    while time.monotonic() < until:
        if worker in fleet.workers():
            return True
        time.sleep(LOOK_SECONDS)
    found = fleet.agents().get(agent)
    return found is not None and worker in found.said["workers"]
