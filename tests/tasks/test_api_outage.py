"""Every address of the API while Redis is away: refused in a sentence, and never left hanging."""

import json
import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from django import db
from django.db import OperationalError
from django.test import Client
from django.urls import get_resolver

from tasks_app.broker import connection
from tests.lua.peers import Refusing, Swallowing
from tests.redis_server import RedisServer

pytestmark = pytest.mark.django_db

LOADING = "LOADING Redis is loading the dataset in memory"
TASK_ID = "0198b1f2-0000-7000-8000-000000000000"
VALUES = {
    "<str:task_id>": TASK_ID,
    "<str:workflow_id>": TASK_ID,
    "<str:operation_id>": TASK_ID,
    "<str:name>": "mail",
}
# What asks nobody but this process, or the database; and what is below such an address.
WITHOUT_REDIS = {
    "/api/task-types",
    "/api/schema",
    "/api/docs",
    "/api/schedules",
    "/api/workflows",
    "/api/operations",
    "/api/retention",
}
BODIES = {
    "/api/tasks/submit": {"taskType": "test"},
    "/api/tasks/bulk": {"tasks": [{"taskType": "test"}]},
    "/api/workers/scale": {"slots": 2},
}


def addresses(patterns=None, before="/"):
    """Each address of the API with the methods that it takes."""
    for entry in get_resolver().url_patterns if patterns is None else patterns:
        path = f"{before}{entry.pattern}"
        if hasattr(entry, "url_patterns"):
            yield from addresses(entry.url_patterns, path)
            continue
        view = getattr(entry.callback, "view_class", None)
        if path.startswith("/api/") and not path.endswith("/") and "$" not in path and view:
            path = re.sub("<[^>]*>", lambda name: VALUES[name[0]], path)
            for method in ("GET", "POST", "PATCH", "DELETE"):
                if hasattr(view, method.lower()):
                    yield method, path


def needs_redis(path):
    return not any(path == each or path.startswith(each + "/") for each in WITHOUT_REDIS)


ADDRESSES = sorted(each for each in addresses() if needs_redis(each[1]))


@pytest.fixture
def api():
    """Somebody at this machine."""
    return Client(headers={"host": "localhost:8080"})


@contextmanager
def dead():
    directory = Path(tempfile.mkdtemp(prefix="dtps-dead-", dir="/tmp"))
    yield f"unix://{directory}/nobody.sock"
    shutil.rmtree(directory)


@contextmanager
def silent():
    """Takes every command, and never says a word."""
    with Refusing("") as peer:
        peer.serve = swallow
        yield peer.url


def swallow(client):
    while client.recv(65536):
        pass


@contextmanager
def loading():
    with Refusing(LOADING) as peer:
        yield peer.url


@pytest.fixture(params=[dead, silent, loading], ids=lambda kind: kind.__name__)
def no_redis(request, settings):
    with request.param() as url:
        settings.DTPS = {**settings.DTPS, "REDIS_URL": url, "SOCKET_TIMEOUT_SECONDS": 0.1}
        yield request.param


def ask(api, method, path):
    query = "" if TASK_ID in path else f"?id={TASK_ID}"
    if path in ("/api/tasks", "/api/workers/decisions", "/api/system/reset"):
        query = ""
    body = json.dumps(BODIES[path]) if path in BODIES else ""
    return api.generic(method, path + query, body, content_type="application/json")


def test_the_list_of_addresses_is_not_empty():
    assert len(ADDRESSES) > 20
    assert {path for _, path in ADDRESSES} >= BODIES.keys()


@pytest.mark.parametrize(("method", "path"), ADDRESSES, ids=str)
def test_without_redis_an_address_answers_503_and_when_to_try_again(api, no_redis, method, path):
    response = ask(api, method, path)

    assert response.status_code == 503, response.content
    assert int(response.headers["Retry-After"]) > 0
    assert response.json()["code"] in ("unavailable", "unknown")
    assert response.json()["detail"].startswith("Redis")


@pytest.mark.parametrize("path", sorted(WITHOUT_REDIS))
def test_what_needs_no_redis_answers_without_it(api, no_redis, path):
    assert api.get(path).status_code == 200


def test_the_health_check_and_the_page_say_it(api, no_redis):
    health = api.get("/healthz")
    assert (health.status_code, health.headers["Retry-After"]) == (503, "1")
    page = api.get("/").content.decode()
    assert 'data-part="trouble"' in page and "Redis" in page


@pytest.mark.parametrize("cuts", [True, False], ids=["cut off", "silent"])
@pytest.mark.parametrize(("method", "path"), ADDRESSES, ids=str)
def test_an_answer_that_gets_lost_is_waited_for_once(
    api, broker, redis_server, settings, method, path, cuts
):
    """The connection was good, and then the server stops answering: each wait costs its timeout."""
    broker.fleet.announce(TASK_ID, {"status": "active"})
    with Swallowing(redis_server, cuts=cuts) as peer:
        settings.DTPS = {**settings.DTPS, "REDIS_URL": peer.url, "SOCKET_TIMEOUT_SECONDS": 0.3}
        assert api.get("/healthz").status_code == 200
        peer.answers = False

        response = ask(api, method, path)

        assert response.status_code == 503, response.content
        assert "Retry-After" in response.headers
        # One, and one more on which a submit is looked up.
        assert len(peer.sockets) == (2 if "submit" in path or "bulk" in path else 1)


def test_a_submit_whose_fate_is_not_known_says_so_with_its_id(api, broker, redis_server, settings):
    with Swallowing(redis_server) as peer:
        settings.DTPS = {**settings.DTPS, "REDIS_URL": peer.url, "SOCKET_TIMEOUT_SECONDS": 0.3}
        assert ask(api, "POST", "/api/tasks/submit").status_code == 201
        peer.answers = False

        answer = ask(api, "POST", "/api/tasks/submit").json()

    assert answer["code"] == "unknown"
    assert broker.get(answer["taskId"]) is not None  # it was stored, and can be looked up


def test_redis_is_found_again_as_soon_as_it_is_back(api, settings):
    server = RedisServer()
    server.start()
    try:
        settings.DTPS = {**settings.DTPS, "REDIS_URL": server.url}
        assert ask(api, "GET", "/api/metrics").status_code == 200
        server.kill()
        assert ask(api, "GET", "/api/metrics").status_code == 503
        assert ask(api, "POST", "/api/tasks/submit").status_code == 503
        server.start()

        assert ask(api, "GET", "/api/metrics").status_code == 200
        assert ask(api, "POST", "/api/tasks/submit").status_code == 201
    finally:
        connection.close_all()
        server.close()


def test_a_full_redis_refuses_submits_and_answers_questions(api, settings):
    server = RedisServer(None, "--maxmemory", "1")
    server.start()
    try:
        settings.DTPS = {**settings.DTPS, "REDIS_URL": server.url}

        refused = ask(api, "POST", "/api/tasks/submit")

        assert (refused.status_code, refused.json()["code"]) == (503, "full")
        assert "Retry-After" in refused.headers
        assert api.get("/healthz").status_code == 503
        assert ask(api, "GET", "/api/metrics").status_code == 200
    finally:
        connection.close_all()
        server.close()


# --- the database ---


@pytest.fixture
def no_database():
    """Every query fails as it does when the server is gone."""

    def fail(execute, sql, *rest):
        raise OperationalError("the connection was refused")

    with db.connection.execute_wrapper(fail):
        yield


HISTORY = [("GET", "/api/tasks"), ("GET", "/api/tasks/status"), ("GET", "/api/debug")]


@pytest.mark.parametrize(("method", "path"), HISTORY, ids=str)
def test_without_the_database_what_asks_the_history_says_so(api, broker, no_database, method, path):
    response = ask(api, method, path)

    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert response.json()["detail"] == "The database does not answer."
    assert "Retry-After" in response.headers


def test_without_the_database_work_goes_on(api, broker, no_database):
    submitted = ask(api, "POST", "/api/tasks/submit")

    assert submitted.status_code == 201
    task_id = submitted.json()["taskId"]
    assert api.get(f"/api/tasks/status?id={task_id}").json()["status"] == "pending"
    for path in ("/api/metrics", "/api/workers", "/api/queues", "/healthz", "/"):
        assert api.get(path).status_code == 200, path
    assert api.post(f"/api/tasks/{task_id}/cancel").json()["before"] == "pending"


def test_a_page_that_needs_a_login_says_that_the_database_is_away(settings, client, no_database):
    settings.DTPS_LOCAL_ACCESS = False
    client.cookies["sessionid"] = "somebody"

    response = client.get("/")

    assert response.status_code == 503
    assert b"The database does not answer." in response.content
    assert "Retry-After" in response.headers
