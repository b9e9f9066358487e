"""The examination: all checks, none of which stops another."""

from collections.abc import Callable, Iterator

from django.db import Error as DatabaseError
from redis.exceptions import RedisError

from tasks_app.exceptions import QueueUnavailable, TaskSystemError

from . import fleet, options, record, server
from .advice import Advice, problem, unknown
from .patient import Patient

Check = Callable[[Patient], Iterator[Advice]]

CHECKS: tuple[Check, ...] = (
    server.answers, server.version, server.role, server.eviction, server.memory,
    server.append_only_file, server.snapshots, server.connections, server.clock,
    record.migrations, record.sqlite, record.quarantine, record.recorder, record.ledger,
    record.outboxes,
    fleet.coordinator, fleet.gate, fleet.workers, fleet.pauses, fleet.queues, fleet.task_types,
    fleet.sameness, fleet.agents,
    options.leases, options.grace, options.time_limits, options.retries, options.debug,
    options.spool,
)  # fmt: skip


def examine(patient: Patient, checks: tuple[Check, ...] = CHECKS) -> Iterator[Advice]:
    """What each check says."""
    is_away = False
    blind: list[str] = []  # checks that need Redis, while it is away
    for check in checks:
        try:
            yield from check(patient)
        except (TaskSystemError, RedisError, DatabaseError, OSError, ValueError) as error:
            if check is server.answers:
                is_away = True
                yield problem(f"Redis does not answer: {error}", _REDIS)
            elif is_away and isinstance(error, QueueUnavailable):
                blind.append(_name(check))
            else:
                yield _failed(check, error)
    if blind:
        yield unknown(f"Without Redis nobody could look at {', '.join(blind)}.")


_REDIS = "See whether it runs, and whether DTPS['REDIS_URL'] (DTPS_REDIS_URL) names it."
_DATABASE = "See whether it runs, and whether DATABASES (DATABASE_URL) names it."


def _failed(check: Check, error: Exception) -> Advice:
    if check is record.migrations:
        return problem(f"The database cannot be used: {error}".strip(), _DATABASE)
    return unknown(f"Nobody could look at {_name(check)}: {error}".strip())


def _name(check: Check) -> str:
    return check.__name__.replace("_", " ")
