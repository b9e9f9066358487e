"""Tasks that wait for others: what a submit says of that.

Which these are stands in the database alone (``workflows/models.py``): a definition says no more
than that there are some, however many. A task that waits for others has the status `waiting` until
the recorder has seen them end; see ``workers_app/coordinator/release.py``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

MOST_PARENTS = 100_000  # of a task
CANCEL, RUN = "cancel", "run"
IF_PARENT_FAILS = (CANCEL, RUN)  # what becomes of a task if one of them does not complete
ONE, LIST = "one", "list"  # how it is given their results


def depends_error(value: Any) -> str:
    """What is wrong with ``depends_on``; "" if nothing is."""
    if value is None or isinstance(value, str):
        return ""
    is_list = isinstance(value, Sequence) and len(value) <= MOST_PARENTS
    if is_list and all(isinstance(each, str) for each in value):
        return ""
    return f"Must be the id of a task, or at most {MOST_PARENTS:,} of them."


def if_parent_fails_error(value: Any) -> str:
    return "" if value in (None, *IF_PARENT_FAILS) else f"Must be {CANCEL!r} or {RUN!r}."


def takes_results_error(value: Any) -> str:
    return "" if value is None or isinstance(value, bool) else "Must be True or False."


def ids_of(given: Any) -> str | tuple[str, ...] | None:
    """What ``depends_on`` names: tasks by their ids, or by what ``enqueue`` returned."""
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, Mapping) or not hasattr(given, "__iter__"):
        return getattr(given, "id", given)
    return tuple(getattr(each, "id", each) for each in given)


def parents_in(depends_on: str | Sequence[str] | None) -> tuple[str, ...]:
    """The ids, each once, in order."""
    if not depends_on:
        return ()
    return (depends_on,) if isinstance(depends_on, str) else tuple(dict.fromkeys(depends_on))


def dependence_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a message that say how it depends on others; those of most tasks are unused."""
    depends_on = options.get("depends_on")
    found: dict[str, Any] = {}
    if depends_on:
        found["has_parents"] = True
    if options.get("if_parent_fails", CANCEL) != CANCEL:
        found["if_parent_fails"] = RUN
    if options.get("takes_results"):
        found["takes_results"] = ONE if isinstance(depends_on, str) else LIST
    return found


def dependence_contradiction(options: Mapping[str, Any], function: Any) -> tuple[str, str]:
    """An option that does not fit the others, and a sentence; mostly ("", "")."""
    if options.get("depends_on") and options.get("debounce"):
        return "debounce", "A task that waits for others cannot be put off as well."
    return "", ""
