"""The backend to name in ``TASKS``: Django's door into the queue."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.utils import timezone

from .broker import broker
from .compat import (
    BaseTaskBackend,
    InvalidTask,
    Task,
    TaskResult,
    TaskResultDoesNotExist,
    signals,
    task_backends,
)
from .enqueue import TaskRequest, attempts_error, message_with, seconds_error
from .exceptions import UnknownTaskType
from .listening import is_heard, tell
from .lookup import find
from .message import us_of
from .normalize import normalized, queue_error
from .redis_task import RedisTask
from .registry import TaskType, type_of, why_unknown
from .results import enqueued_result, result_of


class RedisBackend(BaseTaskBackend):
    """Everything that ``django.tasks`` can do, and retries and time limits by ``RedisTask``.

    ``enqueue`` stores the task at once, also inside an atomic block; see ``enqueue.py``.
    Making one touches nothing: Django does so while apps load, and once for each thread.
    """

    task_class = RedisTask
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: dict[str, Any]):
        super().__init__(alias, params)
        # A task never changes, and Django makes a new backend when TASKS does: one look is enough.
        self._known_requests = lru_cache(maxsize=256)(self._request)

    def validate_task(self, task: Task) -> None:
        """Raise InvalidTask if the task cannot run; at its declaration, and at every enqueue."""
        if not isinstance(task.priority, int):
            raise InvalidTask("priority must be a whole number between -100 and 100.")
        super().validate_task(task)
        sentence = (
            queue_error(task.queue_name)
            or attempts_error(getattr(task, "max_attempts", None))
            or seconds_error(getattr(task, "backoff", None))
            or seconds_error(getattr(task, "timeout", None))
        )
        if sentence:
            raise InvalidTask(sentence)

    def enqueue(self, task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskResult:
        """Store a task to be run; then say so by ``task_enqueued``.

        Raise InvalidTask; TypeError or ValueError for arguments that JSON cannot carry;
        ValueTooLarge; QueueFull or QueueUnavailable. Nothing was stored then; UnknownOutcome
        says that this is not known.
        """
        # Whether a moment is sound depends on USE_TZ, and each is used only once.
        request = self._request(task) if task.run_after else self._known_requests(task)
        message = message_with(request, normalized(list(args)), normalized(dict(kwargs)))
        broker().submit(message)
        result = enqueued_result(message, task)
        if is_heard(signals.task_enqueued):
            tell(signals.task_enqueued, result)
        return result

    def get_result(self, result_id: str) -> TaskResult:
        """The task as it stands now. Raise TaskResultDoesNotExist if there is none of this id."""
        stored = find(result_id)
        if stored is None:
            raise TaskResultDoesNotExist(f"There is no task {result_id!r}.")
        alias = stored.message.backend
        try:
            # A task may have come from where TASKS has other names.
            return result_of(stored, alias if alias in task_backends.settings else self.alias)
        except UnknownTaskType as error:
            raise TaskResultDoesNotExist(f"Task {result_id} cannot be shown: {error}") from error

    def _request(self, task: Task) -> TaskRequest:
        self.validate_task(task)
        return TaskRequest(
            type=_registered(task),
            queue=task.queue_name,
            priority=task.priority,
            run_after_us=_us_of(task.run_after) if task.run_after else 0,
            max_attempts=getattr(task, "max_attempts", None),
            backoff=getattr(task, "backoff", None),
            timeout=getattr(task, "timeout", None),
            backend=self.alias,
        )


def _registered(task: Task) -> TaskType:
    known = type_of(task)
    if known is None:
        reason = why_unknown(task) or "it is in no `tasks` module of an installed app"
        raise InvalidTask(f"No worker could find {task.module_path}: {reason}.")
    return known


def _us_of(moment: datetime) -> int:
    return us_of(moment if timezone.is_aware(moment) else timezone.make_aware(moment))
