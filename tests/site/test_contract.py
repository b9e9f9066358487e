"""The original's README, example by example, against everything as ``manage.py up`` starts it."""

import http.client
import json
import shutil
import signal
import socket
import tempfile
from pathlib import Path

import psutil
import pytest

from tests.conftest import PATIENCE_SECONDS, wait_until

from .conftest import is_server_gone
from .programs import Program, environment, reserved_port

FRONT_END = "http://localhost:3000"


class Api:
    """Calls with curl's headers, and without following redirects."""

    def __init__(self, port):
        self.port = port

    def send(self, method, path, body=None, headers=()):
        """The status, the headers and the JSON of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        given = {"Host": f"localhost:{self.port}", "Content-Type": "application/json"}
        text = json.dumps(body) if isinstance(body, dict) else body
        connection.request(method, path, text, given | dict(headers))
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        return response.status, response.headers, json.loads(answer)

    def get(self, path):
        status, _, answer = self.send("GET", path)
        assert status == 200, answer
        return answer

    def post(self, path, body=None, expected=200):
        status, _, answer = self.send("POST", path, body)
        assert status == expected, answer
        return answer


@pytest.fixture(scope="module")
def api():
    var = Path(tempfile.mkdtemp(prefix="dtps-var-", dir="/tmp"))
    with reserved_port() as reserved:
        port = reserved.getsockname()[1]
        up = Program("manage.py", "up", "--feed", "0", env=environment(var, PORT=str(port)))
        try:
            up.wait_for("Ready after")
            yield Api(port)
            up.signal(signal.SIGTERM)
            assert up.wait() == 0, up.said()
        finally:
            up.close()
            wait_until(lambda: is_server_gone(var), "the end of the embedded server")
            shutil.rmtree(var)


def test_start_a_worker_see_it_and_stop_it(api):
    pool = {"poolSize": 5, "enableSteal": True, "minWorkers": 1, "maxWorkers": 10}

    started = api.post("/api/workers/start", pool, 201)

    worker_id = started["id"]
    assert started == {"status": "Worker started", "config": pool, "id": worker_id}
    wait_until(lambda: worker_id in api.get("/api/workers"), "the new worker")
    worker = api.get("/api/workers")[worker_id]
    assert {"id", "lastSeen", "tasksProcessed", "activeTasks", "status"} <= set(worker)
    assert (worker["id"], worker["status"]) == (worker_id, "active")
    process = psutil.Process(worker["pid"])
    assert api.post(f"/api/workers/stop?id={worker_id}") == {
        "status": "Worker stopped", "id": worker_id,
    }  # fmt: skip
    wait_until(lambda: not process.is_running(), "the end of the worker's process")
    wait_until(lambda: worker_id not in api.get("/api/workers"), "its leave")
    assert api.send("POST", f"/api/workers/stop?id={worker_id}")[0] == 404


def test_submit_a_task_and_follow_it(api):
    task = {
        "priority": 5,
        "deadline": "2024-01-30T15:04:05Z",
        "retries": 3,
        "taskType": "test",
        "payload": "task data here",
    }

    submitted = api.post("/api/tasks/submit", task, 201)

    task_id = submitted["taskId"]
    assert submitted == {"taskId": task_id, "status": "queued"}
    address = f"/api/tasks/status?id={task_id}"
    wait_until(lambda: api.get(address)["status"] == "completed", "the task's end")
    status = api.get(address)
    assert (status["task_id"], status["output"]) == (task_id, "task data here")
    assert not status["error"]
    assert status["retry_count"] == 0
    assert status["worker_id"] in api.get("/api/workers")
    assert status["start_time"] and status["end_time"]
    metrics = status["metrics"]
    assert metrics["processing_time"] > 0 and metrics["queue_wait_time"] > 0
    assert metrics["memory_usage"] > 0 and metrics["cpu_time"] >= 0


def test_a_status_is_never_missing_while_a_task_moves(api):
    """Asked as quickly as one can, from the submit until the database alone has it."""
    for _ in range(20):
        task_id = api.post("/api/tasks/submit", {"taskType": "test"}, 201)["taskId"]
        for _ in range(10):
            api.get(f"/api/tasks/status?id={task_id}")


def test_metrics_debug_and_reset(api):
    metrics = api.get("/api/metrics")
    assert set(metrics) >= {
        "activeWorkers", "totalTasks", "processedTasks", "failedTasks", "queueLengths",
        "workerMetrics",
    }  # fmt: skip
    assert list(metrics["queueLengths"]) == [str(level) for level in range(1, 11)]
    assert metrics["workerMetrics"].keys() == api.get("/api/workers").keys()
    debug = api.get("/api/debug")
    assert set(debug) >= {f"queue_{level}" for level in range(1, 11)}
    for worker in debug["workers"].values():
        assert set(worker) == {"assigned_tasks", "processing_tasks", "completed_tasks"}
    assert {"results", "failed_tasks"} <= set(debug)

    later = {"taskType": "test", "runAfter": "2040-01-01T00:00:00Z"}
    waiting = [api.post("/api/tasks/submit", later, 201)["taskId"] for _ in range(3)]
    assert api.post("/api/system/reset")["status"] == "System reset successful"

    wait_until(lambda: api.get("/api/metrics")["processedTasks"] == 0, "the counters' zero")
    assert api.get("/api/metrics")["totalTasks"] == 0
    for task_id in waiting:
        assert api.get(f"/api/tasks/status?id={task_id}")["status"] == "cancelled"


def test_the_original_front_end_may_ask_from_its_own_origin(api):
    asked = {"Origin": FRONT_END, "Access-Control-Request-Method": "POST",
             "Access-Control-Request-Headers": "content-type"}  # fmt: skip
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=PATIENCE_SECONDS)
    connection.request("OPTIONS", "/api/tasks/submit", headers=asked)
    preflight = connection.getresponse()
    preflight.read()
    connection.close()

    body = {"taskType": "test", "payload": "", "priority": 5, "retries": 3, "deadline": ""}
    status, headers, _ = api.send("POST", "/api/tasks/submit", body, {"Origin": FRONT_END})
    refused, _, _ = api.send("POST", "/api/tasks/submit", body, {"Origin": "https://evil.test"})

    assert (preflight.status, status, refused) == (200, 201, 401)
    for answer in (preflight.headers, headers):
        assert answer["Access-Control-Allow-Origin"] == FRONT_END


def test_a_body_in_chunks_is_a_body(api):
    chunks = iter([b'{"taskType":', b'"test"}'])

    status, _, answer = api.send("POST", "/api/tasks/submit/", chunks)

    assert status == 201, answer


@pytest.mark.parametrize("in_chunks", [False, True])
def test_a_body_over_the_limit_is_refused_by_the_server_too(api, in_chunks):
    size = 12 * 1024 * 1024
    body = iter([b" " * (size // 4)] * 4) if in_chunks else b" " * size

    status, _, answer = api.send("POST", "/api/tasks/submit", body)

    assert status == 413
    assert "larger" in answer["detail"]


def test_nonsense_on_the_wire_is_answered_and_harms_nobody(api):
    requests = [
        b"POST /api/tasks/submit HTTP/1.1\r\nHost: evil.test\r\nContent-Length: 2\r\n\r\n{}",
        b"GET /api/tasks/%00%ff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/../api//metrics?%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"TRACE /api/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ]
    for request in requests:
        with socket.create_connection(("127.0.0.1", api.port), PATIENCE_SECONDS) as wire:
            wire.sendall(request)
            answer = wire.recv(65536)
        assert answer.startswith(b"HTTP/1.1 4"), (request, answer[:200])

    assert api.send("GET", "/healthz")[0] == 200
