"""The one door into the queue: for REST, for Python, for whoever submits.

A task is stored the moment that this returns, also inside an atomic block. The exception is what
Python code enqueues there by ``backends.py``: see outbox.py.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.utils import timezone
from msgspec.json import encode
from msgspec.structs import replace
from uuid_utils import uuid7

from .broker import broker
from .broker.durability import FAST
from .compat import DEFAULT_TASK_BACKEND_ALIAS
from .conf import conf
from .exceptions import DuplicateTask, InvalidCall, ValueTooLarge
from .listening import tell_enqueued
from .lookup import find_many, is_id
from .message import HIGHEST_PRIORITY, LOWEST_PRIORITY, TaskMessage, now_us, us_of
from .normalize import normalized, queue_error, size_of
from .options.backoff import backoff_of
from .options.dependence import dependence_contradiction, dependence_of, parents_in
from .options.limits import limit_contradiction, limit_of
from .options.table import OPTIONS, errors_of, path_of, seconds_of
from .options.unique import contradiction, once_of
from .registry import TaskType
from .secrecy.sealing import is_on, keyed_digest, seal
from .secrecy.sensitive import all_names, hidden_in, sensitive_contradiction, taken, without
from .workflows.storing import put_dependent

CONTRADICTIONS = (
    contradiction, limit_contradiction, sensitive_contradiction, dependence_contradiction,
)  # fmt: skip
LATEST_US = 253_402_300_799_999_999  # the last moment of the year 9999
EARLIEST_US = -62_135_596_800_000_000  # the first one of the year 1


class TaskRequest(NamedTuple):
    """What somebody asks for. None leaves an option to the type, and then to the settings."""

    type: TaskType
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = {}
    queue: str | None = None
    priority: int | None = None  # Django's, -100 to 100
    run_after_us: int = 0
    deadline_us: int = 0
    expires_us: int = 0
    backend: str = DEFAULT_TASK_BACKEND_ALIAS
    id: str | None = None  # a new one if None
    # See options/table.py:
    max_attempts: int | None = None
    backoff: Any = None
    retry_on: Sequence[Any] | None = None
    give_up_on: Sequence[Any] | None = None
    timeout: float | None = None  # seconds
    deadline: Any = None  # so long after the submit; not if there is a moment
    expires: Any = None
    tags: Sequence[str] | None = None
    unique: Any = None
    debounce: Any = None
    debounce_most: Any = None
    idempotency_key: str | None = None
    rate: str | None = None
    concurrency: int | None = None
    per: Any = None
    limit_key: str | None = None
    sensitive: Any = None
    depends_on: str | Sequence[str] | None = None  # ids
    if_parent_fails: str | None = None
    takes_results: bool | None = None

    @property
    def has_options(self) -> bool:
        """Whether any of options/table.py was given. For most there is none: it is quick to see."""
        return self[_FIRST:] != _NONE

    @property
    def options(self) -> Mapping[str, Any]:
        """Those that were given, and for the others what the type declares."""
        if not self.has_options and "sensitive" not in self.type.options:
            return self.type.options
        given = {name: getattr(self, name) for name in OPTIONS}
        given = {name: value for name, value in given.items() if value is not None}
        found = {**self.type.options, **given}
        if "sensitive" in found:
            found["sensitive"] = all_names(self.type.options.get("sensitive"), self.sensitive)
        return found


_FIRST = TaskRequest._fields.index("max_attempts")  # of the options, which come last
_NONE = (None,) * (len(TaskRequest._fields) - _FIRST)


def submit(requests: Sequence[TaskRequest]) -> list[TaskMessage]:
    """Store tasks, all of them or none. Raise as ``message_of`` and ``store`` do.

    Of each that was not stored, since another one stands for it, the message has that one's id.
    """
    messages = [message_of(request) for request in requests]
    refuse_known([request.id for request in requests if request.id is not None])
    parents = {
        message.id: found
        for message, request in zip(messages, requests, strict=True)
        if (found := parents_in(request.depends_on))
    }
    others = store(messages, parents=parents)
    return [replace(m, id=others[m.id]) if m.id in others else m for m in messages]


def refuse_known(ids: Sequence[str]) -> None:
    """Raise DuplicateTask if there is a task of an id that a caller has chosen, open or final.

    Redis forgets what is final and recorded, and would take its id again.
    """
    if ids and (known := find_many(ids)):
        raise DuplicateTask(f"These ids are known already: {', '.join(list(known)[:5])}.")


def store(
    messages: Sequence[TaskMessage],
    durability: str = FAST,
    parents: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, str]:
    """Store tasks, all of them or none, then say so by ``task_enqueued``.

    Return what the broker's ``submit_many`` does, and raise as it does. If some have ``parents``
    (id -> ids), all go by the database instead: see ``put_dependent``.
    """
    if len({message.id for message in messages}) < len(messages):
        raise DuplicateTask("Two tasks of one call have the same id.")
    if parents:
        put_dependent(messages, parents, durability)
        others = {}
    else:
        others = broker().submit_many(messages, durability=durability)
    tell_enqueued(message for message in messages if message.id not in others)
    return others


def message_of(request: TaskRequest) -> TaskMessage:
    """The task that a request asks for.

    Raise InvalidCall, which names the fields that are wrong, or ValueTooLarge.
    """
    errors = options_errors(request)
    values = {}
    for name, value in (("args", list(request.args)), ("kwargs", dict(request.kwargs))):
        try:
            values[name] = normalized(value)
            size_of(values[name])
        except (TypeError, ValueError) as error:
            errors[name] = [f"Cannot be stored as JSON: {error}."]
    if errors:
        raise InvalidCall(errors)
    return message_with(request, values["args"], values["kwargs"])


def message_with(request: TaskRequest, args: list, kwargs: dict) -> TaskMessage:
    """The task that a request with sound options asks for, its arguments normalized already.

    Raise ValueTooLarge, or ValueError if a text in the arguments is not one.
    """
    asked, options = request.type, conf()
    size, limit = size_of((args, kwargs)), options.max_payload_bytes
    if size > limit:
        raise ValueTooLarge(f"The arguments take {size:,} bytes as JSON; {limit:,} are allowed.")
    submitted_us, task_id = now_us(), request.id or str(uuid7())
    more = _optional(request, max(submitted_us, request.run_after_us), args, kwargs)
    if more.get("sensitive"):
        args, kwargs, hiding = _hidden(task_id, asked.task, more, args, kwargs)
        more |= hiding
    return TaskMessage(
        id=task_id,
        type=asked.name,
        submitted_us=submitted_us,
        args=args,
        kwargs=kwargs,
        queue=_given(request.queue, asked.queue),
        priority=int(_given(request.priority, asked.priority)),
        run_after_us=request.run_after_us,
        backend=request.backend,
        **more,
    )


def _hidden(
    task_id: str, task: Any, more: Mapping[str, Any], args: list, kwargs: dict
) -> tuple[list, dict, dict[str, Any]]:
    """The arguments as they are stored, and the fields of a message that say what is hidden.

    Raise ValueTooLarge: what is encrypted takes more room.
    """
    paths = hidden_in(
        more["sensitive"], task, args, kwargs, leading=bool(more.get("takes_results"))
    )
    found: dict[str, Any] = {"hidden": paths}
    values = taken(paths, args, kwargs)
    if values and more.get("idempotency_key"):
        found["secret"] = keyed_digest(encode(values))
    if values and is_on():
        found["sealed"] = seal(values, task_id)
        args, kwargs = without(paths, args, kwargs)
        size, limit = len(found["sealed"]) + size_of((args, kwargs)), conf().max_payload_bytes
        if size > limit:
            raise ValueTooLarge(
                f"The arguments take {size:,} bytes encrypted; {limit:,} are allowed."
            )
    return args, kwargs, found


def _optional(request: TaskRequest, since_us: int, args: list, kwargs: dict) -> dict[str, Any]:
    """What the options come to in a message; moments that a type declares count from a moment."""
    options = request.options
    if not options:
        return {
            "max_attempts": conf().max_attempts,
            "backoff": backoff_of(conf().backoff_seconds),
            "deadline_us": request.deadline_us,
            "expires_us": request.expires_us,
        }
    return {
        "max_attempts": options.get("max_attempts", conf().max_attempts),
        "backoff": backoff_of(options.get("backoff", conf().backoff_seconds)),
        "retry_on": tuple(map(path_of, options.get("retry_on", ()))),
        "give_up_on": tuple(map(path_of, options.get("give_up_on", ()))),
        "timeout": float(options.get("timeout", 0)),
        "deadline_us": request.deadline_us or _after(since_us, options.get("deadline")),
        "expires_us": request.expires_us or _after(since_us, options.get("expires")),
        "tags": tuple(options.get("tags", ())),
        "sensitive": options.get("sensitive", ()),
        **once_of(request.type.name, request.type.task, options, args, kwargs),
        **limit_of(request.type.name, request.type.task, options, args, kwargs),
        **dependence_of(options),
    }


def _after(since_us: int, span: Any) -> int:
    if isinstance(span, datetime):  # a type may declare a moment, though few have a use for it
        return us_of(span if timezone.is_aware(span) else timezone.make_aware(span))
    return 0 if span is None else min(since_us + int(seconds_of(span) * 1e6), LATEST_US)


def options_errors(request: TaskRequest) -> dict[str, list[str]]:
    """What is wrong with a request, apart from its arguments: field -> sentences."""
    said = {
        "id": "" if request.id is None or is_id(request.id) else "This is not a task id.",
        "queue": "" if request.queue is None else queue_error(request.queue),
        "priority": _priority_error(request.priority),
        "run_after": moment_error(request.run_after_us),
        "deadline": moment_error(request.deadline_us),
        "expires": moment_error(request.expires_us) or _expires_error(request.expires_us),
    }
    found = errors_of(request._asdict()) if request.has_options else {}
    found |= {name: [sentence] for name, sentence in said.items() if sentence}
    if found or not request.has_options:  # what a type declares was looked at as it did
        return found
    options = request.options
    for check in CONTRADICTIONS:
        name, sentence = check(options, request.type.task.func)
        if sentence:
            return {name: [sentence]}
    return {}


def moment_error(us: Any) -> str:
    return "" if _is_whole(us) and EARLIEST_US <= us <= LATEST_US else "This is not a moment."


def _expires_error(us: int) -> str:
    return "This moment has passed already." if us and us <= now_us() else ""


def _priority_error(value: Any) -> str:
    if value is None or (_is_whole(value) and LOWEST_PRIORITY <= value <= HIGHEST_PRIORITY):
        return ""
    return f"Must be a whole number from {LOWEST_PRIORITY} to {HIGHEST_PRIORITY}."


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _given(value: Any, declared: Any) -> Any:
    return declared if value is None else value
