"""Directing a worker that runs: each order is left for it, and it obeys within a moment.

An order needs somebody to obey it: a worker that is silent, or about to end, is told nothing.
"""

from typing import Any
from uuid import uuid4

from tasks_app.broker import broker
from tasks_app.broker.answers import Registered
from tasks_app.broker.glance import Glance
from tasks_app.exceptions import NoAnswer, WorkerNotFound, WrongState

from ..said import seconds, text, things

PAUSE, RESUME, RESTART = {"order": "pause"}, {"order": "resume"}, {"order": "restart"}
ANSWER_SECONDS = 3.0  # for a worker to show its stacks
MOST_STACKS = 1000
LONGEST_STACK = 100_000  # characters


def pause(worker: str) -> None:
    """Let a worker finish what runs and start nothing more. Raises as the others do:

    WorkerNotFound; WrongState if the worker is silent or ends.
    """
    _order(_steerable(worker), PAUSE)


def resume(worker: str) -> None:
    """Let a paused worker work again."""
    _order(_steerable(worker), RESUME)


def restart(worker: str) -> None:
    """Have a worker drain and begin anew: with the code that is there now, under a new id."""
    _order(_steerable(worker), RESTART)


def scale(worker: str, slots: int) -> None:
    """Give a worker so many slots. Its autoscaler goes on from there, within bounds that fit."""
    _order(_steerable(worker), {"order": "scale", "slots": slots})


def stacks(worker: str) -> dict[str, Any]:
    """What the tasks of a worker are doing, as its supervisor sees it now.

    Raise NoAnswer if it does not say in time; WorkerNotFound, or WrongState if it is silent.
    """
    found = _alive(worker)
    request = uuid4().hex
    _order(found, {"order": "stacks", "request": request})
    answer = broker().fleet.await_answer(request, ANSWER_SECONDS)
    if answer is None:
        raise NoAnswer(f"The worker {worker} did not answer within {ANSWER_SECONDS:g} s.")
    running = things(answer, "tasks", MOST_STACKS)
    glances = broker().glance([text(task, "id") for task in running])
    return {
        "stacks": [_running(task, glances.get(text(task, "id"))) for task in running],
        "others": text(answer, "others", LONGEST_STACK),
    }


def _running(task: dict[str, Any], glance: Glance | None) -> dict[str, Any]:
    return {
        "task_id": text(task, "id"),
        "task_type": glance.type if glance else "",
        "executor": text(task, "executor"),
        "seconds": seconds(task, "seconds"),
        "stack": text(task, "stack", LONGEST_STACK),
    }


def _steerable(worker: str) -> Registered:
    found = _alive(worker)
    if text(found.said, "status") == "stopping":
        raise WrongState(f"The worker {worker} is stopping.")
    return found


def _alive(worker: str) -> Registered:
    found = broker().fleet.workers().get(worker)
    if found is None:
        raise _unknown(worker)
    if not found.is_alive:
        raise WrongState(f"The worker {worker} is silent: its lease is over. It is told nothing.")
    return found


def _order(worker: Registered, order: dict[str, Any]) -> None:
    if not broker().fleet.order(worker.id, order):
        raise _unknown(worker.id)  # it has ended meanwhile


def _unknown(worker: str) -> WorkerNotFound:
    return WorkerNotFound(f"No worker has the id {worker}.")
