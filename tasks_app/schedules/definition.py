"""What a schedule is, as code, settings, REST and the admin say it; checked here for all."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.utils import timezone as clocks

from .. import enqueue, registry
from ..enqueue import TaskRequest
from ..exceptions import InvalidCall, UnknownTaskType, ValueTooLarge
from ..message import us_of
from ..normalize import normalized
from ..options.table import OPTIONS, path_of
from . import timing
from .policies import CatchUp, Overlap
from .sealed import Columns, plain_of, stored
from .timing import Timing

if TYPE_CHECKING:
    from .models import Schedule

LONGEST_NAME = 200
MOST_CAUGHT_UP = 1000
NOT_OF_SCHEDULES = frozenset({"idempotency_key"})  # each task of a schedule is another one


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """The columns of a Schedule that somebody chooses."""

    name: str
    type: str
    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)
    queue: str = ""
    priority: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    cron: str = ""
    every: int = 0
    timezone: str = "UTC"
    starts_us: int = 0
    ends_us: int = 0
    catch_up: str = CatchUp.LAST.value
    catch_up_most: int = 100
    overlap: str = Overlap.ALLOW.value

    @classmethod
    def of(cls, schedule: "Schedule") -> Self:
        """Raise KeyMissing or SealBroken: its sensitive arguments are opened."""
        columns = {each.name: getattr(schedule, each.name) for each in fields(cls)}
        return cls(**columns | plain_of(schedule)._asdict())

    @property
    def timing(self) -> Timing:
        return Timing(self.cron, self.every, self.timezone, self.starts_us, self.ends_us)

    @property
    def columns(self) -> Columns:
        return Columns(self.args, self.kwargs, self.options)

    def put_into(self, schedule: "Schedule", after_us: int) -> None:
        """Change a schedule to this, unsaved; plan it anew if its slots change.

        Raise KeyMissing rather than store in the clear what is encrypted now.
        """
        before = schedule.timing
        columns = stored(self.name, self.type, self.columns, schedule.options)._asdict()
        for each in fields(self):
            setattr(schedule, each.name, columns.get(each.name, getattr(self, each.name)))
        if before != self.timing or schedule.pk is None:
            schedule.plan(after_us)


def errors_of(definition: Definition) -> dict[str, list[str]]:
    """What is wrong with a definition: field -> sentences. So is its task."""
    said = {
        "name": name_error(definition.name),
        "catch_up": _choice_error(definition.catch_up, CatchUp.values),
        "catch_up_most": _most_error(definition.catch_up_most),
        "overlap": _choice_error(definition.overlap, Overlap.values),
        "options": options_error(definition.options),
    }
    found = {name: [sentence] for name, sentence in said.items() if sentence}
    found |= timing.errors_of(definition.timing)
    return found if "options" in found else found | _task_errors(definition)


def name_error(name: Any) -> str:
    is_text = isinstance(name, str) and 0 < len(name) <= LONGEST_NAME
    if is_text and name.isprintable() and name.strip() == name and "/" not in name:
        return ""
    return f"A name has 1 to {LONGEST_NAME} printable characters, and no slash."


def options_error(options: Any) -> str:
    if not isinstance(options, Mapping):
        return "Must be an object of options."
    known = OPTIONS.keys() - NOT_OF_SCHEDULES
    if unknown := sorted(options.keys() - known, key=str):
        return (
            f"There is no option {str(unknown[0])[:100]!r}; there are {', '.join(sorted(known))}."
        )
    return ""


def request_of(definition: Definition, task_id: str | None = None) -> TaskRequest:
    """The task that a schedule submits. Raise UnknownTaskType."""
    task_type = registry.get(definition.type)
    return TaskRequest(
        type=task_type,
        args=definition.args,
        kwargs=definition.kwargs,
        queue=definition.queue or None,
        priority=definition.priority,
        backend=task_type.task.backend,
        id=task_id,
        **definition.options,
    )


def _task_errors(definition: Definition) -> dict[str, list[str]]:
    if _has_zero([definition.args, definition.kwargs, definition.options]):
        return {"args": ["A text has a zero character, which not every database can keep."]}
    try:
        enqueue.message_of(request_of(definition))
    except UnknownTaskType as error:
        return {"type": [str(error)]}
    except ValueTooLarge as error:
        return {"args": [str(error)]}
    except InvalidCall as error:
        ours = {each.name for each in fields(Definition)}
        return {name if name in ours else "options": said for name, said in error.errors.items()}
    return {}


def _has_zero(value: Any) -> bool:
    match value:
        case str():
            return "\0" in value
        case dict():
            return any(_has_zero(each) for pair in value.items() for each in pair)
        case list() | tuple():
            return any(map(_has_zero, value))
    return False


def _choice_error(value: Any, choices: list[str]) -> str:
    return "" if value in choices else f"Must be one of {', '.join(choices)}."


def _most_error(value: Any) -> str:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if is_whole and 1 <= value <= MOST_CAUGHT_UP:
        return ""
    return f"Must be a whole number from 1 to {MOST_CAUGHT_UP:,}."


def seconds_of(every: Any) -> Any:
    """An interval in whole seconds; else as it was given, for the check to refuse."""
    seconds = every.total_seconds() if isinstance(every, timedelta) else every
    return int(seconds) if isinstance(seconds, float) and seconds.is_integer() else seconds


def us_or_none(at: datetime | str | None) -> int:
    """A moment as code and settings say it: aware, or in the project's time zone; also as ISO text.

    Raise ValueError or TypeError.
    """
    if at is None:
        return 0
    if isinstance(at, str):
        at = datetime.fromisoformat(at)
    if not isinstance(at, datetime):
        raise TypeError("A moment is a datetime, or a text like 2030-01-31T09:00:00.")
    return us_of(at if clocks.is_aware(at) else clocks.make_aware(at))


def plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON: classes as their paths, spans as seconds. Raise TypeError or ValueError."""
    return {name: normalized(_plain(value)) for name, value in options.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, list | tuple):
        return [path_of(each) or each for each in value]
    return value


def project_zone() -> str:
    """The time zone of a schedule that names none."""
    return settings.TIME_ZONE or "UTC"
