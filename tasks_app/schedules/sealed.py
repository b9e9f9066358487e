"""The sensitive arguments of a schedule: hidden from who looks, and encrypted in its row.

A row has room for what it was given, and no more: so what is encrypted stands in its options, with
where it belongs. Whoever fires a schedule opens it, and seals it anew for the task; see
``tasks_app/secrecy/sensitive.py``.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import registry
from ..exceptions import KeyMissing
from ..secrecy.sealing import is_on, opened, seal
from ..secrecy.sensitive import REDACTED, Path, all_names, filled, hidden_in, taken, without

if TYPE_CHECKING:
    from .models import Schedule

SEALED = "sealed"  # in the options of a row: no option is called so


class Columns(NamedTuple):
    """What a schedule calls its task with."""

    args: list[Any]
    kwargs: dict[str, Any]
    options: dict[str, Any]


def stored(name: str, kind: str, plain: Columns, before: Mapping[str, Any]) -> Columns:
    """As the row of a schedule has them; ``before``: the options that it has now.

    Raise KeyMissing rather than store in the clear what is encrypted now.
    """
    paths = _paths(kind, plain)
    if not paths:
        return plain
    if not is_on():
        if SEALED in before:
            raise KeyMissing("There is no key here to encrypt its sensitive arguments with.")
        return plain
    text = seal(taken(paths, plain.args, plain.kwargs), sealed_for(name))
    sealed = {"paths": [list(path) for path in paths], "text": text}
    return Columns(*without(paths, plain.args, plain.kwargs), {**plain.options, SEALED: sealed})


def plain_of(schedule: "Schedule") -> Columns:
    """As they were given. Raise KeyMissing or SealBroken."""
    row = Columns(schedule.args, schedule.kwargs, _without_seal(schedule.options))
    if not (text := sealed_in(schedule)):
        return row
    values = opened(text, sealed_for(schedule.name))
    return Columns(*filled(_sealed_paths(schedule), values, row.args, row.kwargs), row.options)


def shown_of(schedule: "Schedule") -> Columns:
    """As everybody may see them: nothing at all, if nobody here knows what is sensitive."""
    options = _without_seal(schedule.options)
    args, kwargs = without(_sealed_paths(schedule), schedule.args, schedule.kwargs, REDACTED)
    if schedule.type in registry.task_types():
        paths = _paths(schedule.type, Columns(args, kwargs, options))
    else:
        paths = tuple((place,) for place in (*range(len(args)), *kwargs))
    return Columns(*without(paths, args, kwargs, REDACTED), options)


def kept(kind: str, new: Columns, schedule: "Schedule") -> Columns:
    """New columns, in which what still is ``[redacted]`` is as it was.

    Whoever changes a schedule has seen it so. Raise KeyMissing or SealBroken.
    """
    paths = [p for p in _paths(kind, new) if taken([p], new.args, new.kwargs) == [REDACTED]]
    if not paths:
        return new
    before = plain_of(schedule)
    known = [path for path in paths if _has(path, before)]
    values = taken(known, before.args, before.kwargs)
    return Columns(*filled(known, values, new.args, new.kwargs), new.options)


def sealed_in(schedule: "Schedule") -> str:
    """What is encrypted of a schedule; "": nothing is."""
    return schedule.options.get(SEALED, {}).get("text", "")


def is_clear(schedule: "Schedule") -> bool:
    """Whether something of it is sensitive, and not encrypted."""
    row = Columns(schedule.args, schedule.kwargs, schedule.options)
    return not sealed_in(schedule) and bool(_paths(schedule.type, row))


def sealed_for(name: str) -> str:
    return f"schedule {name}"


def _paths(kind: str, columns: Columns) -> tuple[Path, ...]:
    """Where sensitive arguments are; none of a type that is unknown here."""
    task_type = registry.task_types().get(kind)
    is_call = isinstance(columns.args, list) and isinstance(columns.kwargs, dict)
    if task_type is None or not is_call or not isinstance(columns.options, Mapping):
        return ()
    names = all_names(task_type.options.get("sensitive"), columns.options.get("sensitive"))
    return hidden_in(names, task_type.task, columns.args, columns.kwargs)


def _sealed_paths(schedule: "Schedule") -> list[Path]:
    return [tuple(path) for path in schedule.options.get(SEALED, {}).get("paths", ())]


def _without_seal(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != SEALED}


def _has(path: Sequence[int | str], columns: Columns) -> bool:
    try:
        taken([tuple(path)], columns.args, columns.kwargs)
    except (LookupError, TypeError):
        return False
    return True
