"""Projects on SQLite that never said how their transactions begin."""

import sqlite3

import pytest
from django.db import OperationalError
from django.db.utils import ConnectionHandler


@pytest.fixture
def connect(tmp_path, django_db_blocker):
    """Connections to a file with a table, as a project with these options has them."""
    file, opened = tmp_path / "shop.sqlite3", []
    with sqlite3.connect(file) as raw:
        raw.executescript("PRAGMA journal_mode=WAL; CREATE TABLE book (title TEXT);")
    raw.close()

    def connect(**options):
        engine = "django.db.backends.sqlite3"
        database = {"ENGINE": engine, "NAME": file, "OPTIONS": {"timeout": 0, **options}}
        opened.append(ConnectionHandler({"default": database})["default"])
        opened[-1].ensure_connection()
        return opened[-1]

    with django_db_blocker.unblock():  # it guards the tests' own database
        yield connect
        for each in opened:
            each.close()


def rows(connection):
    with connection.cursor() as cursor:
        return cursor.execute("SELECT title FROM book").fetchall()


def write(connection):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO book VALUES ('x')")


def test_a_transaction_that_reads_and_then_writes_is_not_overtaken(connect):
    page, worker = connect(), connect()

    page.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    assert rows(page) == []
    with pytest.raises(OperationalError, match="database is locked"):
        write(worker)  # which would have waited, had it more time than none
    write(page)
    page.commit()

    assert len(rows(worker)) == 1


@pytest.mark.parametrize("mode", ["DEFERRED", "EXCLUSIVE"])
def test_what_a_project_says_of_its_transactions_counts(connect, mode):
    assert connect(transaction_mode=mode).transaction_mode == mode
