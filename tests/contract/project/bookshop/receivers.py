"""Receivers of the signals of tasks: one that writes down what it sees, one that breaks."""

import os
import sys

from django.apps import apps
from django.dispatch import receiver

from .api import signals, task_backends

BACKEND = type(task_backends["default"])


def _write_down(signal, sender, task_result):
    exception = sys.exc_info()[0]
    apps.get_model("bookshop", "Heard").objects.create(
        signal=signal,
        sender=f"{sender.__module__}.{sender.__qualname__}",
        result_id=task_result.id,
        backend=task_result.backend,
        status=task_result.status,
        attempts=task_result.attempts,
        has_started=task_result.started_at is not None,
        has_finished=task_result.finished_at is not None,
        errors=[error.exception_class_path for error in task_result.errors],
        exception=exception.__name__ if exception else "",
        pid=os.getpid(),
    )


@receiver(signals.task_enqueued, sender=BACKEND)
def enqueued(sender, task_result, **kwargs):
    _write_down("enqueued", sender, task_result)


@receiver(signals.task_started, sender=BACKEND)
def started(sender, task_result, **kwargs):
    _write_down("started", sender, task_result)


@receiver(signals.task_finished, sender=BACKEND)
def finished(sender, task_result, **kwargs):
    _write_down("finished", sender, task_result)


@receiver([signals.task_started, signals.task_finished], sender=BACKEND)
async def heard_by_a_coroutine(task_result, **kwargs):
    if task_result.task.name in ("awaited", "awaited_in_a_coroutine"):
        await apps.get_model("bookshop", "Page").objects.acreate(
            text=f"{task_result.id}: {task_result.status}"
        )


@receiver([signals.task_enqueued, signals.task_started, signals.task_finished])
def broken(task_result, **kwargs):
    if task_result.task.name == "touchy":
        raise SystemExit("on purpose") if task_result.attempts else ZeroDivisionError("on purpose")
