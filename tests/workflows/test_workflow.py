"""Workflows from Python: what they are made of, what is refused, and what is done with one."""

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction

from tasks_app.compat import BaseTaskBackend, InvalidTask, signals
from tasks_app.exceptions import InvalidCall, WorkflowNotFound
from tasks_app.lookup import find
from tasks_app.models import Dependency, Member, Outbox, TaskRecord, WorkflowRecord
from tasks_app.states import Status
from tasks_app.workflows import Workflow, chain, chord, get_workflow, group, result
from tasks_app.workflows.parents import parents_of, results_for, statuses_of
from tests.sample.tasks import async_echo, echo, raise_error
from workers_app.coordinator.release import Releaser

from ..postgres import on_both_databases

takes = echo.using(takes_results=True)


def names_of(workflow):
    """What each task waits for, by name."""
    named = {task_id: name for name, task_id in workflow.task_ids.items()}
    found = {name: [] for name in workflow.task_ids}
    for row in Dependency.objects.order_by("child_id", "position"):
        found[named[row.child_id]].append(named.get(row.parent_id, row.parent_id))
    return found


def results_of(task_id):
    return results_for(find(task_id).message)


# --- shapes ---


@on_both_databases
def test_a_chain_goes_one_after_the_other_and_hands_each_result_on(floor):
    workflow = chain(echo.part(1), takes.part(2), takes.part()).enqueue("letters")

    assert names_of(workflow) == {"echo-1": [], "echo-2": ["echo-1"], "echo-3": ["echo-2"]}
    first, second, third = workflow.task_ids.values()
    floor.run(first, result={"a": 1})
    assert results_of(second) == {"a": 1}
    floor.run(second, result="b")
    assert results_of(third) == "b"
    floor.run(third)
    assert workflow.progress().is_completed


@on_both_databases
def test_a_chord_joins_all_of_a_group_in_order(floor):
    workflow = chord([echo.part(n) for n in range(3)], takes.part("end")).enqueue()

    *parts, end = workflow.task_ids.values()
    floor.claimed()
    for n in (2, 0, 1):
        floor.run(parts[n], result=n)
    assert results_of(end) == [0, 1, 2]
    assert [result.return_value for result in parents_of(end)] == [0, 1, 2]
    assert floor.claimed() == [end]


@on_both_databases
def test_a_chord_of_one_gives_a_list_too(floor):
    workflow = chord([echo.part(1)], takes.part()).enqueue()
    part, end = workflow.task_ids.values()
    floor.run(part, result="x")

    assert results_of(end) == ["x"]


@on_both_databases
def test_parts_can_be_nested(floor):
    workflow = chain(
        echo.part("a"),
        group(chain(echo.part("b"), echo.part("c")), echo.part("d")),
        group(echo.part("e"), echo.part("f")),
    ).enqueue()

    assert names_of(workflow) == {
        "echo-1": [],
        "echo-2": ["echo-1"],
        "echo-3": ["echo-2"],
        "echo-4": ["echo-1"],
        "echo-5": ["echo-3", "echo-4"],
        "echo-6": ["echo-3", "echo-4"],
    }
    assert workflow.record.layers == 4
    layers = dict(Member.objects.values_list("name", "layer"))
    assert layers["echo-4"] == 1 and layers["echo-5"] == 3


@on_both_databases
def test_any_graph_can_be_built_step_by_step(floor):
    outside = echo.enqueue("outside")
    workflow = Workflow("nightly")
    rows = workflow.add(echo.part("rows"), name="rows")
    prices = workflow.add(echo.using(queue_name="mail").part("prices"), after=outside)
    report = workflow.add(takes.part(), after=[rows, prices, outside], name="report")
    workflow.add(async_echo.part("mail"), after="report")
    workflow.put(group(echo.part(1), echo.part(2)), after=report)
    submitted = workflow.enqueue()

    assert names_of(submitted) == {
        "rows": [],
        "echo-2": [outside.id],
        "report": ["rows", "echo-2", outside.id],
        "async_echo-4": ["report"],
        "echo-5": ["report"],
        "echo-6": ["report"],
    }
    assert submitted.task_ids["report"] == report.id
    assert submitted.name == "nightly"
    assert floor.claimed() == [outside.id, rows.id]


@on_both_databases
def test_one_parent_gives_a_value_and_a_list_of_one_a_list(floor):
    workflow = Workflow()
    first = workflow.add(echo.part())
    alone, listed = (
        workflow.add(takes.part(), after=first),
        workflow.add(takes.part(), after=[first]),
    )
    workflow.enqueue()
    floor.run(first.id, result=7)

    assert (results_of(alone.id), results_of(listed.id)) == (7, [7])


@on_both_databases
def test_a_parent_that_did_not_complete_has_no_result_but_its_error(floor):
    parents = [echo.enqueue(1), raise_error.enqueue()]
    child = takes.using(depends_on=parents, if_parent_fails="run").enqueue()
    floor.claimed()
    floor.run(parents[0].id, result=1)
    floor.run(parents[1].id, "failed", error_type="builtins.ValueError", error="no")

    assert results_of(child.id) == [1, None]
    good, bad = parents_of(child.id)
    assert good.return_value == 1
    assert bad.errors[0].exception_class_path == "builtins.ValueError"


@on_both_databases
def test_many_calls_may_wait_for_one(floor):
    parent = echo.enqueue()
    children = echo.using(depends_on=parent).enqueue_many([[n] for n in range(3)])
    floor.run(parent.id)

    assert floor.claimed() == [child.id for child in children]


# --- refused ---


def build(*edges):
    workflow = Workflow()
    for name, after in edges:
        workflow.add(echo.part(), name=name, after=after)
    return workflow


@pytest.mark.parametrize(
    "edges, said",
    [
        ([("a", "b"), ("b", "c"), ("c", "a")], r"They wait for each other: \w after \w after \w"),
        ([("a", "a")], "They wait for each other: a after a"),
        ([("a", None), ("a", None)], "Two tasks have the name 'a'"),
        ([("a", "nobody")], "There is no task nobody"),
        ([("a\n", None)], "A name is a printable text"),
        ([], "needs at least one task"),
    ],
)
@on_both_databases
def test_what_is_wrong_is_named_and_nothing_is_stored(floor, edges, said):
    with pytest.raises(InvalidCall, match=said):
        build(*edges).enqueue()

    stored = [model.objects.count() for model in (WorkflowRecord, Member, Dependency, Outbox)]
    assert stored == [0, 0, 0, 0]
    assert floor.claimed() == []


def test_too_many_are_refused(monkeypatch):
    monkeypatch.setattr("tasks_app.workflows.plan.MOST_TASKS", 2)

    with pytest.raises(InvalidCall, match="at most 2 tasks"):
        build(("a", None), ("b", None), ("c", None)).enqueue()


@pytest.mark.parametrize("parts", [(), ([],)])
def test_an_empty_group_is_refused(parts):
    with pytest.raises(ValueError, match="at least one part"):
        group(*parts)


def test_what_is_no_part_is_refused():
    with pytest.raises(TypeError, match=r"task\.part"):
        chain(echo, echo)


class Immediate(BaseTaskBackend):
    """One that is not ours."""

    task_class = type(echo)

    def enqueue(self, task, args, kwargs):
        raise AssertionError("nobody asks for this")


def test_another_backend_is_refused(settings):
    settings.TASKS = {
        **settings.TASKS,
        "now": {"BACKEND": "tests.workflows.test_workflow.Immediate"},
    }

    with pytest.raises(InvalidTask, match="knows no workflows"):
        chain(echo.using(backend="now").part()).enqueue()


@pytest.mark.parametrize(
    "options, said",
    [
        ({"depends_on": [1]}, "Must be the id of a task"),
        ({"if_parent_fails": "jump"}, "Must be 'cancel' or 'run'"),
        ({"takes_results": "yes"}, "Must be True or False"),
        ({"depends_on": ["x"], "debounce": 5, "unique": True}, "put off"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, said):
    with pytest.raises(InvalidTask, match=said):
        echo.using(**options).enqueue()


# --- as a whole ---


@on_both_databases
def test_a_workflow_is_stored_wholly_or_not_at_all(floor, database):
    with transaction.atomic(using=database):
        workflow = chain(echo.part(1), echo.part(2)).enqueue()
        assert workflow.progress().total == 2
        transaction.set_rollback(True, using=database)

    assert (WorkflowRecord.objects.count(), Member.objects.count(), floor.claimed()) == (0, 0, [])
    workflow.refresh()
    with pytest.raises(WorkflowNotFound):
        workflow.progress()


@on_both_databases
def test_each_task_is_announced(floor):
    heard = []

    def receiver(task_result, **kwargs):
        heard.append(task_result.id)

    signals.task_enqueued.connect(receiver)
    try:
        workflow = chain(echo.part(1), echo.part(2)).enqueue()
    finally:
        signals.task_enqueued.disconnect(receiver)

    assert heard == list(workflow.task_ids.values())


@on_both_databases
def test_progress_counts_each_status(floor):
    workflow = chain(group(echo.part(1), echo.part(2)), echo.part(3), echo.part(4)).enqueue()
    one, two, _, _ = workflow.task_ids.values()
    waits = {Status.PENDING: 2, Status.WAITING: 2}
    assert workflow.progress().statuses == waits  # also before anything is recorded
    floor.record()
    assert workflow.progress().statuses == waits

    floor.run(one)
    assert (workflow.progress().done, workflow.progress().total) == (1, 4)
    floor.run(two, "failed")
    floor.record(2)

    progress = workflow.progress()
    assert progress.statuses == {Status.COMPLETED: 1, Status.FAILED: 1, Status.CANCELLED: 2}
    assert progress.is_over and not progress.is_completed


@on_both_databases
def test_a_failure_cancels_only_what_depends_on_it(floor):
    workflow = group(chain(echo.part(1), echo.part(2)), chain(echo.part(3), echo.part(4))).enqueue()
    ids = list(workflow.task_ids.values())
    first = next(i for i in ids if find(i).message.args == [1])
    floor.run(first, "failed")
    floor.record()

    assert workflow.progress().statuses == {
        Status.FAILED: 1, Status.CANCELLED: 1, Status.ASSIGNED: 1, Status.WAITING: 1,
    }  # fmt: skip


@on_both_databases
def test_a_failure_cancels_the_rest_if_that_is_wanted(floor):
    workflow = group(chain(echo.part(1), echo.part(2)), chain(echo.part(3), echo.part(4))).enqueue(
        on_failure="cancel"
    )
    ids = list(workflow.task_ids.values())
    floor.run(ids[0], "failed")
    floor.record(2)

    assert workflow.progress().statuses == {Status.FAILED: 1, Status.CANCELLED: 3}
    assert floor.said(ids[1]).endswith((f"Task {ids[0]} of its workflow failed.", "was cancelled."))


@on_both_databases
def test_a_cancel_ends_all_that_is_open(floor):
    workflow = chain(echo.part(1), group(echo.part(2), echo.part(3))).enqueue()
    first, *_ = workflow.task_ids.values()
    floor.run(first)

    assert workflow.cancel(by="ann") == 2
    assert workflow.cancel() == 0
    floor.record(2)

    assert workflow.progress().statuses == {Status.COMPLETED: 1, Status.CANCELLED: 2}
    assert floor.said(workflow.task_ids["echo-2"]) == "Its workflow was cancelled by ann."


@on_both_databases
def test_what_reaches_redis_after_the_cancel_is_cancelled_too(floor, broker):
    workflow = chain(echo.part(1), echo.using(if_parent_fails="run").part(2)).enqueue()
    _, second = workflow.task_ids.values()
    late = find(second).message
    floor.record()
    broker.link.call("HDEL", "dtps:{s0}:payloads", second)
    broker.link.call("HDEL", "dtps:{s0}:states", second)
    broker.link.call("SREM", "dtps:{s0}:q:default:waiting", second)
    TaskRecord.objects.filter(id=second).delete()
    workflow.cancel()

    broker.submit(late)
    floor.record()

    assert floor.said(second) == "Its workflow was cancelled."


@on_both_databases
def test_a_retry_runs_what_did_not_complete_in_order(floor):
    workflow = chain(echo.part(1), echo.part(2), takes.part(3), echo.part(4)).enqueue()
    ids = list(workflow.task_ids.values())
    floor.run(ids[0], result=1)
    floor.run(ids[1], "failed")
    floor.record(3)
    assert workflow.progress().statuses == {
        Status.COMPLETED: 1, Status.FAILED: 1, Status.CANCELLED: 2,
    }  # fmt: skip

    assert workflow.retry() == (3, {})
    floor.record(2)

    assert floor.statuses(*ids) == ["completed", "pending", "waiting", "waiting"]
    for task_id in ids[1:]:
        floor.run(task_id, result=task_id)
    assert results_of(ids[2]) == ids[1]
    assert workflow.progress().is_completed
    assert workflow.retry() == (0, {})


@on_both_databases
def test_a_cancelled_workflow_can_be_retried(floor):
    workflow = chain(echo.part(1), echo.part(2)).enqueue()
    floor.record()
    workflow.cancel()
    floor.record()

    assert workflow.retry() == (2, {})
    floor.record()
    for task_id in workflow.task_ids.values():
        floor.run(task_id)

    assert workflow.progress().is_completed


def test_an_unknown_workflow_is_no_workflow(db):
    for call in (get_workflow, lambda i: get_workflow(i).cancel()):
        with pytest.raises(WorkflowNotFound, match="There is no workflow x"):
            call("x")


@on_both_databases
def test_all_of_it_has_a_twin_for_async_code(floor):
    @async_to_sync
    async def go():
        workflow = await chain(echo.part(1), echo.part(2)).aenqueue("async")
        progress = await workflow.aprogress()
        cancelled = await workflow.acancel()
        return progress.total, cancelled, await workflow.aretry()

    assert go() == (2, 2, (2, {}))


@on_both_databases
def test_what_is_cancelled_while_a_workflow_is_retried_is_retried_too(floor, monkeypatch):
    workflow = chain(echo.part(1), echo.part(2)).enqueue()
    first, second = workflow.task_ids.values()
    floor.record()
    floor.claimed()
    floor.end(first, "failed")

    def look(ids):
        found = statuses_of(ids)
        floor.record()  # the second is cancelled after this look
        return found

    monkeypatch.setattr(result, "statuses_of", look)
    assert workflow.retry() == (2, {})
    floor.record()

    assert floor.statuses(first, second) == ["pending", "waiting"]


@on_both_databases
def test_what_is_to_be_cancelled_while_its_parent_is_retried_waits_on(floor, monkeypatch):
    workflow = chain(echo.part(1), echo.part(2)).enqueue()
    first, second = workflow.task_ids.values()
    floor.record()
    floor.claimed()
    floor.end(first, "failed")
    admit = Releaser._admit

    def late(releaser, *looked_at):
        workflow.retry()
        return admit(releaser, *looked_at)

    with monkeypatch.context() as patch:
        patch.setattr(Releaser, "_admit", late)
        floor.record()

    assert floor.statuses(first, second) == ["pending", "waiting"]
    floor.run(first)
    floor.run(second)
    assert workflow.progress().is_completed


@on_both_databases
def test_a_failure_that_was_retried_cancels_nothing_of_the_rest(floor, monkeypatch):
    workflow = group(echo.part(1), echo.part(2)).enqueue(on_failure="cancel")
    first, second = workflow.task_ids.values()
    floor.record()
    floor.claimed()
    floor.end(first, "failed")
    cancel = Releaser._fail_workflow

    def late(releaser, message):
        workflow.retry()
        cancel(releaser, message)

    monkeypatch.setattr(Releaser, "_fail_workflow", late)
    floor.record()

    assert floor.statuses(first, second) == ["pending", "assigned"]


@on_both_databases
def test_a_retried_workflow_is_not_over_before_the_history_knows(floor):
    workflow = chain(echo.part(1), echo.part(2)).enqueue()
    floor.run(workflow.task_ids["echo-1"], "failed")
    floor.record(2)
    assert workflow.progress().is_over

    workflow.retry()

    assert not workflow.progress().is_over
    for task_id in workflow.task_ids.values():
        floor.run(task_id)
    assert workflow.progress().is_completed
