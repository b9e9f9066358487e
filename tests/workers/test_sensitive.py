"""Secrets in a real run: with keys no byte of them is stored, without them nobody is shown one."""

import json
import subprocess
from io import StringIO
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connections, transaction
from django.test import Client
from django.urls import reverse

from tasks_app import lookup, outbox
from tasks_app.alias import AliasOptions
from tasks_app.broker import connection as redis_connection
from tasks_app.enqueue import message_of
from tasks_app.message import now_us
from tasks_app.models import Quarantine, Schedule, TaskRecord
from tasks_app.note import NO_KEY
from tasks_app.schedules import operations
from tasks_app.schedules.definition import Definition
from tasks_app.secrecy.sensitive import REDACTED
from tasks_app.states import FINAL, Status
from tasks_app.why import explain
from tasks_app.workflows import chain

from ..conftest import wait_until
from ..postgres import ALIAS, on_both_databases
from ..redis_server import RedisServer
from ..sample.secretive import fingerprint, make_token, tell_token
from .processes import processes

pytestmark = pytest.mark.django_db(transaction=True)

CANARY = "canary-7Q'x"  # in each secret; with a character that is written in several ways
PASSWORD, NUMBER = f"{CANARY} of the bird", "4000123412341234"
CARD = {"number": NUMBER, "valid": "12/30"}
LOG_IN = {"user": "eve", "password": PASSWORD, "card": CARD}
TYPE = "tests.sample.secretive.log_in"
KEY = Fernet.generate_key().decode()
SECRETS = [each.encode() for each in ("canary-7Q", NUMBER, KEY)]


@pytest.fixture
def server():
    """One of each test's own: whatever was ever written there is in its files."""
    server = RedisServer()
    server.start()
    yield server
    redis_connection.close_all()
    server.close()


@pytest.fixture
def using(request):
    """The alias of the database that all models are in."""
    asked = "database" in request.fixturenames
    return request.getfixturevalue("database") if asked else "default"


@pytest.fixture
def start(queue, tmp_path, using, request):
    """Starts workers with these keys, on the test's own servers."""
    if using == ALIAS:
        where = {"DATABASE_URL": request.getfixturevalue("postgres")}
    else:
        where = {"TEST_DATABASE_NAME": str(connections[using].settings_dict["NAME"])}

    def begin(name, *keys, more=()):
        env = where | {"TEST_DTPS": json.dumps({"ENCRYPTION_KEYS": keys})}
        size = ("--processes", "1", "--threads", "2")
        worker = run("runworker", "--id", name, *size, *more, env=env)
        worker.wait_for("event=executor_started")
        return worker

    with processes(queue.broker.link.url, tmp_path) as run:
        yield begin


def work(queue):
    """Have tasks with secrets of every kind done. Return the ids of those that are over."""
    ids = [queue.submit(name, kwargs=LOG_IN, idempotency_key=name, unique=False) for name in
           ("log_in", "log_in_wrongly")]  # fmt: skip
    ids += [queue.submit("keep_quiet", PASSWORD, kwargs={"x": NUMBER})]
    ids += [queue.submit("make_token", PASSWORD), late(queue)]
    operations.create(Definition(name="daily", type=TYPE, every=86_400, kwargs=LOG_IN))
    ids.append(operations.run_now("daily").task_id)
    wait_until(lambda: recorded(ids[:4] + ids[5:]), "all of them in the history")
    return ids


def late(queue):
    """One that stays where it is."""
    return queue.submit("log_in", kwargs=LOG_IN, unique=False, run_after_us=now_us() + 10**12)


def recorded(ids):
    rows = TaskRecord.objects.filter(id__in=ids, status__in=FINAL)
    return len(rows) == len(ids) and not lookup._live(ids)


def leaks(texts):
    """Where a secret is found: name -> secret."""
    return {name: secret for name, text in texts.items() for secret in SECRETS if secret in text}


def shown(client, ids):
    """Everything that anybody can look at."""
    paths = ["/", "/schedules/", "/api/tasks", "/api/schedules", "/api/schedules/daily",
             "/api/metrics", "/api/task-types", "/api/queues", "/api/schema"]  # fmt: skip
    for task_id in ids:
        paths += [f"/api/tasks/{task_id}{more}" for more in ("", "/log", "/why")]
        paths += [f"/api/tasks/status?id={task_id}"]
        paths += [reverse("admin:tasks_app_taskrecord_change", args=[task_id])]
    for name in ("taskrecord", "schedule", "outbox", "quarantine"):
        paths.append(reverse(f"admin:tasks_app_{name}_changelist"))
    paths += [reverse("admin:tasks_app_schedule_change", args=[each.pk])
              for each in Schedule.objects.all()]  # fmt: skip
    answers = {path: client.get(path) for path in paths}
    assert {path: a.status_code for path, a in answers.items() if a.status_code != 200} == {}
    found = {path: answer.content for path, answer in answers.items()}
    for words in (["status", *ids], ["status", *ids, "--json"], ["list"], ["schedules", "--json"],
                  ["why", ids[1]], ["keys"]):  # fmt: skip
        out = StringIO()
        call_command("dtps", *words, stdout=out, stderr=out)
        found[" ".join(words[:1])] = out.getvalue().encode()
    return found


def stored_in_redis(queue):
    """Every key with all that it holds."""
    call, found = queue.broker.link.call, {}
    reads = {
        "string": ["GET"], "hash": ["HGETALL"], "set": ["SMEMBERS"],
        "list": ["LRANGE", 0, -1], "zset": ["ZRANGE", 0, -1], "stream": ["XRANGE", "-", "+"],
    }  # fmt: skip
    for key in call("KEYS", "*"):
        kind = call("TYPE", key).decode()
        if kind == "none":  # it has ended meanwhile
            continue
        command, *more = reads[kind]
        found[repr(key)] = key + repr(call(command, key, *more)).encode()
    return found


def stored_in_database(using):
    """Every table with all that it holds; and the files of a database that has its own."""
    found, connection = {}, connections[using]
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            found[table] = b"\n".join(
                bytes(each) if isinstance(each, bytes | memoryview) else str(each).encode()
                for row in cursor.fetchall() for each in row
            )  # fmt: skip
    if connection.vendor == "sqlite":
        path = Path(str(connection.settings_dict["NAME"]))
        # By another process: whoever closes a file lets go of all locks on it that its process has,
        # SQLite's too (https://www.sqlite.org/howtocorrupt.html, section 2.2).
        for file in path.parent.glob(f"{path.name}*"):
            found[file.name] = subprocess.check_output(["cat", file])
    return found


@pytest.fixture
def unwritten(using):
    """The files of a database without what tests before this one have deleted from it."""
    if connections[using].vendor == "sqlite":
        with connections[using].cursor() as cursor:
            cursor.execute("VACUUM")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            assert cursor.fetchone()[0] == 0  # nobody reads what is to go


@pytest.fixture
def client():
    user = get_user_model().objects.create_superuser("root", password="x")
    client = Client(headers={"host": "localhost:8080"})
    client.force_login(user)
    return client


def use(settings, *keys):
    settings.DTPS = {**settings.DTPS, "ENCRYPTION_KEYS": list(keys)}


@on_both_databases
def test_with_keys_no_byte_of_a_secret_is_stored_or_shown(
    queue, server, start, settings, client, using, unwritten
):
    use(settings, KEY)
    worker = start("keeper", KEY)

    ids = work(queue)
    with transaction.atomic(using=using):
        message = message_of(queue.request("log_in", kwargs=LOG_IN, unique=False))
        outbox.put([message], AliasOptions(database=using))
        Quarantine.objects.create(task_id="q", definition=message.encode(), reason="a test")
        there = stored_in_database(using)

    assert leaks(stored_in_redis(queue)) == {}
    files = [file for file in server.directory.rglob("*") if file.is_file()]
    assert leaks({file.name: file.read_bytes() for file in files}) == {}
    assert any(ids[0].encode() in file.read_bytes() for file in files)
    assert leaks(there) == {}
    assert leaks(stored_in_database(using)) == {}
    assert leaks(shown(client, ids)) == {}
    assert leaks({"log": worker.log.encode()}) == {}
    assert_all_was_done(queue, ids)


@on_both_databases
def test_without_keys_no_secret_is_shown(queue, start, settings, client, using):
    use(settings)
    worker = start("teller")

    ids = work(queue)

    assert leaks(stored_in_database(using)) != {}  # as it is: or nothing would be tested here
    assert leaks(shown(client, ids)) == {}
    assert leaks({"log": worker.log.encode()}) == {}
    assert_all_was_done(queue, ids)


@pytest.mark.parametrize("is_given", [True, False])
@on_both_databases
def test_a_child_tells_nobody_a_sensitive_result_of_its_parent(
    queue, start, settings, client, using, unwritten, is_given
):
    use(settings, KEY)
    worker = start("keeper", KEY)

    child = tell_token.using(takes_results=True) if is_given else tell_token
    ids = list(chain(make_token.part(PASSWORD), child.part()).enqueue().task_ids.values())
    operations.create(Definition(name="daily", type=TYPE, every=86_400, kwargs=LOG_IN))
    wait_until(lambda: recorded(ids), "the child in the history")

    attempt = lookup.find(ids[1]).state.attempts[-1]  # before it may be looks that were in vain
    assert attempt.error.startswith("This is not to be told: ")
    assert attempt.error.count(REDACTED) == attempt.traceback.count(REDACTED) == 3
    assert leaks(stored_in_redis(queue)) == {}
    assert leaks(stored_in_database(using)) == {}
    assert leaks(shown(client, ids)) == {}
    assert leaks({"log": worker.log.encode()}) == {}


def assert_all_was_done(queue, ids):
    """The secrets have reached their tasks."""
    done, wrong, quiet, token, _, fired = (lookup.find(each) for each in ids)
    proof = fingerprint("eve", PASSWORD, CARD)
    assert done.state.attempts[-1].result == fired.state.attempts[-1].result == proof
    assert [each.outcome for each in wrong.state.attempts] == ["retrying", "failed"]
    error = wrong.state.attempts[-1]
    assert error.error.startswith("eve cannot log in with") and error.error.count(REDACTED) == 2
    assert "raise ValueError(" in error.traceback and error.traceback.count(REDACTED) == 2
    assert quiet.state.status == Status.COMPLETED
    assert make_token.get_result(token.message.id).return_value == {
        "token": f"token of {PASSWORD}", "args": [REDACTED]
    }  # fmt: skip


def test_a_worker_without_the_key_gives_a_task_back_and_another_one_runs_it(queue, start, settings):
    use(settings, KEY)
    ignorant = start("ignorant", more=["--no-coordinator"])
    task_id = queue.submit("log_in", kwargs=LOG_IN)
    ignorant.wait_for("event=key_missing")

    def said():
        return queue.state(task_id).attempts

    wait_until(said, "what the worker said")
    reason, *_ = explain(task_id).reasons
    assert reason.code == "key_missing" and "ENCRYPTION_KEYS" in reason.sentence
    assert reason.numbers["worker"] == "ignorant"
    assert lookup.find(task_id).state.failures == 0
    assert NO_KEY[:20] in json.dumps(client_note(task_id))
    assert ignorant.stop() == 0
    start("knowing", KEY, more=["--no-coordinator"])

    state = queue.wait_until_final(task_id)

    assert state.status == Status.COMPLETED
    assert [each.outcome for each in state.attempts] == ["pending", "completed"]


def client_note(task_id):
    answer = Client(headers={"host": "localhost:8080"}).get(f"/api/tasks/{task_id}")
    return answer.json()["note"]


def test_what_was_altered_fails_at_once_and_says_why(queue, start, settings):
    use(settings, KEY)
    first = message_of(queue.request("log_in", kwargs=LOG_IN))
    definition = message_of(queue.request("log_in", kwargs=LOG_IN, id="other")).encode()
    forged = definition.replace(b'"id":"other"', f'"id":"{first.id}"'.encode())
    queue.broker.submit(first)
    [payloads] = queue.broker.link.call("KEYS", "*:payloads")
    queue.broker.link.call("HSET", payloads, first.id, forged)
    start("checking", KEY, more=["--no-coordinator"])

    state = queue.wait_until_final(first.id)

    assert (state.status, len(state.attempts)) == (Status.FAILED, 1)
    assert state.attempts[0].error_type == "tasks_app.exceptions.SealBroken"
