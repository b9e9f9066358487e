"""A worker grows with its backlog, in processes or in threads, and says why."""

import json

import pytest

from tasks_app.states import Status

from ..conftest import wait_until

# Also while the machine is busy elsewhere.
ALWAYS = {"RENEW_SECONDS": 0.3, "SCALE_CPU_PERCENT": 1000, "SCALE_MEMORY_PERCENT": 1000}


@pytest.mark.parametrize(
    ("kind", "pool", "executors"),
    [
        ("processes", ("--pool-size", "1"), 4),
        ("threads", ("--processes", "1", "--threads", "2"), 1),
    ],
)
def test_a_worker_grows_within_its_bounds_while_tasks_wait(
    queue, start, tmp_path, kind, pool, executors
):
    gate, name = tmp_path / "gate", f"grown-{kind}"
    worker = start(
        "runworker", "--id", name, "--queues", kind, *pool, "--min", "1", "--max", "4",
        "--no-coordinator", env={"TEST_DTPS": json.dumps(ALWAYS)},
    )  # fmt: skip
    ids = [queue.submit("block_until", str(gate), queue=kind) for _ in range(8)]

    wait_until(lambda: queue.said(name).get("slots") == 4, "four slots")
    wait_until(lambda: queue.said(name)["active"] == 4, "four tasks at once")
    assert (queue.said(name)["kind"], len(worker.executors())) == (kind, executors)
    decision = next(d for d in queue.broker.fleet.decisions() if d["worker"] == name)
    assert (decision["to"], decision["numbers"]["most"]) == (4, 4)
    assert decision["reason"]

    gate.touch()
    states = [queue.wait_until_final(i) for i in ids]
    assert {(s.status, s.starts) for s in states} == {(Status.COMPLETED, 1)}
    assert worker.stop() == 0
