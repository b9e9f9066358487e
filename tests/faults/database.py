"""The database of a world, looked at from outside of Django."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import psycopg

from ..workers.processes import ROOT, SETTINGS

ROWS = "SELECT id, state FROM tasks_app_taskrecord"
ENDED = (
    "SELECT id FROM tasks_app_taskrecord"
    " WHERE status IN ('completed', 'failed', 'cancelled', 'expired')"
)


class SqliteFile:
    def __init__(self, path):
        self.path = path
        self.url = f"sqlite:///{path}"

    def query(self, sql):
        with closing(sqlite3.connect(self.path, timeout=60)) as connection:
            return connection.execute(sql).fetchall()

    def lock(self):
        """A connection that lets nobody write; close it to let them again."""
        connection = sqlite3.connect(self.path, timeout=60, isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
        return closing(connection)


class PostgresDatabase:
    def __init__(self, url):
        self.url = url

    def query(self, sql):
        with psycopg.connect(self.url) as connection:
            return connection.execute(sql).fetchall()

    def do(self, sql):
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql)

    def lock(self):
        """A connection that lets nobody read or write tasks; close it to let them again."""
        connection = psycopg.connect(self.url)
        connection.execute("LOCK TABLE tasks_app_taskrecord IN ACCESS EXCLUSIVE MODE")
        return closing(connection)


def migrate(url, var_dir):
    """Make the tables, by the command that everybody uses."""
    subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "migrate", "--verbosity", "0"],
        cwd=ROOT, stdin=subprocess.DEVNULL, check=True,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": SETTINGS, "DATABASE_URL": url,
             "DTPS_REDIS_URL": "unix:///nowhere", "DTPS_VAR_DIR": str(var_dir)},
    )  # fmt: skip
