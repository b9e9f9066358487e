"""Django's task signals: sent only where somebody listens, and never able to change an outcome."""

import logging
from collections.abc import Iterable

from django.dispatch import Signal

from .compat import TaskResult, signals, task_backends
from .message import TaskMessage
from .results import enqueued_result, task_of

# What each signal's own receiver, a line in the log, is worth. A result costs more than the
# whole round trip to Redis may, so none is built for a line that nobody writes.
LEVELS = {
    signals.task_enqueued: logging.DEBUG,
    signals.task_started: logging.INFO,
    signals.task_finished: logging.INFO,
}
_OWN = {
    id(receiver)
    for receiver in (
        signals.log_task_enqueued,
        signals.log_task_started,
        signals.log_task_finished,
    )
}


def is_heard(signal: Signal, level: int | None = None) -> bool:
    """Whether anybody listens, apart from Django's own log when it is off at that level."""
    if signals.logger.isEnabledFor(LEVELS[signal] if level is None else level):
        return True
    return any(receiver[0][0] not in _OWN for receiver in signal.receivers)


def tell(signal: Signal, result: TaskResult) -> None:
    """Send a signal; the error of a receiver is logged, by Django, and stays with it."""
    signal.send_robust(sender=type(task_backends[result.backend]), task_result=result)


def tell_enqueued(messages: Iterable[TaskMessage]) -> None:
    """Say of tasks that they were stored."""
    if is_heard(signals.task_enqueued):
        for message in messages:
            tell(signals.task_enqueued, enqueued_result(message, task_of(message)))
