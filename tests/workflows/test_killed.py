"""A coordinator that is killed or stopped at each step of a release: all is decided once."""

import pytest

from tasks_app.lookup import find
from tasks_app.models import Dependency, TaskRecord
from tasks_app.workflows import chain
from tests.sample.tasks import echo
from workers_app.coordinator.services.recorder import Recorder

from ..postgres import on_both_databases
from ..workers.committing import programs
from .conftest import Floor

START = """
from tasks_app.broker import Broker
from workers_app.coordinator import history, release
from workers_app.coordinator.release import Releaser
from workers_app.coordinator.services.recorder import Recorder
"""
RECORD = "Recorder(broker()).tick()\n"

STEPS = {
    "before the commit": "history.write = hit({})",
    "after the commit": "Releaser.release = hit({})",
    "when the rows are closed": "Releaser._decide = hit({})",
    "after the look at the parents": "Releaser._admit = hit({})",
    "before the admission": "Broker.admit = hit({})",
    "after the admission": "Broker.admit = after(Broker.admit, {})",
    "before the forgetting": "Broker.forget = hit({})",
    "after the forgetting": "Broker.forget = after(Broker.forget, {})",
    "after the acknowledgement": "Broker.acknowledge = after(Broker.acknowledge, {})",
}
# A child that comes when its parents are over and forgotten leaves nothing to be forgotten.
CASES = [(step, True) for step in STEPS] + [(s, False) for s in STEPS if "forgetting" not in s]


@pytest.fixture
def run(broker, database, request):
    """Starts a program on the servers of this test."""
    with programs(broker, database, request) as start:
        yield lambda text: start(START + text + "\n" + RECORD)


class Scene:
    """Parents that have ended in all ways, and their children: none of it is decided yet."""

    def __init__(self, broker, *, children_first):
        self.floor = Floor(broker)
        one, two, bad = echo.enqueue("one"), echo.enqueue("two"), echo.enqueue("bad")
        self.parents = [one.id, two.id, bad.id]
        if children_first:
            self._add_children(one, two, bad)
            self.floor.record()
        self.floor.claimed()
        for task_id, outcome in zip(
            self.parents, ("completed", "completed", "failed"), strict=True
        ):
            self.floor.end(task_id, outcome)
        if not children_first:
            self.floor.record()
            self._add_children(one, two, bad)

    def _add_children(self, one, two, bad):
        self.both = echo.using(depends_on=[one, two]).enqueue().id
        self.anyway = echo.using(depends_on=[two, bad], if_parent_fails="run").enqueue().id
        self.never = echo.using(depends_on=[one, bad]).enqueue().id
        self.nor_this = echo.using(depends_on=self.never).enqueue().id

    def finish(self):
        """Record and run whatever can be."""
        for _ in range(10):
            self.floor.record()
            for task_id in self.floor.claimed():
                self.floor.end(task_id)

    def assert_each_was_decided_once(self):
        broker = self.floor.broker
        assert broker.stats().unrecorded == 0
        assert broker.get_many([*self.parents, self.both, self.anyway, self.never]) == {}
        assert not Dependency.objects.filter(is_open=True).exists()
        for task_id in (self.both, self.anyway):
            row = TaskRecord.objects.get(id=task_id)
            # waiting, let go, claimed, ended: a second admission would be one more
            assert (row.status, row.version, row.stored.state.starts) == ("completed", 4, 1)
        for task_id in (self.never, self.nor_this):
            row = TaskRecord.objects.get(id=task_id)
            assert (row.status, row.version, len(row.stored.state.attempts)) == ("cancelled", 2, 1)
        assert broker.stats().count("cancelled") == 2
        assert broker.stats().count("completed") == 4


@pytest.mark.parametrize("step, children_first", CASES)
@on_both_databases
def test_who_is_killed_is_stood_in_for(broker, run, step, children_first):
    scene = Scene(broker, children_first=children_first)

    _, code = run(STEPS[step].format("KILL")).end()
    assert code == -9

    scene.finish()
    scene.assert_each_was_decided_once()


@pytest.mark.parametrize("step", ["when the rows are closed", "before the admission"])
@on_both_databases
def test_who_wakes_up_when_all_is_over_decides_nothing(broker, run, step):
    scene = Scene(broker, children_first=True)
    setup = STEPS[step].replace("hit({})", "before({}, STOP)")
    target = setup.partition(" = ")[0]
    sleeper = run(setup.format(target))
    sleeper.wait_until_stopped()
    scene.finish()

    _, code = sleeper.go_on()

    assert code == 0
    scene.finish()
    scene.assert_each_was_decided_once()


@on_both_databases
def test_who_wakes_up_after_a_retry_cancels_nothing_of_it(broker, run):
    floor = Floor(broker)
    workflow = chain(echo.part(1), echo.part(2)).enqueue()
    first, second = workflow.task_ids.values()
    floor.record()
    floor.claimed()
    floor.end(first, "failed")
    sleeper = run("Broker.admit = before(Broker.admit, STOP)")
    sleeper.wait_until_stopped()
    floor.record(2)
    assert floor.statuses(first, second) == ["failed", "cancelled"]
    assert workflow.retry().tasks == 2

    sleeper.go_on()
    floor.record()

    assert floor.statuses(first, second) == ["pending", "waiting"]
    for task_id in (first, second):
        floor.run(task_id)
    assert find(second).state.run == 2
    assert workflow.progress().is_completed
    assert Recorder(broker).tick() > 0
