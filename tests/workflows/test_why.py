"""Why a task waits: for which others, and what comes after these."""

from tasks_app.why import explain
from tests.sample.tasks import echo

from ..postgres import on_both_databases


def sentences(task):
    return [reason.sentence for reason in explain(task.id).reasons]


def codes(task):
    return [reason.code for reason in explain(task.id).reasons]


@on_both_databases
def test_it_names_what_it_waits_for(floor):
    one, two = echo.enqueue(1), echo.enqueue(2)
    alone = echo.using(depends_on=one).enqueue()
    both = echo.using(depends_on=[one, two]).enqueue()

    assert codes(alone) == ["waits_for", "no_worker"]
    assert sentences(alone)[0] == f"It waits for task {one.id} (pending)."
    assert sentences(both)[0] == (
        f"It waits for task {one.id} (pending) and task {two.id} (pending). 0 of 2 tasks have "
        "ended."
    )
    floor.run(one.id)
    assert sentences(both)[0] == (
        f"It waits for task {two.id} (assigned). 1 of 2 tasks have ended."
    )
    assert explain(both.id).reasons[0].numbers == {"tasks": [two.id], "open": 1, "of": 2}


@on_both_databases
def test_of_many_only_some_are_named(floor):
    parents = [echo.enqueue(n) for n in range(5)]
    child = echo.using(depends_on=parents).enqueue()

    assert sentences(child)[0].endswith("(pending) and 2 more. 0 of 5 tasks have ended.")


@on_both_databases
def test_one_that_is_to_be_let_go_says_so(floor):
    parent = echo.enqueue(1)
    child = echo.using(depends_on=parent).enqueue()
    floor.claimed()
    floor.end(parent.id)

    assert codes(child)[:2] == ["released", "no_coordinator"]
    floor.record()
    assert codes(child)[0] == "assigned" if floor.claimed() else "next"


@on_both_databases
def test_one_that_waits_for_its_limit_then_says_that(floor):
    parent = echo.enqueue(1)
    children = echo.using(depends_on=parent, concurrency=1).enqueue_many([[1], [2]])
    assert codes(children[1])[0] == "waits_for"
    floor.run(parent.id)

    assert floor.status(children[1].id) == "waiting"
    assert codes(children[1])[-1] == "limit_full"


@on_both_databases
def test_one_that_was_cancelled_for_its_parent_names_it(floor):
    parent = echo.enqueue(1)
    child = echo.using(depends_on=parent).enqueue()
    floor.run(parent.id, "failed")

    assert sentences(child)[0] == f"It waited for task {parent.id}, which failed."
