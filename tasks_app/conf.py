"""The ``DTPS`` setting: every option, its default, and a clear word on a wrong name."""

from dataclasses import dataclass, fields
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Self

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

MAX_SHARDS = 16  # more would make every probe for a status slower than it gains


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
    max_attempts: int = 1  # of a task type that does not say
    rest_retries: int = 3  # of a REST submit that does not say
    backoff_seconds: float = 1.0  # first pause before a retry, doubled each time
    backoff_max_seconds: float = 600.0  # longest pause before a retry

    slice_seconds: float = 0.05  # work that an executor claims at once
    recorder_batch: int = 1000  # most tasks written to the database in one transaction
    max_recorder_lag: int = 1_000_000  # unrecorded changes at which submits are refused

    files_root: str = ""  # directory whose files the demo types may read
    socket_timeout_seconds: float = 1.5  # an answer of Redis that takes longer is lost

    def __post_init__(self) -> None:
        object.__setattr__(self, "shards", dict(self.shards or {}))
        self._check_shards()
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type in ("int", int, "float", float) and (
                isinstance(value, bool) or not isinstance(value, int | float) or value < 0
            ):
                raise ImproperlyConfigured(
                    f"DTPS[{field.name.upper()!r}] must be a number of at least 0, not {value!r}."
                )
        if self.renew_seconds * 3 > self.lease_seconds:
            raise ImproperlyConfigured(
                "DTPS['RENEW_SECONDS'] must be at most a third of LEASE_SECONDS."
            )

    def _check_shards(self) -> None:
        for queue, shard in self.shards.items():
            if not isinstance(shard, int) or not 0 <= shard < MAX_SHARDS:
                raise ImproperlyConfigured(
                    f"DTPS['SHARDS'][{queue!r}] must be a number from 0 to {MAX_SHARDS - 1}."
                )

    @classmethod
    def load(cls, given: dict[str, Any]) -> Self:
        """Build from ``settings.DTPS``. Raise ImproperlyConfigured on an unknown name."""
        known = {field.name.upper(): field.name for field in fields(cls)}
        for name in given.keys() - known.keys():
            guess = get_close_matches(str(name).upper(), known, n=1)
            hint = f" Did you mean {guess[0]}?" if guess else ""
            raise ImproperlyConfigured(f"DTPS[{name!r}] is not an option.{hint}")
        return cls(**{known[name]: value for name, value in given.items()})


@lru_cache(maxsize=1)
def conf() -> Conf:
    """The project's options, read once."""
    return Conf.load(getattr(settings, "DTPS", {}))


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "DTPS":
        conf.cache_clear()


setting_changed.connect(_forget)
