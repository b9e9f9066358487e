"""A workflow that is run by a real worker, while the coordinators are killed again and again."""

import json
from pathlib import Path

from django.db import connections

from tasks_app.models import TaskRecord
from tasks_app.workflows import Workflow
from tests.sample.effects import LOG, effect

from ..conftest import wait_until
from ..postgres import ALIAS, on_both_databases
from ..workers.processes import processes

WIDTH, DEPTH = 6, 5


def lattice():
    """Layers of tasks, of which each waits for two of the layer before."""
    workflow = Workflow("lattice")
    layer = [workflow.add(effect.part(0.05)) for _ in range(WIDTH)]
    for _ in range(DEPTH - 1):
        layer = [
            workflow.add(effect.part(0.05), after=[layer[n], layer[(n + 1) % WIDTH]])
            for n in range(WIDTH)
        ]
    return workflow.enqueue()


def starts_in(directory):
    """The id of each execution, in the order of their starts."""
    lines = Path(directory, LOG).read_text().splitlines()
    return [line.split()[0] for line in lines if line.split()[4] == "start"]


@on_both_databases
def test_each_task_runs_once_after_its_parents(broker, database, tmp_path, postgres):
    name = str(connections["default"].settings_dict["NAME"])
    env = {"DATABASE_URL": postgres} if database == ALIAS else {"TEST_DATABASE_NAME": name}
    env["TEST_DTPS"] = json.dumps({"LEADER_SECONDS": 1})
    workflow = lattice()

    def done():
        return workflow.progress().done

    with processes(broker.link.url, tmp_path) as start:
        start("runworker", "--no-coordinator", "--pool-size=2", env=env)
        candidates = [start("runcoordinator", env=env) for _ in range(2)]
        for round_ in range(4):
            seen = done()
            wait_until(lambda: done() > seen + 1, "two tasks")  # noqa: B023
            candidates[round_ % 2].kill_group()
            candidates[round_ % 2] = start("runcoordinator", env=env)
        wait_until(lambda: workflow.progress().is_over, "the end")
        for each in candidates:
            each.stop()

    assert workflow.progress().is_completed
    ran = starts_in(tmp_path)
    assert sorted(ran) == sorted(workflow.task_ids.values())
    # parents first, by what the history says
    rows = {row.id: row for row in TaskRecord.objects.all()}
    layers = list(workflow.task_ids.values())
    for n in range(WIDTH, len(layers)):
        above = layers[n // WIDTH * WIDTH - WIDTH : n // WIDTH * WIDTH]
        assert rows[layers[n]].started_us > min(rows[i].finished_us for i in above)
        assert rows[layers[n]].failures == 0
