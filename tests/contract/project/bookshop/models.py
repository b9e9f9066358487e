"""What the bookshop keeps."""

from django.db import models

from . import tasks


class Book(models.Model):
    """A book; its cover is drawn once it is there."""

    title = models.CharField(max_length=100)

    def __str__(self):
        return self.title

    def draw_cover(self):
        return tasks.draw_cover.enqueue(self.pk)


class Heard(models.Model):
    """A signal that a receiver has got, and what it saw."""

    signal = models.CharField(max_length=20)
    sender = models.CharField(max_length=100)
    result_id = models.CharField(max_length=64)
    backend = models.CharField(max_length=20)
    status = models.CharField(max_length=20)
    attempts = models.IntegerField()
    has_started = models.BooleanField()
    has_finished = models.BooleanField()
    errors = models.JSONField()
    exception = models.CharField(max_length=100)  # that is being handled meanwhile
    pid = models.IntegerField()

    def __str__(self):
        return f"{self.signal} of {self.result_id}"


class Page(models.Model):
    """A page that was printed: one row for each time."""

    text = models.CharField(max_length=100)

    def __str__(self):
        return self.text
