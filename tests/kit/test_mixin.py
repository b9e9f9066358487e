"""The kit in Django's own test cases."""

from django.contrib.auth.models import User
from django.db import transaction
from django.test import SimpleTestCase, TestCase, TransactionTestCase

from tasks_app.testing import TasksMixin, kit

from ..sample import orders


class InATransaction(TasksMixin, TestCase):
    @classmethod
    def setUpTestData(cls):
        User.objects.create(username="ada")

    def test_a_task_finds_what_the_test_has_written(self):
        with transaction.atomic():
            orders.sign_up.enqueue("eve")
        (ran,) = self.dtps.drain(check=True)
        self.assertEqual(ran.return_value, 2)


class WithoutOne(TasksMixin, TransactionTestCase):
    def test_a_task_commits(self):
        orders.sign_up.enqueue("ada")
        self.dtps.drain(check=True)
        self.assertEqual(User.objects.get().username, "ada")


class WithoutADatabase(SimpleTestCase):
    def test_what_is_enqueued_can_be_told_without_one(self):
        with kit() as dtps:
            task = orders.fail
            task.enqueue()
            with self.assertRaisesMessage(AssertionError, "Nothing should be enqueued"):
                dtps.assert_nothing_enqueued()
