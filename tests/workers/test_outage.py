"""A worker whose Redis is not there yet, goes away, or is none to be trusted."""

import pytest

from tasks_app.broker import connection
from tasks_app.states import Status

from ..redis_server import RedisServer


@pytest.fixture(scope="module")
def server():
    server = RedisServer()
    yield server
    server.close()


def test_a_worker_waits_for_its_server_and_outlives_it_with_nothing_lost(
    queue, server, start, tmp_path
):
    gate = tmp_path / "gate"
    worker = start(
        "runworker", "--id", "w5", "--processes", "1", "--threads", "2", "--no-coordinator"
    )
    worker.wait_for("event=waiting_for_redis")
    server.start()
    before = queue.submit("block_until", str(gate))
    queue.wait_for(before, Status.PROCESSING)

    server.kill()
    connection.close_all()
    gate.touch()  # it finishes while there is nobody to report to
    worker.wait_for("event=redis_away")
    server.start()

    state = queue.wait_until_final(before)
    assert (state.status, state.starts, state.crashes) == (Status.COMPLETED, 1, 0)
    assert queue.wait_until_final(queue.submit("echo")).status == Status.COMPLETED
    assert worker.stop() == 0
    assert "Traceback" not in worker.log


def test_a_server_that_throws_tasks_away_is_refused_with_a_sentence(start):
    server = RedisServer(None, "--maxmemory-policy", "allkeys-lru")
    server.start()
    try:
        worker = start("runworker", "--no-coordinator", env={"DTPS_REDIS_URL": server.url})

        assert worker.wait() == 1
        assert "maxmemory-policy is allkeys-lru" in worker.log
        assert "Traceback" not in worker.log
    finally:
        server.close()
