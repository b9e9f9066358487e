"""The ``DTPS`` setting: every option, its default, and a clear word on a wrong name."""

import re
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from functools import lru_cache
from logging import getLevelNamesMapping
from math import isfinite
from typing import Any, Self

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from .retention.rules import Rules

MAX_SHARDS = 16  # more would make every probe for a status slower than it gains

NEVER_ZERO = frozenset(
    {
        "lease_seconds",
        "renew_seconds",
        "leader_seconds",
        "max_crashes",
        "max_attempts",
        "recorder_batch",
        "socket_timeout_seconds",
        "scale_target_seconds",
        "spool_max_bytes",
        "idempotency_seconds",
        "submit_replicas",
        "confirm_seconds",
        "per_concurrency",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conf:
    """What a project can choose; read it with ``conf()``."""

    redis_url: str = "redis://127.0.0.1:6379/0"  # also unix:///path.sock?db=0
    embedded_dir: str = ""  # where the embedded server keeps its data; "": REDIS_URL is a real one
    namespace: str = "dtps"  # the first word of every key
    shards: dict[str, int] = None  # queue -> shard number; all others live in shard 0

    lease_seconds: float = 10.0  # a worker silent for this long loses its tasks
    renew_seconds: float = 1.0  # how often a worker renews its lease
    leader_seconds: float = 3.0  # the coordinator's lease
    grace_seconds: float = 30.0  # what a running task gets to finish in at shutdown
    max_crashes: int = 3  # the crash after which a task is poison

    patience_seconds: float = 3600.0  # undated work counts as due this long after its submit
    max_payload_bytes: int = 1024 * 1024  # arguments of one task, as JSON
    max_result_bytes: int = 1024 * 1024  # return value of one task, as JSON
    max_body_bytes: int = 10 * 1024 * 1024  # of a bulk request
    max_queue_depth: int = 0  # tasks waiting in one queue; 0: no bound but Redis' memory
    max_queues: int = 1000  # in one shard, since each is looked at every second; 0: no bound
    max_attempts: int = 1  # of a task type that does not say
    rest_retries: int = 3  # of a REST submit that does not say
    idempotency_seconds: float = 86400.0  # a submit repeated within stores nothing
    backoff_seconds: float = 1.0  # first pause before a retry, doubled each time
    backoff_max_seconds: float = 600.0  # longest pause before a retry
    unknown_type_seconds: float = 86_400.0  # until a task that no worker knows fails; 0: never

    per_concurrency: int = 10  # of each key of a task with `per` and no limit

    timeout_grace_seconds: float = 5.0  # after a timeout or a cancel, until the attempt is ended
    on_lease_lost: str = "stop"  # what runs when a lease is about to end: "stop" or "continue"
    recycle_tasks: int = 0  # tasks after which an executor is replaced; 0: no bound
    recycle_memory_mb: int = 0  # resident memory above which an executor is replaced; 0: no bound
    spool_dir: str = ""  # where results wait while Redis is away; "": below the temporary directory
    spool_max_bytes: int = 64 * 1024 * 1024  # of one executor

    steal_protects: bool = True  # a worker with stealing off is not stolen from either
    scale_target_seconds: float = 5.0  # in which the autoscaler wants a backlog to be drained
    scale_down_seconds: float = 30.0  # of too many slots, before the autoscaler gives some up
    scale_memory_percent: float = 90.0  # of the host's memory in use, above which no slot is added
    scale_cpu_percent: float = 95.0  # of the host's processors in use, above which no slot is added

    slice_seconds: float = 0.05  # work that an executor claims at once
    recorder_batch: int = 1000  # most tasks written to the database in one transaction
    max_recorder_lag: int = 1_000_000  # unrecorded changes at which submits are refused

    submit_durability: str = "fast"  # of a REST submit that does not say: or "fsync", "replicated"
    submit_replicas: int = 1  # that must have what is submitted as "replicated"
    confirm_seconds: float = 3.0  # in which "fsync" and "replicated" must be confirmed

    schedules: dict[str, Any] = None  # name -> the words of @periodic, and "task"

    task_log_level: str = "INFO"  # of a task's own logging that goes into its log; "": none does
    task_log_lines: int = 200  # of a task's log that are kept, the newest
    task_log_bytes: int = 32 * 1024  # of these lines, as JSON
    max_checkpoint_bytes: int = 64 * 1024  # of the state that a task saves, as JSON

    retention: dict[str, Any] = None  # status -> for how long: see docs/tasks.md
    max_records: int = 0  # tasks in the history, of which the oldest go first; 0: no bound

    encryption_keys: tuple[str, ...] = field(default=(), repr=False)  # of sensitive arguments

    files_root: str = ""  # directory whose files the demo types may read
    socket_timeout_seconds: float = 1.5  # an answer of Redis that takes longer is lost

    def __post_init__(self) -> None:
        self._check_shards()
        object.__setattr__(self, "shards", dict(self.shards or {}))
        if not isinstance(self.schedules, dict | None):
            raise ImproperlyConfigured("DTPS['SCHEDULES'] must be a dict of name to schedule.")
        object.__setattr__(self, "schedules", dict(self.schedules or {}))
        self._check_retention()
        self._check_keys()
        for each in fields(self):
            value = getattr(self, each.name)
            if wanted := _wanted(each.name, each.type, value):
                raise ImproperlyConfigured(
                    f"DTPS[{each.name.upper()!r}] must be {wanted}, not {value!r}."
                )
        if self.on_lease_lost not in ("stop", "continue"):
            raise ImproperlyConfigured(
                f"DTPS['ON_LEASE_LOST'] must be 'stop' or 'continue', not {self.on_lease_lost!r}."
            )
        if self.submit_durability not in ("fast", "fsync", "replicated"):
            raise ImproperlyConfigured(
                "DTPS['SUBMIT_DURABILITY'] must be 'fast', 'fsync' or 'replicated', "
                f"not {self.submit_durability!r}."
            )
        if self.task_log_level not in ("", *getLevelNamesMapping()):
            raise ImproperlyConfigured(
                f"DTPS['TASK_LOG_LEVEL'] must be the name of a level, not {self.task_log_level!r}."
            )
        if self.renew_seconds * 3 > self.lease_seconds:
            raise ImproperlyConfigured(
                "DTPS['RENEW_SECONDS'] must be at most a third of LEASE_SECONDS."
            )

    def _check_retention(self) -> None:
        if not isinstance(self.retention, dict | None):
            raise ImproperlyConfigured("DTPS['RETENTION'] must be a dict of status to how long.")
        object.__setattr__(self, "retention", dict(self.retention or {}))
        try:
            Rules.of(self.retention)
        except ValueError as error:
            raise ImproperlyConfigured(f"DTPS['RETENTION'] {error}.") from error

    def _check_keys(self) -> None:
        """No key stands in what is said of them."""
        keys = self.encryption_keys
        if not isinstance(keys, list | tuple):
            raise ImproperlyConfigured("DTPS['ENCRYPTION_KEYS'] must be a list of keys.")
        for number, key in enumerate(keys, 1):
            if not _is_key(key):
                raise ImproperlyConfigured(
                    f"DTPS['ENCRYPTION_KEYS']: key {number} of {len(keys)} is none. Each is 32 "
                    "random bytes in URL-safe base64, 44 characters: `manage.py dtps keys --new`."
                )
        if len(set(keys)) < len(keys):
            raise ImproperlyConfigured("DTPS['ENCRYPTION_KEYS'] has a key twice.")
        object.__setattr__(self, "encryption_keys", tuple(keys))

    def _check_shards(self) -> None:
        if not isinstance(self.shards, dict | None):
            raise ImproperlyConfigured("DTPS['SHARDS'] must be a dict of queue to shard number.")
        for queue, shard in (self.shards or {}).items():
            if type(shard) is not int or not 0 <= shard < MAX_SHARDS:
                raise ImproperlyConfigured(
                    f"DTPS['SHARDS'][{queue!r}] must be a number from 0 to {MAX_SHARDS - 1}."
                )

    @classmethod
    def load(cls, given: dict[str, Any]) -> Self:
        """Build from ``settings.DTPS``. Raise ImproperlyConfigured on an unknown name."""
        known = {field.name.upper(): field.name for field in fields(cls)}
        for name in sorted(given.keys() - known.keys(), key=str):
            guess = get_close_matches(str(name).upper(), known, n=1)
            hint = f" Did you mean {guess[0]}?" if guess else ""
            raise ImproperlyConfigured(f"DTPS[{name!r}] is not an option.{hint}")
        return cls(**{known[name]: value for name, value in given.items()})


def _is_key(key: Any) -> bool:
    return isinstance(key, str) and re.fullmatch(r"[\w-]{43}=", key, re.ASCII) is not None


def _wanted(name: str, kind: type, value: Any) -> str:
    """What an option must be; "" if its value is that."""
    if kind is str and not isinstance(value, str):
        return "a text"
    if name == "namespace" and not re.fullmatch(r"[\w.:-]+", value):
        return "a word"  # braces would tear a shard's keys apart
    if kind is bool and not isinstance(value, bool):
        return "True or False"
    if kind is int and type(value) is not int:
        return "a whole number"
    if kind is float and (type(value) not in (int, float) or not isfinite(value)):
        return "a number"
    if kind in (int, float) and value < 0:
        return "a number of at least 0"
    return "more than 0" if name in NEVER_ZERO and value == 0 else ""


@lru_cache(maxsize=1)
def conf() -> Conf:
    """The project's options, read once."""
    return Conf.load(getattr(settings, "DTPS", {}))


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "DTPS":
        conf.cache_clear()


setting_changed.connect(_forget)
