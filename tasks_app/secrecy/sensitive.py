"""Arguments and results that nobody but the task itself is to see.

A task type names them: ``@task(sensitive=["password", "card.number", "return"])``. Where they are
in a call is found out when it is submitted, and goes with the task: ``TaskMessage.hidden``. So
whoever shows a task hides them, also where its code is not installed. With ENCRYPTION_KEYS their
values are stored as one encrypted text, ``TaskMessage.sealed``: see sealing.py.

Where it is not known what a name stands for, too much is hidden, never too little.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from inspect import Parameter
from typing import TYPE_CHECKING, Any

from ..arguments import bound_of, names_of, parameters_of
from .sealing import opened

if TYPE_CHECKING:
    from ..message import Attempt, TaskMessage

ALL = "*"  # every argument, and the result
RESULT = "return"  # among the names; no argument can be called so
REDACTED = "[redacted]"
UNREAD = "[This has sensitive values, so it is not shown as it is stored.]"
MOST_NAMES = 50
LONGEST_NAME = 255
SHORTEST_TEXT = 6  # characters: a shorter one would be found everywhere

Path = tuple[int | str, ...]  # an argument's position or name, and then keys of dicts


def sensitive_error(value: Any) -> str:
    """What is wrong with ``sensitive``; "" if nothing is."""
    if value is None or isinstance(value, bool):
        return ""
    is_list = isinstance(value, list | tuple) and len(value) <= MOST_NAMES
    if is_list and all(map(_is_name, value)):
        return ""
    return f'Must be True, or at most {MOST_NAMES} names of arguments, "return" among them.'


def sensitive_contradiction(
    options: Mapping[str, Any], function: Callable[..., Any]
) -> tuple[str, str]:
    """("sensitive", a sentence) if the function has no such argument; mostly ("", "")."""
    known, takes_all = names_of(function)
    variadic = {p.name for p in parameters_of(function) if p.kind in _VARIADIC}
    for name in names_in(options.get("sensitive")):
        root = name.partition(".")[0]
        is_known = root in known or root in variadic or name in (ALL, RESULT)
        if not is_known and not takes_all:
            said = f"The task has no argument {root!r}. It has: {', '.join(known)}."
            return "sensitive", said
    return "", ""


def names_in(value: Any) -> tuple[str, ...]:
    """The names in a sound ``sensitive``."""
    return (ALL,) if value is True else tuple(value or ())


def all_names(*values: Any) -> tuple[str, ...]:
    """Those of several: a submit can add names to its type's, and takes none of them away."""
    return tuple(dict.fromkeys(name for value in values for name in names_in(value)))


def shown_names(names: Sequence[str]) -> bool | list[str]:
    """As the API shows and takes them."""
    return True if ALL in names else list(names)


def declared_names(names: tuple[str, ...]) -> bool | tuple[str, ...] | None:
    """As a task declares them; None: it does not."""
    return True if ALL in names else names or None


def is_touched(names: Iterable[str], paths: Iterable[str]) -> bool:
    """Whether one of some arguments, or a part of it, is sensitive."""
    paths = list(paths)
    return any(name == ALL or _overlap(name, path) for name in names for path in paths)


def arguments_in(names: Iterable[str]) -> list[str]:
    """The names without that of the result."""
    return [name for name in names if name != RESULT]


# --- where they are ---


def hidden_in(
    names: Sequence[str],
    task: Any,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    leading: bool = False,
) -> tuple[Path, ...]:
    """Where the sensitive arguments of a call are. All of them, if the task cannot be called so.

    ``leading``: when it runs, it is given one more before the others.
    """
    names = arguments_in(names)
    if not names:
        return ()
    takes_context = bool(task.takes_context)
    everything = [(place,) for place in (*range(len(args)), *kwargs)]
    called = [None, *args] if leading else args
    if ALL in names or bound_of(task.func, takes_context, called, dict(kwargs)) is None:
        return tuple(everything)
    parameters = parameters_of(task.func)[takes_context + leading :]
    found: dict[Path, None] = {}
    for name in names:
        root, *rest = name.split(".")
        for place in _places(root, parameters, len(args), kwargs):
            value = kwargs[place] if isinstance(place, str) else args[place]
            found |= dict.fromkeys(_deeper((place,), value, rest))
    return tuple(path for path in found if not any(path[:n] in found for n in range(1, len(path))))


def _places(
    name: str, parameters: Sequence[Parameter], positional: int, kwargs: Mapping[str, Any]
) -> Iterator[int | str]:
    """Where the arguments of a name are in a call; none if they were left out."""
    if name in kwargs:
        yield name
    known = {parameter.name for parameter in parameters}
    for index, parameter in enumerate(parameters):
        if parameter.name != name:
            continue
        if parameter.kind is Parameter.VAR_POSITIONAL:
            yield from range(index, positional)
        elif parameter.kind is Parameter.VAR_KEYWORD:
            yield from (each for each in kwargs if each not in known)
        elif parameter.kind is not Parameter.KEYWORD_ONLY and index < positional:
            yield index


def _deeper(path: Path, value: Any, rest: Sequence[str]) -> Iterator[Path]:
    """The end of a path; where it leads through something else than a dict, all of that."""
    for name in rest:
        if not isinstance(value, dict):
            break
        if name not in value:
            return
        path, value = (*path, name), value[name]
    yield path


# --- taking them out, and putting something in ---


def taken(paths: Iterable[Path], args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    """The values at some places."""
    return [_at(path, args, kwargs) for path in paths]


def filled(
    paths: Sequence[Path], values: Sequence[Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments with these values at these places; a copy as far as they are changed."""
    args, kwargs = list(args), dict(kwargs)
    for path, value in zip(paths, values, strict=True):
        place: Any = args if isinstance(path[0], int) else kwargs
        for name in path[:-1]:
            place[name] = dict(place[name])
            place = place[name]
        place[path[-1]] = value
    return args, kwargs


def without(
    paths: Sequence[Path], args: Sequence[Any], kwargs: Mapping[str, Any], put: Any = None
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments with the same in all of these places."""
    return filled(paths, [put] * len(paths), args, kwargs)


def _at(path: Path, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    value: Any = args if isinstance(path[0], int) else kwargs
    for name in path:
        value = value[name]
    return value


# --- of a task ---


def shown_call(message: "TaskMessage") -> tuple[list[Any], dict[str, Any]]:
    """The arguments as everybody may see them."""
    if not message.hidden:
        return message.args, message.kwargs
    return without(message.hidden, message.args, message.kwargs, REDACTED)


def opened_call(message: "TaskMessage") -> tuple[list[Any], dict[str, Any]]:
    """The arguments as they were given. Raise KeyMissing or SealBroken."""
    if not message.sealed:
        return message.args, message.kwargs
    values = opened(message.sealed, message.id)
    return filled(message.hidden, values, message.args, message.kwargs)


def shown_result(message: "TaskMessage", attempt: "Attempt") -> Any:
    """What a completed attempt returned, as everybody may see it."""
    return REDACTED if message.hides_result else attempt.result


def opened_result(message: "TaskMessage", attempt: "Attempt") -> Any:
    """What it returned. Raise KeyMissing or SealBroken."""
    return opened(attempt.sealed, result_of(message.id)) if attempt.sealed else attempt.result


def result_of(task_id: str) -> str:
    """What a task's result is sealed for."""
    return f"{task_id} result"


def shown_definition(text: bytes) -> str:
    """A definition as Redis or the database has it, for people to read."""
    head, _, body = text.partition(b"\n")
    try:
        fields = json.loads(body)
        paths = [tuple(path) for path in fields.get("hidden", ())]
        found = without(paths, fields.get("args", []), fields.get("kwargs", {}), REDACTED)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return UNREAD if b'"hidden"' in text else text.decode(errors="backslashreplace")
    if paths:
        fields["args"], fields["kwargs"] = found
        text = head + b"\n" + json.dumps(fields, ensure_ascii=False).encode(errors="replace")
    return text.decode(errors="backslashreplace")


def shown_state(definition: bytes, state: bytes) -> str:
    """A state, unless that may tell what a sensitive result is."""
    if b'"sensitive"' in definition and b'"result"' in state:
        return UNREAD
    return state.decode(errors="backslashreplace")


# --- in texts that say other things ---


def scrubbed(text: str, values: Iterable[Any]) -> str:
    """A text without the sensitive texts and numbers that stand in it word for word.

    Those of fewer than SHORTEST_TEXT characters stay.
    """
    for word in sorted(set(_words(values)), key=len, reverse=True):
        text = text.replace(word, REDACTED)
    return text


def _words(value: Any) -> Iterator[str]:
    """How the texts and numbers in a value may be written."""
    if isinstance(value, str):
        found = {value, repr(value)[1:-1], json.dumps(value)[1:-1]}
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found = {repr(value)}
    else:
        inner = value.values() if isinstance(value, Mapping) else value or ()
        yield from (word for each in inner if not isinstance(each, bool) for word in _words(each))
        return
    yield from (word for word in found if len(word) >= SHORTEST_TEXT)


_VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def _overlap(name: str, path: str) -> bool:
    return f"{path}.".startswith(f"{name}.") or f"{name}.".startswith(f"{path}.")


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= LONGEST_NAME and value.isprintable()
