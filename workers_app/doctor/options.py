"""Checks of the settings and of the declared task types: combinations that bite later."""

import os
import shutil
from collections.abc import Iterator, Sequence

from django.conf import settings

from tasks_app.conf import conf
from tasks_app.message import TaskMessage
from tasks_app.options.backoff import Backoff, backoff_of
from tasks_app.options.retrying import longest_pause_ms
from tasks_app.registry import TaskType

from ..executor.spool import orphans, spool_directory
from .advice import Advice, ok, problem, warning
from .patient import Patient

SHORTEST_LEASE = 3.0  # seconds: a garbage collection, a busy disk or a slow network takes as long
FEWEST_BIDS = 2.0  # seconds of the coordinator's lease; it bids once a second
DAYS_OF_RETRIES = 7
SHOWN = 5  # names in a sentence


def leases(patient: Patient) -> Iterator[Advice]:
    """A slow answer does not cost a lease."""
    lease, answer = conf().lease_seconds, conf().socket_timeout_seconds
    if lease < SHORTEST_LEASE:
        yield warning(
            f"LEASE_SECONDS is {lease:g}: a short stop ends what runs, and it begins again.",
            f"Make it {SHORTEST_LEASE:g} s at least; 10 s is the default.",
        )
    if answer > lease / 6:
        yield warning(
            f"SOCKET_TIMEOUT_SECONDS, {answer:g}, is over a sixth of LEASE_SECONDS, {lease:g}.",
            "Lower it, or lengthen the lease: few lost answers would cost it.",
        )
    if conf().leader_seconds < FEWEST_BIDS:
        yield warning(
            f"LEADER_SECONDS is {conf().leader_seconds:g}: a late answer costs the lead.",
            "Make it 3 s.",
        )
    if conf().on_lease_lost == "continue":
        yield ok("ON_LEASE_LOST is continue: a task may run twice at once when Redis is away.")


def grace(patient: Patient) -> Iterator[Advice]:
    """A deploy lets tasks finish."""
    longer = [t for t in patient.types.values() if (t.timeout or 0) > conf().grace_seconds]
    if longer:
        seconds = max(each.timeout or 0 for each in longer)
        yield warning(
            f"GRACE_SECONDS is {conf().grace_seconds:g}, and {_named(longer)} may take up to "
            f"{seconds:g} s: a deploy interrupts them, and they begin again.",
            f"Start workers with --grace {seconds:g}, or set GRACE_SECONDS.",
        )
    else:
        yield ok(f"A deploy waits {conf().grace_seconds:g} s, which is enough by all time limits.")


def time_limits(patient: Patient) -> Iterator[Advice]:
    """What hangs is ended some day."""
    boundless = [each for each in patient.types.values() if not each.timeout]
    yield ok(
        f"{len(boundless)} of {len(patient.types)} task types have no timeout: a task that hangs "
        "keeps its slot until it is cancelled."
    )


def retries(patient: Patient) -> Iterator[Advice]:
    """Retries give what failed time to recover, and end some day."""
    retried = [each for each in patient.types.values() if _attempts(each) > 1]
    hasty = [each for each in retried if _backoff(each) == 0]
    if hasty:
        yield warning(
            f"{_named(hasty)} retry without a pause: all attempts are gone before a short "
            "disturbance is over.",
            "Give them a backoff; 1 s is the default.",
        )
    endless = [each for each in retried if _days(each) > DAYS_OF_RETRIES]
    if endless:
        days = max(_days(each) for each in endless)
        yield warning(
            f"{_named(endless)} may be tried for up to {days:,.0f} days.",
            "Lower max_attempts or timeout, or submit with expires.",
        )
    if not hasty and not endless:
        yield ok(
            f"{len(retried)} of {len(patient.types)} task types are retried, all with a pause."
        )


def debug(patient: Patient) -> Iterator[Advice]:
    """DEBUG is for development."""
    if settings.DEBUG and not patient.is_embedded:
        yield warning(
            "DEBUG is on, though this is no development server.",
            "Set DTPS_PROFILE=production (DEBUG = False): workers keep every query in memory, and "
            "error pages show settings.",
        )


def spool(patient: Patient) -> Iterator[Advice]:
    """Results have a place to wait in while Redis is away, and none is left there."""
    place = spool_directory()
    there = next(each for each in (place, *place.parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield problem(
            f"Nothing can be written to SPOOL_DIR, {place}.",
            "Let it name a directory of the workers' user: while Redis is away, results are lost.",
        )
        return
    free = shutil.disk_usage(there).free
    if free < conf().spool_max_bytes:
        yield warning(
            f"Only {free / 1e6:,.0f} MB are free for results that wait for Redis, in {place}.",
            f"Make room: an executor may need {conf().spool_max_bytes / 1e6:,.0f} MB.",
        )
    left = [path for _, path in orphans() if path.stat().st_size]
    if left:
        yield warning(
            f"{len(left)} files in {place} hold results of executors that are gone.",
            "Start a worker on this host: it delivers them, or finds them to be too late.",
        )
    else:
        yield ok(f"Results wait in {place} while Redis is away.")


def _attempts(each: TaskType) -> int:
    return conf().max_attempts if each.max_attempts is None else each.max_attempts


def _backoff(each: TaskType) -> float | Backoff:
    return backoff_of(each.options.get("backoff", conf().backoff_seconds))


def _days(each: TaskType) -> float:
    """For how long a task of a type may be tried at the most; the pauses stop growing early."""
    message = TaskMessage(id="", type=each.name, submitted_us=0, backoff=_backoff(each))
    growing = range(1, min(_attempts(each), 64))
    pauses_ms = sum(longest_pause_ms(message, failures) for failures in growing)
    pauses_ms += max(_attempts(each) - 64, 0) * longest_pause_ms(message, 64)
    return (_attempts(each) * (each.timeout or 0) + pauses_ms / 1000) / 86_400


def _named(types: Sequence[TaskType]) -> str:
    names = ", ".join(each.name for each in types[:SHOWN])
    return names + (f" and {len(types) - SHOWN} more" if len(types) > SHOWN else "")
