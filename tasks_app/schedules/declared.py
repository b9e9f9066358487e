"""The schedules that code and settings declare."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .. import registry
from ..conf import conf
from ..normalize import normalized
from ..periodic import Periodic, periodics_of
from ..registry import TaskType
from .definition import Definition, errors_of, plain, project_zone, seconds_of, us_or_none
from .policies import Source

FIELDS = frozenset(Periodic._fields) - {"name", "options"}


@dataclass(frozen=True, slots=True)
class Declared:
    """A schedule that is declared soundly."""

    definition: Definition
    source: Source
    enabled: bool  # when it is made; then it is the operator's


def declared() -> tuple[list[Declared], list[str]]:
    """The schedules of code and settings, each name once; and what is wrong with others."""
    found: dict[str, Declared] = {}
    wrong: list[str] = []
    for where, make in (*_in_code(), *_in_settings()):
        try:
            each = make()
        except (TypeError, ValueError, AttributeError) as error:
            wrong.append(f"{where}: {error}")
            continue
        if errors := errors_of(each.definition):
            said = " ".join(f"{name}: {' '.join(said)}" for name, said in errors.items())
            wrong.append(f"{where}: {said}")
        elif each.definition.name in found:
            wrong.append(f"{where}: there is another schedule named {each.definition.name!r}.")
        else:
            found[each.definition.name] = each
    return list(found.values()), wrong


def _in_code() -> Iterator[tuple[str, Any]]:
    for task_type in registry.task_types().values():
        for said in periodics_of(task_type.task.func):
            yield (
                f"@periodic of {task_type.name}",
                lambda task_type=task_type, said=said: _of_code(task_type, said),
            )


def _of_code(task_type: TaskType, said: Periodic) -> Declared:
    return _declared(said, said.name or task_type.name, task_type.name, Source.CODE)


def _in_settings() -> Iterator[tuple[str, Any]]:
    for name, said in conf().schedules.items():
        yield (
            f"DTPS['SCHEDULES'][{name!r}]",
            lambda name=name, said=said: _of_settings(name, said),
        )


def _of_settings(name: str, said: Mapping[str, Any]) -> Declared:
    """Of a dict with "task", the words of ``@periodic``, and options."""
    if not isinstance(said, Mapping) or "task" not in said:
        raise ValueError('it must be a dict with a "task".')
    given = {key: value for key, value in said.items() if key in FIELDS}
    options = {key: said[key] for key in said.keys() - given.keys() - {"task"}}
    periodic = Periodic(
        **{"catch_up": "last", "catch_up_most": 100, "overlap": "allow", "enabled": True}
        | {"cron": "", "args": (), "kwargs": {}}
        | dict.fromkeys(("every", "timezone", "queue", "priority", "starts", "ends"))
        | given,
        name=name,
        options=options,
    )
    return _declared(periodic, name, said["task"], Source.SETTINGS)


def _declared(said: Periodic, name: str, type_name: str, source: Source) -> Declared:
    definition = Definition(
        name=name,
        type=type_name,
        args=normalized(list(said.args)),
        kwargs=normalized(dict(said.kwargs)),
        queue=said.queue or "",
        priority=said.priority,
        options=plain(said.options),
        cron=said.cron,
        every=0 if said.every is None else seconds_of(said.every),
        timezone=said.timezone or project_zone(),
        starts_us=us_or_none(said.starts),
        ends_us=us_or_none(said.ends),
        catch_up=said.catch_up,
        catch_up_most=said.catch_up_most,
        overlap=said.overlap,
    )
    return Declared(definition, source, bool(said.enabled))
