"""The doctor: each mistake in a set-up is told, with what to do; nothing else is."""

import json
from contextlib import contextmanager
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test import modify_settings

import dtps_site.urls  # noqa: F401  first: with other apps unfold would make an empty admin
from tasks_app.broker import broker as project_broker
from tasks_app.broker import connection as redis_connection
from tasks_app.broker import keys
from tasks_app.message import now_us
from tasks_app.models import Ledger, Outbox, Quarantine
from tasks_app.registry import TaskType
from workers_app.doctor import Level, Patient, examine, fleet, options, record, server
from workers_app.executor.spool import Spool, spool_directory

from ..lua.world import outcome, submitted
from ..redis_server import RedisServer

PROBLEM, WARNING, OK, UNKNOWN = Level.PROBLEM, Level.WARNING, Level.OK, Level.UNKNOWN
SAID = {
    "hostname": "here", "pid": 1, "queues": ["default"], "slots": 2, "status": "active",
    "version": "1.0", "types": 3,
}  # fmt: skip


@pytest.fixture
def patient(broker):
    return Patient()


@contextmanager
def asked(settings, *options):
    """A patient whose Redis was started with some options."""
    own = RedisServer(None, "--appendfsync", "everysec", *options)
    own.start()
    settings.DTPS = {**settings.DTPS, "REDIS_URL": own.url}
    try:
        yield Patient()
    finally:
        redis_connection.close_all()
        own.close()


def says(check, patient, level):
    """What a check says at a level; and it says nothing worse."""
    found = list(examine(patient, (check,)))
    assert max((advice.level for advice in found), default=OK) <= level, found
    return " ".join(str(advice) for advice in found if advice.level == level)


def announced(broker, worker="w1", **changes):
    broker.fleet.announce(worker, {**SAID, **changes})


# --- Redis ---

WRONG_SERVERS = {
    "allkeys-lru": (
        server.eviction, ["--maxmemory-policy", "allkeys-lru"], PROBLEM, "throws tasks away",
    ),
    "no append-only file": (
        server.append_only_file, ["--appendonly", "no"], PROBLEM, "a restart loses tasks",
    ),
    "no fsync": (
        server.append_only_file, ["--appendfsync", "no"], WARNING, "loses up to 30 s",
    ),
    "no maxmemory": (server.memory, [], WARNING, "no maxmemory"),
    "more memory than there is": (
        server.memory, ["--maxmemory", "9000000gb"], WARNING, "but its machine has",
    ),
    "nearly full": (server.memory, ["--maxmemory", "1mb"], PROBLEM, "of what it may"),
    "hasty": (server.connections, ["--timeout", "5"], WARNING, "after 5 s of silence"),
    "never notices": (
        server.connections, ["--tcp-keepalive", "0"], WARNING, "never notices",
    ),
    "few clients": (server.connections, ["--maxclients", "1"], WARNING, "of 1 possible clients"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_SERVERS)
def test_a_server_that_is_set_up_wrongly_is_told(settings, name):
    check, given, level, words = WRONG_SERVERS[name]

    with asked(settings, *given) as patient:
        assert words in says(check, patient, level)


def test_a_server_that_is_set_up_well_is_fine(settings):
    with asked(settings, "--maxmemory", "1gb", "--appendfsync", "always") as patient:
        for check in (server.answers, server.version, server.eviction, server.memory):
            assert says(check, patient, OK)
        assert "loses nothing" in says(server.append_only_file, patient, OK)
        assert says(server.role, patient, OK) == ""
        assert says(server.snapshots, patient, OK) == ""
        assert says(server.connections, patient, OK) == ""
        assert "agree" in says(server.clock, patient, OK)


def test_a_server_that_cannot_write_its_snapshot_is_told(settings):
    with asked(settings, "--save", "3600 1") as patient:
        patient.info["rdb_last_bgsave_status"] = "err"
        assert "refuses writes" in says(server.snapshots, patient, PROBLEM)

        patient.call("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
        assert "failed" in says(server.snapshots, patient, WARNING)


def test_an_append_only_file_that_cannot_be_written_is_told(patient):
    patient.info["aof_last_write_status"] = "err"
    assert "full disk" in says(server.append_only_file, patient, PROBLEM)


def test_a_replica_and_a_node_of_a_cluster_are_told(patient):
    patient.info |= {"role": "slave", "cluster_enabled": "1", "loading": "1"}

    told = says(server.role, patient, PROBLEM)

    assert "replica" in told and "cluster" in told and "loading" in told


def test_an_old_server_is_told(patient):
    patient.info["redis_version"] = "6.2.7"
    assert "7.0 or later" in says(server.version, patient, PROBLEM)


@pytest.mark.parametrize(
    ("took_ms", "level"), [(0.2, OK), (5.0, WARNING), (99.0, WARNING), (100.0, PROBLEM)]
)
def test_a_slow_server_is_told(patient, monkeypatch, took_ms, level):
    monkeypatch.setattr(Patient, "pings", lambda patient, count: [took_ms] * count)
    assert f"{took_ms:.1f} ms" in says(server.answers, patient, level)


@pytest.mark.parametrize(("seconds", "level"), [(0.5, OK), (-2.0, WARNING), (3600.0, WARNING)])
def test_clocks_that_differ_are_told(patient, monkeypatch, seconds, level):
    here = server.time.time
    monkeypatch.setattr(server.time, "time", lambda: here() + seconds)
    assert says(server.clock, patient, level)


# --- who works ---


def test_without_anybody_it_says_what_to_start(patient):
    assert "runworker" in says(fleet.workers, patient, WARNING)
    assert "runcoordinator" in says(fleet.coordinator, patient, PROBLEM)
    assert "runagent" in says(fleet.agents, patient, OK)


def test_a_fleet_at_work_is_fine(broker, patient):
    announced(broker)
    submitted(broker, 3, type=next(iter(patient.types)))
    broker.fleet.lead("w1:1")
    broker.fleet.announce_agent("a1", {})

    assert "1 worker with 2 slots" in says(fleet.workers, patient, OK)
    assert "w1 leads" in says(fleet.coordinator, patient, OK)
    assert "1 agent" in says(fleet.agents, patient, OK)
    assert "is served" in says(fleet.queues, patient, OK)
    for check in (fleet.task_types, fleet.sameness, fleet.pauses, fleet.gate):
        assert says(check, patient, OK) == ""


def test_a_lost_worker_is_told(broker, patient):
    announced(broker, "w1")
    announced(broker, "w2", hostname="there")
    broker.link.call("ZADD", keys.key(0, "workers:leases"), 1, "w2")

    assert "w2 on there is lost" in says(fleet.workers, patient, WARNING)


def test_a_queue_that_no_worker_serves_is_told(broker, patient):
    announced(broker)
    submitted(broker, 2, queue="mail")
    assert "2 tasks wait in queue mail" in says(fleet.queues, patient, PROBLEM)


def test_a_queue_whose_tasks_are_to_come_is_less_urgent(broker, patient):
    submitted(broker, queue="mail", run_after_us=now_us() + 10**9)
    assert "(1 more later)" in says(fleet.queues, patient, WARNING)


def test_a_paused_queue_is_told(broker, patient):
    announced(broker)
    submitted(broker)
    broker.pause("default")
    assert "default is paused; 1 tasks" in says(fleet.queues, patient, WARNING)


def test_types_that_nobody_knows_are_told(broker, patient):
    submitted(broker, 2, type="gone.away", priority=100)
    submitted(broker, type="gone.away", run_after_us=now_us() + 10**9)
    assert "3 tasks of type gone.away" in says(fleet.task_types, patient, WARNING)


def test_workers_of_several_versions_are_told(broker, patient):
    announced(broker, "w1")
    announced(broker, "w2", version="2.0", types=4)

    told = says(fleet.sameness, patient, WARNING)

    assert "1.0 (1), 2.0 (1)" in told and "3 (1), 4 (1)" in told


def test_a_paused_worker_is_told(broker, patient):
    announced(broker, status="paused")
    assert "w1 is paused" in says(fleet.pauses, patient, WARNING)


def test_a_server_that_no_leader_has_looked_at_is_told(broker, patient):
    broker.open_gate("another")
    assert "nothing is claimed" in says(fleet.gate, patient, PROBLEM)

    broker.open_gate(broker.run_id())
    assert says(fleet.gate, patient, OK) == ""


# --- the record ---


@pytest.mark.django_db
def test_a_sound_record_is_fine(patient):
    assert "all migrations" in says(record.migrations, patient, OK)
    assert "0.0 s behind" in says(record.recorder, patient, OK)
    for check in (record.sqlite, record.quarantine, record.ledger):
        assert says(check, patient, OK) == ""


@pytest.mark.django_db
def test_migrations_to_be_applied_are_told(patient):
    (last,) = MigrationLoader(connection).graph.leaf_nodes("tasks_app")
    MigrationRecorder(connection).record_unapplied(*last)
    assert "manage.py migrate" in says(record.migrations, patient, PROBLEM)


@pytest.mark.django_db
def test_sqlite_on_several_hosts_is_told(broker, patient):
    announced(broker, "w1")
    announced(broker, "w2", hostname="there")
    assert "2 hosts" in says(record.sqlite, patient, PROBLEM)


@pytest.mark.django_db(transaction=True)
def test_sqlite_in_a_careless_mode_is_told(patient):
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous=OFF")
        cursor.execute("PRAGMA journal_mode=DELETE")
    try:
        told = says(record.sqlite, patient, WARNING)
        assert "WAL" in told and "power cut" in told
    finally:
        connection.close()


@pytest.mark.django_db
def test_quarantine_is_told(patient):
    Quarantine.objects.create(task_id="x", definition=b"", reason="odd")
    assert "1 tasks" in says(record.quarantine, patient, WARNING)


@pytest.mark.django_db
def test_an_outbox_that_nobody_sweeps_is_told(patient):
    assert says(record.outboxes, patient, OK) == ""

    row = Outbox.objects.create(id="a", definition=b"", created_us=now_us(), turn_us=0)
    assert "1 tasks are in the outbox" in says(record.outboxes, patient, OK)

    row.created_us, row.tries, row.reason = now_us() - 61_000_000, 2, "QueueFull: it is full"
    row.save()
    told = says(record.outboxes, patient, PROBLEM)
    assert "1 tasks wait in the outbox, the oldest for 61 s" in told
    assert "Redis refused 1 of them: QueueFull: it is full." in told


@pytest.mark.django_db
def test_a_server_that_was_wiped_is_told(patient):
    Ledger.objects.create(epoch=2)
    assert "wiped" in says(record.ledger, patient, PROBLEM)


def test_a_recorder_that_is_late_is_told(broker, patient):
    broker.link.call("XADD", keys.key(0, "changes"), "1000-0", "ids", "x")
    assert "at 1,000,000" in says(record.recorder, patient, WARNING)


def test_a_recorder_at_its_bound_is_told(broker, patient, settings):
    settings.DTPS = {**settings.DTPS, "MAX_RECORDER_LAG": 1}
    submitted(broker)
    assert "submits are refused" in says(record.recorder, patient, PROBLEM)


# --- settings and types ---

TRAPS = {
    "a short lease": ({"LEASE_SECONDS": 2.5, "RENEW_SECONDS": 0.5}, options.leases, "a short stop"),
    "slow answers": ({"SOCKET_TIMEOUT_SECONDS": 4}, options.leases, "a sixth"),
    "a short lead": ({"LEADER_SECONDS": 1}, options.leases, "costs the lead"),
}


@pytest.mark.parametrize("name", TRAPS)
def test_options_that_do_not_go_together_are_told(patient, settings, name):
    given, check, words = TRAPS[name]
    settings.DTPS = {**settings.DTPS, **given}
    assert words in says(check, patient, WARNING)


def test_the_defaults_go_together(patient):
    assert says(options.leases, patient, OK) == ""


def typed(patient, **options):
    """The patient knows one type, which declares some options."""
    patient.types = {"odd": TaskType(name="odd", task=None, options=options)}
    return patient


def test_a_grace_shorter_than_a_timeout_is_told(patient):
    told = says(options.grace, typed(patient, timeout=600), WARNING)
    assert "odd may take up to 600 s" in told and "--grace 600" in told
    assert says(options.grace, typed(patient, timeout=10), OK)


def test_retries_without_a_pause_are_told(patient):
    traps = typed(patient, max_attempts=5, backoff=0)
    assert "odd retry without a pause" in says(options.retries, traps, WARNING)
    assert says(options.retries, typed(patient, max_attempts=1, backoff=0), OK)


def test_retries_for_weeks_are_told(patient):
    endless = typed(patient, max_attempts=10_000, backoff=1)
    assert "days" in says(options.retries, endless, WARNING)


def test_types_without_a_time_limit_are_counted(patient):
    assert "1 of 1" in says(options.time_limits, typed(patient), OK)


def test_debug_on_a_server_of_its_own_is_told(patient, settings):
    settings.DEBUG = True
    assert "DTPS_PROFILE" in says(options.debug, patient, WARNING)


def test_a_spool_that_cannot_be_written_is_told(patient, settings, tmp_path):
    settings.DTPS = {**settings.DTPS, "SPOOL_DIR": str(tmp_path / "spool" / "deep")}
    assert str(tmp_path) in says(options.spool, patient, OK)

    (tmp_path / "file").touch()
    settings.DTPS = {**settings.DTPS, "SPOOL_DIR": str(tmp_path / "file")}
    assert "results are lost" in says(options.spool, patient, PROBLEM)


def test_results_that_nobody_delivers_are_told(patient, settings, tmp_path):
    settings.DTPS = {**settings.DTPS, "SPOOL_DIR": str(tmp_path)}
    spool = Spool(spool_directory(), "w9:0:x", limit=1000)
    spool.append([(0, outcome("a", "token"))])
    assert says(options.spool, patient, OK)  # its executor lives

    gone = tmp_path / "gone"
    gone.write_bytes(spool.path.read_bytes())
    spool.close()
    gone.rename(spool.path)
    assert "1 files" in says(options.spool, patient, WARNING)


def test_a_disk_without_room_for_results_is_told(patient, settings, tmp_path):
    settings.DTPS = {**settings.DTPS, "SPOOL_DIR": str(tmp_path), "SPOOL_MAX_BYTES": 10**18}
    assert "Make room" in says(options.spool, patient, WARNING)


# --- the command ---


def run(*words):
    """Run the command. Return (exit code, what it says)."""
    out = StringIO()
    try:
        call_command("doctor", *words, stdout=out)
    except SystemExit as end:
        return end.code, out.getvalue()
    return 0, out.getvalue()


@pytest.mark.django_db(transaction=True)
@modify_settings(INSTALLED_APPS={"remove": "tests.sample"})  # some of those types are traps
def test_a_healthy_system_is_all_ok(settings):
    with asked(settings, "--maxmemory", "1gb"):
        announced(project_broker())
        project_broker().fleet.lead("w1:1")

        code, told = run()

    assert (code, [line for line in told.splitlines() if not line.startswith("ok ")]) == (0, [])


@pytest.mark.django_db(transaction=True)
def test_the_worst_is_the_exit_code(settings):
    with asked(settings, "--maxmemory", "1gb"):
        project_broker().fleet.lead("w1:1")  # but no worker
        assert run()[0] == 1
        project_broker().fleet.abdicate("w1:1")
        assert run()[0] == 2


@pytest.mark.django_db(transaction=True)
def test_without_redis_the_rest_is_still_looked_at(settings, tmp_path):
    settings.DTPS = {**settings.DTPS, "REDIS_URL": f"unix://{tmp_path}/none.sock"}

    code, told = run("--json")

    found = json.loads(told)
    assert code == 2
    assert found[0]["level"] == "problem" and "Redis does not answer" in found[0]["said"]
    assert [each["said"] for each in found if each["level"] == "problem"] == [found[0]["said"]]
    assert any("all migrations" in each["said"] for each in found)
    assert [each["said"] for each in found if each["level"] == "unknown"] == [found[-1]["said"]]
    assert "look at version, role" in found[-1]["said"]


def test_a_check_that_is_refused_says_so_and_stops_no_other(broker, patient):
    broker.link.call("ACL", "SETUSER", "default", "-config|get")
    try:
        said = list(examine(patient, (server.answers, server.connections, server.clock)))
    finally:
        broker.link.call("ACL", "SETUSER", "default", "+config|get")

    assert [advice.level for advice in said] == [OK, UNKNOWN, OK]
    assert "Nobody could look at connections: " in said[1].said
