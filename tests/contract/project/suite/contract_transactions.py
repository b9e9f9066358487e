"""Enqueued in a transaction: committed, it runs and finds its rows; rolled back, it never was."""

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from bookshop import tasks
from bookshop.api import TaskResultDoesNotExist
from bookshop.models import Book, Page
from django.db import transaction
from waiting import finished, value_of


def test_a_task_finds_the_rows_of_the_transaction_that_enqueued_it():
    results = []
    for number in range(10):
        with transaction.atomic():
            book = Book.objects.create(title=f"book {number}")
            results.append(book.draw_cover())

    assert [value_of(result) for result in results] == [f"book {n}" for n in range(10)]


def test_the_result_is_there_inside_the_transaction_and_after_it():
    with transaction.atomic():
        result = tasks.add.enqueue(1)
        inside = tasks.add.get_result(result.id)
        result.refresh()

    assert (inside.id, inside.status, result.status) == (result.id, "READY", "READY")
    assert value_of(tasks.add.get_result(result.id)) == 1


def test_what_is_rolled_back_never_runs_and_has_no_result():
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        result = tasks.print_page.enqueue("rolled back")
        raise ZeroDivisionError

    value_of(tasks.print_page.enqueue("not rolled back"))
    with pytest.raises(TaskResultDoesNotExist):
        tasks.print_page.get_result(result.id)
    assert not Page.objects.filter(text="rolled back").exists()


def test_on_commit_works_as_django_says():
    results = []
    with transaction.atomic():
        book = Book.objects.create(title="on commit")
        transaction.on_commit(lambda: results.append(tasks.draw_cover.enqueue(book.pk)))
        assert results == []

    assert value_of(results[0]) == "on commit"


def test_an_inner_rollback_takes_only_what_was_enqueued_inside_it():
    with transaction.atomic():
        outer = tasks.add.enqueue(1)
        try:
            with transaction.atomic():
                inner = tasks.add.enqueue(2)
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass

    assert value_of(outer) == 1
    with pytest.raises(TaskResultDoesNotExist):
        tasks.add.get_result(inner.id)


def test_async_code_enqueues_while_it_uses_the_database():
    async def journey():
        book = await Book.objects.acreate(title="async")
        result = await tasks.draw_cover.aenqueue(book.pk)
        return await sync_to_async(value_of)(result)

    assert async_to_sync(journey)() == "async"


def test_an_alias_may_choose_to_store_at_once():
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        result = tasks.report.enqueue(5)
        raise ZeroDivisionError

    assert finished(result).return_value == 5
