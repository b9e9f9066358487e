"""The backend to name in ``TASKS``: Django's door into the queue."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any

from asgiref.sync import sync_to_async
from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.utils import timezone

from . import outbox
from .alias import AliasOptions, errors_in
from .compat import (
    DEFAULT_TASK_QUEUE_NAME,
    BaseTaskBackend,
    InvalidTask,
    Task,
    TaskException,
    TaskResult,
    TaskResultDoesNotExist,
    signals,
    task_backends,
)
from .context import attempt
from .enqueue import CONTRADICTIONS, TaskRequest, message_with
from .exceptions import TaskSystemError, UnknownTaskType
from .listening import is_heard, tell
from .lookup import find
from .message import TaskMessage, us_of
from .normalize import normalized, queue_error
from .options.dependence import parents_in
from .options.table import declared_by, errors_of
from .redis_task import RedisTask
from .registry import TaskType, type_of, why_unknown
from .results import enqueued_result, result_of
from .states import Status
from .workflows.storing import put_dependent

Call = tuple[Task, Sequence[Any], Mapping[str, Any]]

APPS = ("workers_app", "tasks_app")
USED_ONCE = ("run_after", "idempotency_key", "depends_on")


class RedisBackend(BaseTaskBackend):
    """Everything that ``django.tasks`` can do, and retries and time limits by ``RedisTask``.

    In a transaction ``enqueue`` writes a row in it, unless OPTIONS say otherwise; see alias.py.
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

    @cached_property
    def how(self) -> AliasOptions:
        """What OPTIONS say. Raise ImproperlyConfigured."""
        return AliasOptions.load(self.options)

    def validate_task(self, task: Task) -> None:
        """Raise InvalidTask if the task cannot run; at its declaration, and at every enqueue."""
        if not _is_whole(task.priority):
            raise InvalidTask("priority must be a whole number between -100 and 100.")
        super().validate_task(task)
        if sentence := queue_error(task.queue_name):
            raise InvalidTask(sentence)
        options, moments = _split(declared_by(task))
        for name, moment in moments.items():
            if settings.USE_TZ and not timezone.is_aware(moment):
                raise InvalidTask(f"{name} must be an aware datetime.")
        for name, sentences in errors_of(options).items():
            raise InvalidTask(f"{name}: {sentences[0]}")
        for check in CONTRADICTIONS:
            name, sentence = check(options, task.func)
            if sentence:
                raise InvalidTask(f"{name}: {sentence}")

    def enqueue(self, task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskResult:
        """Store a task to be run; then say so by ``task_enqueued``.

        Raise InvalidTask; TypeError or ValueError for arguments that JSON cannot carry;
        ValueTooLarge; QueueFull, QueueUnavailable, NotDurable; or DatabaseError in a transaction.
        Nothing was stored then; UnknownOutcome says that this is not known.
        """
        message = self.message_of(task, args, kwargs)
        result = enqueued_result(message, task)
        others = self._store(
            [message],
            {message.id: task.depends_on} if getattr(task, "depends_on", None) else {},
            lambda stored: _announce([result] * len(stored)),
        )
        return self._there(result, others) if others else result

    def enqueue_many(self, calls: Iterable[Call]) -> list[TaskResult]:
        """Store many tasks, all of them or none; return their results in the order given.

        A call is ``(task, args, kwargs)``. Raises as ``enqueue`` does, and PartlyStored if there
        are more than one call to Redis can carry, no transaction, and no outbox.
        """
        messages, results, parents = [], [], {}
        for number, (task, args, kwargs) in enumerate(calls):
            try:
                messages.append(self.message_of(task, args, kwargs))
            except (TaskException, TaskSystemError, TypeError, ValueError) as error:
                error.add_note(f"It is call {number} of enqueue_many.")
                raise
            results.append(enqueued_result(messages[-1], task))
            if getattr(task, "depends_on", None):
                parents[messages[-1].id] = task.depends_on
        known = {result.id: result for result in results}
        others = self._store(
            messages, parents, lambda stored: _announce([known[m.id] for m in stored])
        )
        return [self._there(result, others) for result in results] if others else results

    async def aenqueue_many(self, calls: Iterable[Call]) -> list[TaskResult]:
        return await sync_to_async(self.enqueue_many, thread_sensitive=True)(calls)

    def get_result(self, result_id: str) -> TaskResult:
        """The task as it stands now. Raise TaskResultDoesNotExist if there is none of this id."""
        stored = find(result_id)
        if stored is None:
            raise TaskResultDoesNotExist(f"There is no task {result_id!r}.")
        if stored.state.status == Status.ASSIGNED and (own := attempt()):
            result = own.result
            if result.id == result_id:
                return result  # it has begun, which is published a little later
        alias = stored.message.backend
        try:
            # A task may have come from where TASKS has other names.
            return result_of(stored, alias if alias in task_backends.settings else self.alias)
        except UnknownTaskType as error:
            raise TaskResultDoesNotExist(f"Task {result_id} cannot be shown: {error}") from error

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        """What ``manage.py check`` says of this alias; checks.py has what is not of an alias."""
        missing = [name for name in APPS if apps.apps_ready and not apps.is_installed(name)]
        return [
            *(
                Error(
                    f"TASKS[{self.alias!r}] needs the app {name!r}.",
                    hint=f"Add {name!r} to INSTALLED_APPS, before channels.",
                    id="tasks.E007",
                )
                for name in missing
            ),
            *(
                Error(
                    f"OPTIONS of TASKS[{self.alias!r}]: {sentence}",
                    hint="Options of the system are those of the DTPS setting.",
                    id="tasks.E004",
                )
                for sentence in errors_in(self.options)
            ),
        ]

    def _store(
        self, messages: Sequence[TaskMessage], parents: Mapping[str, Any], tell: outbox.Tell
    ) -> dict[str, str]:
        """As their alias says; but tasks that wait for others always go by the outbox."""
        if not parents:
            return outbox.store(messages, self.how, tell)
        found = {task_id: parents_in(depends_on) for task_id, depends_on in parents.items()}
        put_dependent(messages, found, self.how.durability)
        tell(messages)
        return {}

    def _there(self, result: TaskResult, others: Mapping[str, str]) -> TaskResult:
        """The task that stands for an enqueued one; mostly that itself."""
        other = others.get(result.id)
        if other is None:
            return result
        try:
            return self.get_result(other)
        except TaskResultDoesNotExist:  # its row has been deleted, but its key is still taken
            return replace(result, id=other)

    def message_of(self, task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskMessage:
        """The task that an enqueue would store. Raise as ``enqueue`` does."""
        # Whether a moment is sound depends on USE_TZ, and each is used only once.
        # So is an idempotency key, and what a task waits for.
        is_single = any(getattr(task, name, None) for name in USED_ONCE)
        request = self._request(task) if is_single else self._known_requests(task)
        return message_with(request, normalized(list(args)), normalized(dict(kwargs)))

    def _request(self, task: Task) -> TaskRequest:
        self.validate_task(task)
        options, moments = _split(declared_by(task))
        return TaskRequest(
            type=_registered(task),
            queue=task.queue_name,
            priority=int(task.priority),
            run_after_us=_us_of(task.run_after) if task.run_after else 0,
            backend=self.alias,
            **options,
            **{f"{name}_us": _us_of(moment) for name, moment in moments.items()},
        )


def own_queues() -> tuple[str, ...]:
    """The queues that the aliases of our backend name; where one names none, "default" for it."""
    ours = (each for each in task_backends.all() if isinstance(each, RedisBackend))
    named = {queue for each in ours for queue in each.queues or {DEFAULT_TASK_QUEUE_NAME}}
    return tuple(sorted(named, key=lambda name: (name != DEFAULT_TASK_QUEUE_NAME, name))) or (
        DEFAULT_TASK_QUEUE_NAME,
    )


def _announce(results: Sequence[TaskResult]) -> None:
    if is_heard(signals.task_enqueued):
        for result in results:
            tell(signals.task_enqueued, result)


def _registered(task: Task) -> TaskType:
    known = type_of(task)
    if known is None:
        reason = why_unknown(task) or "its module is a program, or one of Python's own"
        raise InvalidTask(f"No worker could find {task.module_path}: {reason}.")
    return known


def _split(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, datetime]]:
    """Options as a type may declare them; and the moments among them, which only a submit names."""
    moments = {name: value for name, value in options.items() if isinstance(value, datetime)}
    return {name: value for name, value in options.items() if name not in moments}, moments


def _is_whole(value: Any) -> bool:
    """Django takes 3.0 too."""
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())


def _us_of(moment: datetime) -> int:
    return us_of(moment if timezone.is_aware(moment) else timezone.make_aware(moment))
