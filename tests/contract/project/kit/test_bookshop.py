"""Tests that a bookshop would write, by the fixture that our wheel has brought."""

from datetime import timedelta

import pytest
from bookshop import tasks
from bookshop.api import TaskResultStatus
from bookshop.models import Book, Page
from django.db import transaction
from django.utils import timezone


def test_a_cover_is_drawn_of_what_the_test_has_made(dtps):
    with transaction.atomic():
        result = Book.objects.create(title="Emma").draw_cover()

    (ran,) = dtps.drain(check=True)

    assert (ran.id, ran.return_value) == (result.id, "Emma")


@pytest.mark.django_db(transaction=True)
def test_so_it_is_where_transactions_are_real(dtps):
    tasks.chain.enqueue("one")

    assert len(dtps.drain(check=True)) == 2
    assert Page.objects.count() == 2


@pytest.mark.parametrize("number", range(3))
def test_each_test_begins_with_nothing(dtps, number):
    dtps.assert_nothing_enqueued()
    tasks.add.enqueue(number)
    dtps.assert_enqueued(tasks.add, args=[number], times=1)


def test_coroutines_see_the_tests_rows(dtps):
    Book.objects.create(title="Emma")
    tasks.count_books.enqueue()

    (ran,) = dtps.drain(check=True)

    assert ran.return_value == 1


def test_retries_and_other_aliases(dtps):
    tasks.third_time_lucky.enqueue()
    tasks.report.enqueue(1)

    report, lucky = sorted(dtps.drain(check=True), key=lambda ran: ran.attempts)

    assert (report.backend, report.return_value) == ("reports", 1)
    assert lucky.attempts == 3


def test_time_stands(dtps):
    with dtps.frozen("2026-03-01 12:00") as clock:
        assert clock.now.utcoffset() == timedelta(0)
        tomorrow = timezone.now() + timedelta(days=1)
        tasks.print_page.using(run_after=tomorrow).enqueue("tomorrow")
        assert dtps.drain() == []

        (ran,) = dtps.drain_for(days=1)

    assert ran.finished_at == tomorrow
    assert Page.objects.get().text == "tomorrow"


def test_a_page_may_be_printed_twice(dtps):
    tasks.print_page.enqueue("once")
    dtps.crash_next(tasks.print_page, at="finish")

    (ran,) = dtps.drain()

    assert ran.status == TaskResultStatus.SUCCESSFUL
    assert Page.objects.count() == 2
