"""Many tasks with one callback, and a long chain: how long until they are in, and let go."""

import time

from tasks_app.broker import broker
from tasks_app.lookup import find
from tasks_app.models import Dependency, Member, TaskRecord, WorkflowRecord
from tasks_app.workflows import WorkflowResult, chain, chord

from . import tasks
from .report import Line
from .work import wait_until, worker

LINKS = 100  # of the chain


def measure(count: int) -> list[Line]:
    broker().link.call("FLUSHDB")
    for model in (Dependency, Member, WorkflowRecord, TaskRecord):
        model.objects.all().delete()
    with worker(processes=2):
        wait_until(broker().fleet.leader, "a leader")
        lines = _chord(count) + _chain(min(LINKS, count))
        lines.append(_batch_without(count))
    return lines


def _chord(count: int) -> list[Line]:
    parts = chord([tasks.clock.part() for _ in range(count)], tasks.clock.part())
    began = time.monotonic()
    workflow = parts.enqueue("bench")
    stored = time.monotonic() - began
    callback = list(workflow.task_ids.values())[-1]
    wait_until(lambda: find(callback).state.is_final, "the callback", pause=0.005)
    done = time.monotonic() - began
    began = time.monotonic()
    assert workflow.progress().total == count + 1
    seen = time.monotonic() - began
    return [
        Line(f"{count:,} tasks and a callback: stored", stored * 1000, "ms",
             f"{stored / count * 1e6:.0f} µs a task"),
        Line("all have run, and the callback", done, "s"),
        Line("from the last one's end to its start", _gap(workflow, [callback]), "ms"),
        Line("progress of all", seen * 1000, "ms"),
    ]  # fmt: skip


def _chain(count: int) -> list[Line]:
    workflow = chain(tasks.clock.part() for _ in range(count)).enqueue("chain")
    ids = list(workflow.task_ids.values())
    wait_until(lambda: find(ids[-1]).state.is_final, "the chain", pause=0.005)
    return [Line(f"a chain of {count}: from one to the next", _gap(workflow, ids[1:]), "ms")]


def _gap(workflow: WorkflowResult, ids: list[str]) -> float:
    """The mean time from the end of the last parent of a task to its own start."""
    wait_until(lambda: workflow.progress().is_over, "the record", pause=0.005)
    waited_us = 0
    for task_id in ids:
        parents = Dependency.objects.filter(child_id=task_id).values("parent_id")
        rows = TaskRecord.objects.filter(id__in=parents).order_by("-finished_us")
        ended_us = rows.values_list("finished_us", flat=True)[0]
        waited_us += TaskRecord.objects.get(id=task_id).started_us - ended_us
    return waited_us / len(ids) / 1000


def _batch_without(count: int) -> Line:
    """The same number of tasks that wait for nothing, beside it."""
    began = time.monotonic()
    results = tasks.clock.enqueue_many([] for _ in range(count))
    stored = time.monotonic() - began
    wait_until(lambda: find(results[-1].id).state.is_final, "the last one", pause=0.005)
    return Line(f"{count:,} tasks alone: stored", stored * 1000, "ms",
                f"{stored / count * 1e6:.0f} µs a task")  # fmt: skip
