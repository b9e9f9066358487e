"""Starting and stopping workers from anywhere: asks the agents, and the workers themselves."""

import time

from tasks_app.broker import broker
from tasks_app.broker.answers import Registered
from tasks_app.exceptions import NoAgent, WorkerNotFound

from ..control import STOP, PoolConfig, new_worker_id

LONGEST_WAIT_SECONDS = 3.0  # for an agent to obey and its worker to register
LOOK_SECONDS = 0.03
GIVEN_UP_MS = 60_000  # for which that stands, longer than any order lies

HOW_TO_START = "start one on the host with: python manage.py runagent"


def start_worker(config: PoolConfig) -> str:
    """Have a worker started on the host with the fewest. Return its id.

    It is registered when this returns, or at least being started. Raise NoAgent: then it is not
    started later either.
    """
    fleet = broker().fleet
    worker = new_worker_id(config.name)
    order = {"order": "start", "id": worker, "config": config.to_json()}
    agent = next(
        (each for each in agents() if fleet.order_agent(each.id, order | _until(each))), None
    )
    if agent is None:
        raise NoAgent(f"No host agent is alive to start a worker: {HOW_TO_START}")
    if not _is_registered(worker) and _give_up(worker):
        raise NoAgent(f"The host agent {agent.id} does not answer: {HOW_TO_START}")
    return worker


def stop_worker(worker: str) -> None:
    """Have a worker drain and end. Raise WorkerNotFound if nobody knows one of this id."""
    fleet = broker().fleet
    if fleet.order(worker, STOP):
        return
    order = STOP | {"id": worker}  # it may have been started and not registered yet
    told = [
        fleet.order_agent(each.id, order) for each in agents() if worker in each.said["workers"]
    ]
    if not any(told):
        raise WorkerNotFound(f"No worker has the id {worker}.")


def agents() -> list[Registered]:
    """The agents that are alive, the one with the fewest workers first."""
    alive = [agent for agent in broker().fleet.agents().values() if agent.is_alive]
    return sorted(alive, key=lambda agent: (len(agent.said["workers"]), agent.id))


def start_of(worker: str) -> str:
    """The lease that decides whether a worker is started, or was given up by who asked for it."""
    return f"start:{worker}"


def _until(agent: Registered) -> dict[str, int]:
    """When nobody will wait any more, by the server's clock."""
    return {"until": agent.now_ms + int(LONGEST_WAIT_SECONDS * 1000)}


def _is_registered(worker: str) -> bool:
    """Wait until the worker is there; not for ever."""
    until = time.monotonic() + LONGEST_WAIT_SECONDS
    while time.monotonic() < until:
        if worker in broker().fleet.workers():
            return True
        time.sleep(LOOK_SECONDS)
    return False


def _give_up(worker: str) -> bool:
    """Stop waiting. Return False if an agent has begun to start it: only one of the two can be."""
    return broker().fleet.hold(start_of(worker), "nobody", GIVEN_UP_MS)
