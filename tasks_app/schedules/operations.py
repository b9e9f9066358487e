"""What operators do to schedules: for REST, pages, the admin and the command line."""

from dataclasses import replace
from typing import Any

from django.db import IntegrityError, router, transaction

from ..exceptions import InvalidCall, ScheduleNotFound, WrongState
from ..message import now_us
from . import firing
from .definition import Definition, errors_of
from .models import Firing, Schedule
from .policies import Source
from .sealed import kept


def must_find(name: str) -> Schedule:
    """Raise ScheduleNotFound."""
    found = Schedule.objects.filter(name=name).first() if name.isprintable() else None
    if found is None:
        raise ScheduleNotFound(f"There is no schedule {name[:100]!r}.")
    return found


def create(definition: Definition, *, enabled: bool = True) -> Schedule:
    """Make a schedule. Raise InvalidCall, also if there is one of this name."""
    _check(definition)
    schedule = Schedule(source=Source.OPERATOR, enabled=enabled)
    definition.put_into(schedule, now_us())
    try:
        with transaction.atomic(using=_using()):
            schedule.save(using=_using())
    except IntegrityError as error:
        raise InvalidCall({"name": ["There is a schedule of this name."]}) from error
    return schedule


def change(name: str, changes: dict[str, Any]) -> Schedule:
    """Change fields of a Definition. New slots begin now; those of an unchanged timing go on.

    A sensitive argument that is given as ``[redacted]`` stays as it is. Raise ScheduleNotFound,
    InvalidCall, WrongState if code or settings declare it, KeyMissing or SealBroken.
    """
    with transaction.atomic(using=_using()):
        schedule = _locked(name)
        _must_be_operators(schedule)
        definition = replace(Definition.of(schedule), **changes)
        columns = kept(definition.type, definition.columns, schedule)
        definition = replace(definition, **columns._asdict())
        _check(definition)
        definition.put_into(schedule, now_us())
        schedule.save(using=_using())
    return schedule


def delete(name: str) -> None:
    """Raise ScheduleNotFound, or WrongState if code or settings declare it still."""
    with transaction.atomic(using=_using()):
        schedule = _locked(name)
        if schedule.is_declared:
            _must_be_operators(schedule)
        schedule.delete(using=_using())


def set_enabled(name: str, enabled: bool) -> Schedule:
    """Pause a schedule, or resume it: what was due meanwhile is not caught up.

    Raise ScheduleNotFound.
    """
    with transaction.atomic(using=_using()):
        schedule = _locked(name)
        if enabled and not schedule.enabled:
            schedule.plan(now_us())
        schedule.enabled = enabled
        schedule.save(using=_using(), update_fields=["enabled", "next_us"])
    return schedule


def run_now(name: str) -> Firing:
    """Submit its task at once. Raise ScheduleNotFound, and as ``firing.run_now`` does."""
    return firing.run_now(must_find(name))


def _using() -> str:
    return router.db_for_write(Schedule)


def _locked(name: str) -> Schedule:
    schedule = must_find(name)
    found = Schedule.objects.using(_using()).select_for_update().filter(pk=schedule.pk).first()
    if found is None:  # deleted just now
        raise ScheduleNotFound(f"There is no schedule {name[:100]!r}.")
    return found


def _check(definition: Definition) -> None:
    if errors := errors_of(definition):
        raise InvalidCall(errors)


def _must_be_operators(schedule: Schedule) -> None:
    if schedule.source != Source.OPERATOR:
        where = "settings" if schedule.source == Source.SETTINGS else "code"
        raise WrongState(
            f"The {where} of the project says what {schedule.name!r} is: change it there. Here it "
            "can be paused, resumed and run."
        )
