"""Why a task in a worker's hands is not done yet."""

from collections.abc import Iterator
from typing import Any

from ..api.task_view import rfc3339
from ..broker import broker, keys
from ..message import worker_of
from ..remarks import NOTHING
from ..words import many, span
from .reason import Reason
from .scene import Scene, count


def assigned_reasons(scene: Scene) -> Iterator[Reason]:
    """Of a task that an executor holds, and that has not started as far as one knows."""
    worker, numbers = _holder(scene)
    yield from _silence(scene, worker)
    said = f"The worker {worker} holds it"
    running = _running(scene)
    if running:
        said += f", behind the {many(running, 'task')} that its executor runs"
    said += ". An idle worker may take it over until it starts."
    yield Reason("assigned", said, numbers | {"running": running})


def processing_reasons(scene: Scene) -> Iterator[Reason]:
    """Of a task that runs."""
    worker, numbers = _holder(scene)
    yield from _silence(scene, worker)
    seconds = (scene.now_ms - scene.state.changed_ms) / 1000
    number = scene.state.failures + 1
    numbers |= {"attempt": number, "max_attempts": scene.message.max_attempts}
    said = f"It runs on the worker {worker}, since {span(seconds)}"
    if scene.message.max_attempts > 1 or number > 1:
        said += f": attempt {number} of {scene.message.max_attempts}"
    if limit := scene.message.timeout:
        numbers["timeout"] = limit
        said += f", which may take {span(limit)}"
    yield Reason("processing", f"{said}.{_progress(scene, numbers)}", numbers)


def _progress(scene: Scene, numbers: dict[str, Any]) -> str:
    """What it said last of how far it is."""
    task_id, shard = scene.message.id, keys.shard_of(scene.queue)
    found = broker().remarks([task_id], shard).get(task_id, NOTHING).progress
    if found is None:
        return ""
    numbers["progress"] = {"done": found.done, "total": found.total, "note": found.note}
    part = f" of {found.total:g}" if found.total else ""
    note = f" ({found.note})" if found.note else ""
    return f" It has done {found.done:g}{part}{note}."


def _holder(scene: Scene) -> tuple[str, dict[str, Any]]:
    state = scene.state
    numbers = {
        "worker": state.worker,
        "executor": state.owner,
        "since": rfc3339(state.changed_ms * 1000),
        "for_seconds": round((scene.now_ms - state.changed_ms) / 1000, 3),
    }
    return state.worker, numbers


def _running(scene: Scene) -> int:
    """How many tasks run in the executor that holds it, as its worker said last."""
    found = scene.workers.get(worker_of(scene.state.owner))
    lines = found.said.get("executors") if found else None
    for line in lines if isinstance(lines, list) else ():
        if isinstance(line, dict) and line.get("id") == scene.state.owner:
            return count(line, "active")
    return 0


def _silence(scene: Scene, worker: str) -> Iterator[Reason]:
    """A worker that is not heard of; then its tasks go to another one."""
    found = scene.workers.get(worker)
    if found is None or not found.is_alive:
        yield Reason(
            "worker_silent",
            f"The worker {worker} has fallen silent: what it holds is taken back, and runs "
            "elsewhere.",
            {"worker": worker},
        )
