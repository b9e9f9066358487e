"""From a validated request to a workflow in the queue."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.db import IntegrityError

from ..api import submission
from ..conf import conf
from ..exceptions import InvalidCall
from ..listening import tell_enqueued
from ..models import WorkflowRecord
from ..options.unique import digest_of
from .plan import Plan, Planned
from .policies import OnFailure
from .result import WorkflowResult
from .storing import database


class Submitted(NamedTuple):
    """What became of a submit."""

    workflow: WorkflowResult
    is_new: bool  # or it was there already


def submit(asked: Mapping[str, Any], key: str | None = None) -> Submitted:
    """Store a workflow, once for each idempotency key. Raise as ``Plan.store`` does."""
    digest = key and digest_of("workflow", key)
    if digest and (there := _known(digest)):
        return there
    plan = Plan(
        asked.get("name", ""), asked.get("onFailure", OnFailure.CONTINUE), _tasks(asked), key=digest
    )
    try:
        messages = plan.store()
    except IntegrityError:  # another call with the key was quicker
        if digest and (there := _known(digest)):
            return there
        raise
    tell_enqueued(messages)
    return Submitted(WorkflowResult(plan.id), True)


def _known(digest: str) -> Submitted | None:
    found = WorkflowRecord.objects.using(database()).filter(key=digest).values_list("id", flat=True)
    return Submitted(WorkflowResult(found[0]), False) if found else None


def _tasks(asked: Mapping[str, Any]) -> list[Planned]:
    """The tasks. Raise InvalidCall with what is wrong by index."""
    durability = asked.get("durability") or conf().submit_durability
    planned, errors = [], {}
    for index, task in enumerate(asked["tasks"]):
        after = task.get("after") or ()
        names = (after,) if isinstance(after, str) else tuple(dict.fromkeys(after))
        try:
            message = submission.message_of(task)
        except InvalidCall as error:
            errors[str(index)] = error.errors
        else:
            is_join = not isinstance(after, str)
            planned.append(Planned(task["name"], message, durability, names, is_join))
    if errors:
        raise InvalidCall({"tasks": errors})
    return planned
