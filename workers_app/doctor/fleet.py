"""Checks of who works: workers, agents and the coordinator, and whether all queues are served."""

import time
from collections import Counter
from collections.abc import Iterator

from tasks_app.broker.answers import QueueStats, Registered
from tasks_app.conf import conf
from tasks_app.registry import stands_elsewhere

from .. import said
from ..supervisor.announcement import ACTIVE
from .advice import Advice, ok, problem, warning
from .patient import Patient

LOOKED_AT = 200  # of the most urgent tasks of each queue, for their types
LEVELS_LOOKED_AT = range(10, 0, -1)


def workers(patient: Patient) -> Iterator[Advice]:
    """Somebody works, and nobody is lost."""
    alive = patient.workers
    slots = sum(said.number(worker.said, "slots") for worker in alive)
    if alive:
        yield ok(f"{_count(len(alive), 'worker')} with {_count(slots, 'slot')} at work.")
    else:
        yield warning("No worker is at work.", "Start one: manage.py runworker.")
    for lost in (worker for worker in patient.register.values() if not worker.is_alive):
        yield warning(
            f"Worker {lost.id} on {said.text(lost.said, 'hostname') or 'an unknown host'} is lost.",
            "Its tasks go to others; look at its host and its log.",
        )


def queues(patient: Patient) -> Iterator[Advice]:
    """Whatever waits has a worker that serves it."""
    served = _served(patient.workers)
    neglected = [q for q in patient.stats.queues if q.ready + q.scheduled and q.name not in served]
    for queue in neglected:
        waiting = f"{queue.ready:,} tasks wait in queue {queue.name}" + _later(queue)
        said_so = f"{waiting}, and no worker serves it."
        advice = f"Start one: manage.py runworker --queues {queue.name}."
        yield problem(said_so, advice) if queue.ready else warning(said_so, advice)
    for queue in patient.stats.queues:
        if queue.is_paused:
            yield warning(
                f"Queue {queue.name} is paused; {queue.ready:,} tasks wait in it.",
                "Resume it when it may go on, by API or page.",
            )
    if not neglected:
        yield ok("Every queue with tasks in it is served.")


def _served(workers: list[Registered]) -> set[str]:
    return {queue for worker in workers for queue in worker.said.get("queues") or ()}


def _later(queue: QueueStats) -> str:
    return f" ({queue.scheduled:,} more later)" if queue.scheduled else ""


def task_types(patient: Patient) -> Iterator[Advice]:
    """What waits is of types that somebody knows; as far as the code here tells."""
    unknown: Counter[str] = Counter()
    for queue in patient.stats.queues:
        for glance in patient.broker.glance(_urgent(patient, queue)).values():
            if glance.type not in patient.types and not stands_elsewhere(glance.type):
                unknown[glance.type] += 1
    for name, tasks in unknown.most_common():
        yield warning(
            f"{_count(tasks, 'task')} of type {name} wait, which the code here does not know.",
            "Put the code that declares it out to the workers, or cancel the tasks.",
        )


def _urgent(patient: Patient, queue: QueueStats) -> list[str]:
    ids: list[str] = []
    for level in LEVELS_LOOKED_AT:
        if queue.levels[level - 1] and len(ids) < LOOKED_AT:
            ids += patient.broker.ready_ids(queue.name, level, LOOKED_AT - len(ids))
    return ids + patient.broker.scheduled_ids(queue.name, LOOKED_AT - len(ids))


def sameness(patient: Patient) -> Iterator[Advice]:
    """All workers run the same code."""
    versions = Counter(said.text(worker.said, "version") for worker in patient.workers)
    if len(versions) > 1:
        found = ", ".join(f"{version or 'unknown'} ({n})" for version, n in versions.items())
        yield warning(f"Workers of several versions are at work: {found}.", _RESTART)
    counts = Counter(said.number(worker.said, "types") for worker in patient.workers)
    if len(counts) > 1:
        found = ", ".join(f"{types} ({n})" for types, n in sorted(counts.items()))
        yield warning(f"Workers know different numbers of task types: {found}.", _RESTART)


_RESTART = "Restart the old ones: they give back what they do not know, again and again."


def pauses(patient: Patient) -> Iterator[Advice]:
    """Workers that claim nothing were told so."""
    for worker in patient.workers:
        status = said.text(worker.said, "status") or ACTIVE
        if status != ACTIVE:
            yield warning(
                f"Worker {worker.id} is {status}: it claims nothing.",
                "Resume it, by API or page, or let it end.",
            )


def coordinator(patient: Patient) -> Iterator[Advice]:
    """Somebody records, promotes and reaps."""
    until = time.monotonic() + conf().leader_seconds + 1  # the next one is found in that time
    while not (leader := patient.broker.fleet.leader()) and time.monotonic() < until:
        time.sleep(0.2)
    if leader:
        yield ok(f"Coordinator {leader.partition(':')[0]} leads.")
    else:
        yield problem(
            "No coordinator leads: nothing is recorded, nothing scheduled becomes due.",
            "Start a worker without --no-coordinator, or manage.py runcoordinator.",
        )


def agents(patient: Patient) -> Iterator[Advice]:
    """The API can start workers."""
    alive = sum(agent.is_alive for agent in patient.broker.fleet.agents().values())
    if alive:
        yield ok(f"{_count(alive, 'agent')}: the API can start workers.")
    else:
        yield ok("No agent: the API cannot start workers (manage.py runagent would let it).")


def gate(patient: Patient) -> Iterator[Advice]:
    """After a restart of Redis a leader has looked at it, so executors claim."""
    opened = patient.broker.gate()
    if opened and opened != patient.broker.run_id():
        yield problem(
            "Redis has been started again and no leader has looked at it, so nothing is claimed.",
            "A leader looks as soon as it reaches the database: see to both.",
        )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number != 1 else ''}"
