"""What keeps all tasks of a queue, or of a type, waiting."""

from collections.abc import Iterator

from ..broker.answers import Registered
from ..message import Attempt
from ..note import KEY_MISSING, UNKNOWN_TYPE
from ..secrecy.sealing import fingerprint_in
from ..words import listed, many, span
from .reason import Reason
from .scene import Scene

PAUSED, STOPPING = "paused", "stopping"


def hindrances(scene: Scene, last: Attempt) -> Iterator[Reason]:
    """Nothing at all if a worker may take the task. ``last`` is its last attempt."""
    if scene.is_gate_closed:
        yield Reason(
            "gate_closed",
            "Redis has restarted: all workers wait until the coordinator has found it whole, and "
            "has restored what it lost.",
        )
    if scene.standing.is_paused:
        yield Reason(
            "queue_paused",
            f"The queue {scene.queue} is paused: it gives nothing out until it is resumed.",
            {"queue": scene.queue},
        )
    if not scene.serving:
        yield _no_worker(scene)
    elif not scene.active:
        yield _none_active(scene)
    elif not scene.able or last.error_type == UNKNOWN_TYPE:
        yield _unknown_type(scene)
    elif last.error_type == KEY_MISSING:
        yield _key_missing(scene, last)


def _no_worker(scene: Scene) -> Reason:
    said = f"No live worker serves the queue {scene.queue}."
    silent = [worker for worker in scene.workers.values() if scene.serves(worker)]
    if silent:
        last = max(silent, key=lambda worker: worker.lease_until_ms)
        said += f" {last.id} did, and fell silent."
    elif scene.alive:
        said += f" {many(len(scene.alive), 'worker')} serve{'s' * (len(scene.alive) == 1)}"
        said += f" other queues: {listed(_queues(scene.alive)) or 'none'}."
    else:
        said += " No worker runs at all."
    return Reason(
        "no_worker",
        said,
        {"queue": scene.queue, "workers_alive": len(scene.alive), "workers_silent": len(silent)},
    )


def _queues(workers: list[Registered]) -> list[str]:
    return sorted({str(queue) for each in workers for queue in each.said.get("queues") or []})


def _none_active(scene: Scene) -> Reason:
    statuses = [worker.said.get("status") for worker in scene.serving]
    paused, stopping = statuses.count(PAUSED), statuses.count(STOPPING)
    are = "are paused" if not stopping else "are stopping" if not paused else "are paused or stop"
    names = listed([worker.id for worker in scene.serving])
    if len(statuses) == 1:
        how = statuses[0] if statuses[0] in (PAUSED, STOPPING) else "not active"
        said = f"The only worker of the queue {scene.queue} is {how}: {names}."
    else:
        said = f"All {len(statuses)} workers of the queue {scene.queue} {are}: {names}."
    code = "workers_paused" if paused else "workers_stopping"
    return Reason(code, said, {"queue": scene.queue, "paused": paused, "stopping": stopping})


def _key_missing(scene: Scene, last: Attempt) -> Reason:
    key = fingerprint_in(scene.message.sealed)
    return Reason(
        "key_missing",
        f"The worker {last.worker}, which had it, lacks the key {key} that opens its sensitive "
        f"arguments: ENCRYPTION_KEYS of all workers should have it.{_wait(scene)}",
        {"key": key, "worker": last.worker},
    )


def _wait(scene: Scene) -> str:
    if scene.standing.due_ms is None:
        return ""
    return f" It is offered again in {span((scene.standing.due_ms - scene.now_ms) / 1000)}."


def _unknown_type(scene: Scene) -> Reason:
    kind, active, able = scene.message.type, len(scene.active), len(scene.able)
    numbers = {"type": kind, "workers": active, "workers_that_know_it": able}
    wait = _wait(scene)
    if able:
        return Reason(
            "unknown_type",
            f"A worker that it was offered to does not know the type {kind}; {able} of {active} "
            f"may know it.{wait}",
            numbers,
        )
    return Reason(
        "unknown_type",
        f"No worker of the queue {scene.queue} knows the type {kind}: is the code that they run "
        f"older, or another project's?{wait}",
        numbers,
    )
