"""Checks of the database: whether it suits the fleet, and how far the recorder is behind."""

from collections.abc import Iterator

from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor

from tasks_app import outbox
from tasks_app.broker.keys import key, shards
from tasks_app.conf import conf
from tasks_app.models import Ledger, Quarantine, TaskRecord

from .. import said
from .advice import Advice, ok, problem, warning
from .patient import Patient

LATE_SECONDS = 10  # of the recorder: it looks thirty times a second
HALF = 0.5  # of MAX_RECORDER_LAG
FULL_SYNC = 2  # SQLite's word for it


def migrations(patient: Patient) -> Iterator[Advice]:
    """The tables are those that the code expects."""
    executor = MigrationExecutor(_connection())
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _ in plan[:3])
        yield problem(
            f"{len(plan)} migrations are not applied ({names}{', …' if len(plan) > 3 else ''}).",
            "Run manage.py migrate.",
        )
    else:
        yield ok(f"The database is {_connection().display_name}, with all migrations applied.")


def sqlite(patient: Patient) -> Iterator[Advice]:
    """SQLite is for one host, and in a mode in which readers do not stop the recorder."""
    if _connection().vendor != "sqlite":
        return
    hosts = {said.text(worker.said, "hostname") for worker in patient.workers}
    if len(hosts) > 1:
        yield problem(
            f"The database is SQLite, and workers are on {len(hosts)} hosts: each has its own.",
            "Use Postgres: set DATABASE_URL everywhere.",
        )
    if _pragma("journal_mode") != "wal":
        yield warning(
            "SQLite is not in WAL mode: readers and the recorder wait for each other.",
            'Give it "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;".',
        )
    if int(_pragma("synchronous")) < FULL_SYNC:
        yield warning(
            "SQLite does not wait for the disk: Redis forgets what a power cut then takes away.",
            'Give it "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;".',
        )


def quarantine(patient: Patient) -> Iterator[Advice]:
    """The database took everything."""
    refused = Quarantine.objects.count()
    if refused:
        yield warning(
            f"The database refused {refused:,} tasks, which are in quarantine.",
            "Look at the reasons in the admin, and delete them there.",
        )


def recorder(patient: Patient) -> Iterator[Advice]:
    """The record is not far behind."""
    unrecorded, most = patient.stats.unrecorded, conf().max_recorder_lag
    late = _seconds_behind(patient)
    told = f"{unrecorded:,} changes are not recorded, the oldest for {late:.0f} s"
    if most and unrecorded >= most:
        yield problem(f"{told}: submits are refused.", _RECORD)
    elif late > LATE_SECONDS or (most and unrecorded >= HALF * most):
        yield warning(f"{told}; at {most:,} submits are refused.", _RECORD)
    else:
        yield ok(f"The recorder is {late:.1f} s behind.")


_RECORD = "See whether a coordinator leads, and whether it reaches the database."


def outboxes(patient: Patient) -> Iterator[Advice]:
    """What was enqueued in transactions has reached Redis."""
    found = outbox.lag()
    if found.seconds > outbox.LATE_SECONDS:
        why = f" Redis refused {found.refused:,} of them: {found.reason}." if found.refused else ""
        yield problem(
            f"{found.tasks:,} tasks wait in the outbox, the oldest for {found.seconds:.0f} s.{why}",
            "See whether a coordinator leads, and whether its DATABASES and TASKS have this one.",
        )
    elif found.tasks:
        yield ok(f"{found.tasks:,} tasks are in the outbox, for {found.seconds:.1f} s at most.")


def ledger(patient: Patient) -> Iterator[Advice]:
    """Redis is the one that the database remembers."""
    found = Ledger.objects.first()
    if found is not None and found.epoch > patient.broker.epoch():
        yield problem(
            "Redis has been wiped or rolled back since the last record.",
            "A leader restores what is open, as soon as there is one: look for event=reconciled.",
        )


def _seconds_behind(patient: Patient) -> float:
    oldest = [patient.stats.at_ms]
    for shard in shards():
        for entry, _ in patient.call("XRANGE", key(shard, "changes"), "-", "+", "COUNT", 1):
            oldest.append(int(entry.partition(b"-")[0]))
    return (patient.stats.at_ms - min(oldest)) / 1000


def _connection() -> BaseDatabaseWrapper:
    return connections[router.db_for_write(TaskRecord)]


def _pragma(name: str) -> str:
    with _connection().cursor() as cursor:
        cursor.execute(f"PRAGMA {name}")
        return str(cursor.fetchone()[0])
