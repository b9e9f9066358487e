"""The arguments of a call by their names, as the function will get them."""

import inspect
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any


def names_of(function: Callable[..., Any]) -> tuple[list[str], bool]:
    """The names that arguments can have, and whether any other name is taken too."""
    parameters = _signature(function).parameters.values()
    named = [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    return named, any(p.kind == p.VAR_KEYWORD for p in parameters)


def parameters_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters, in order."""
    return list(_signature(function).parameters.values())


_CONTEXT = object()


def bound_of(
    function: Callable[..., Any], takes_context: bool, args: Sequence[Any], kwargs: dict[str, Any]
) -> dict[str, Any] | None:
    """Name -> value, defaults too; None if the function cannot be called so."""
    signature = _signature(function)
    try:
        bound = signature.bind(*((_CONTEXT,) if takes_context else ()), *args, **kwargs)
    except TypeError:
        return None
    bound.apply_defaults()
    found = dict(bound.arguments)
    for parameter in signature.parameters.values():
        if parameter.kind == parameter.VAR_KEYWORD:
            found |= found.pop(parameter.name)
        elif takes_context and found.get(parameter.name) is _CONTEXT:
            del found[parameter.name]
    return found


def at_path(value: Any, path: str) -> Any:
    """What is found by going along a path of names; None where it ends too early."""
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


@lru_cache(maxsize=1024)
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)
