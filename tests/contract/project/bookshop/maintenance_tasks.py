"""A backfill by django-maintenance-tasks, an application that was written for django.tasks."""

from maintenance_tasks import MaintenanceTask

from .models import Book


class ShoutTitles(MaintenanceTask):
    """Write the titles of the books of one author in capitals."""

    batch_size = 3

    def collection(self):
        return Book.objects.filter(title__startswith=self.arguments["author"])

    def process(self, book):
        book.title = book.title.upper()
        book.save()
