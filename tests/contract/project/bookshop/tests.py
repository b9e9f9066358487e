"""Tests that the bookshop has had for long, in Django's own test cases: `manage.py test`."""

from django.db import transaction
from django.test import SimpleTestCase, TestCase, TransactionTestCase

from tasks_app.testing import TasksMixin, kit

from . import tasks
from .models import Book, Page


class InATransaction(TasksMixin, TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.book = Book.objects.create(title="Emma")

    def test_a_cover_is_drawn(self):
        with transaction.atomic():
            self.book.draw_cover()
        (ran,) = self.dtps.drain(check=True)
        self.assertEqual(ran.return_value, "Emma")

    def test_what_another_test_enqueued_is_gone(self):
        self.dtps.assert_nothing_enqueued()
        self.book.draw_cover()

    def test_callbacks_of_the_test_run_once(self):
        with self.captureOnCommitCallbacks(execute=True):
            tasks.chain.enqueue("one")
            self.dtps.drain(check=True)
        self.assertEqual(self.dtps.drain(), [])
        self.assertEqual(Page.objects.count(), 2)

    def test_a_task_that_fails_spoils_nothing(self):
        tasks.fail.enqueue()
        with self.assertRaisesMessage(AssertionError, "on purpose"):
            self.dtps.drain(check=True)
        self.assertEqual(Book.objects.count(), 1)


class WithoutOne(TasksMixin, TransactionTestCase):
    def test_a_task_commits(self):
        tasks.print_page.enqueue("one")
        self.dtps.drain(check=True)
        self.assertEqual(Page.objects.get().text, "one")

    def test_a_transaction_that_it_leaves_open_is_rolled_back(self):
        tasks.leave_a_transaction_open.enqueue("one")
        self.dtps.drain(check=True)
        self.assertEqual(Page.objects.get().text, "one: before")

    async def test_an_asynchronous_test_drains_too(self):
        await tasks.slowly.aenqueue(7)
        (ran,) = await self.dtps.adrain(check=True)
        self.assertEqual(ran.return_value, 7)


class WithoutADatabase(SimpleTestCase):
    def test_what_is_enqueued_can_be_told_all_the_same(self):
        with kit() as dtps:
            tasks.add.enqueue(1, second=2)
            dtps.assert_enqueued(tasks.add, args=[1], kwargs={"second": 2}, times=1)
