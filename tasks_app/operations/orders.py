"""What people say about operations: begin one, look at it, stop it. For all doors."""

import re
from collections.abc import Mapping
from typing import Any

from django.db import router

from ..api.fields import QUEUE
from ..exceptions import InvalidCall, OperationNotFound, WrongState
from ..message import LEVELS, now_us
from ..states import FINAL
from .filter import MAY, Filter
from .models import Operation
from .preview import Preview, preview
from .serializers import OperationFilterSerializer
from .words import UNDER_WAY, Action, Stage

LONGEST_WHO = 255


def look(action: Action, words: Mapping[str, Any], parameters: Mapping[str, Any]) -> Preview:
    """What an operation would find. Raise InvalidCall."""
    check(action, parameters)
    return preview(filter_of(action, words, now_us()))


def begin(
    action: Action, words: Mapping[str, Any], parameters: Mapping[str, Any], *, who: str
) -> Operation:
    """Write down an operation, which the coordinator begins at once. Raise InvalidCall.

    ``words`` are those of a filter, as they were asked for.
    """
    check(action, parameters)
    at_us = now_us()
    found = preview(filter_of(action, words, at_us))
    return Operation.objects.using(_using()).create(
        action=action,
        filter=dict(words),
        parameters=dict(parameters),
        who=who[:LONGEST_WHO],
        expected=None if found.is_more else found.matched,
        created_us=at_us,
        updated_us=at_us,
    )


def must_find(operation_id: str) -> Operation:
    """Raise OperationNotFound."""
    known = operation_id.isprintable()
    found = Operation.objects.filter(id=operation_id).first() if known else None
    if found is None:
        raise OperationNotFound("There is no such operation.")
    return found


def cancel(operation_id: str, *, by: str) -> Operation:
    """Do no more of it; what is done stays so. Raise OperationNotFound, or WrongState."""
    found = must_find(operation_id)
    rows = Operation.objects.using(_using()).filter(id=operation_id, state__in=UNDER_WAY)
    at_us = now_us()
    said = f"Cancelled by {by}."[:500]
    if not rows.update(state=Stage.CANCELLED, message=said, ended_us=at_us, updated_us=at_us):
        raise WrongState(f"The operation is {must_find(operation_id).state} already.")
    found.refresh_from_db()
    return found


def check(action: Action, parameters: Mapping[str, Any]) -> None:
    """Whether an action has what it needs, and no more. Raise InvalidCall."""
    needed = {Action.PRIORITY: "priority", Action.QUEUE: "queue"}.get(action)
    errors = {
        name: [f"{action} takes no {name}."]
        for name, value in parameters.items()
        if value is not None and name != needed
    }
    value = parameters.get(needed)
    if needed and value is None:
        errors[needed] = ["Say which one."]
    elif needed == "priority" and (type(value) is not int or value not in LEVELS):
        errors[needed] = ["A priority is a number from 1 to 10."]
    elif needed == "queue" and not re.fullmatch(QUEUE, str(value), re.ASCII):
        errors[needed] = [f"A queue's name matches {QUEUE}."]
    if errors:
        raise InvalidCall(errors)


def is_for_ended(action: Action) -> bool:
    """Whether an action is for tasks that have ended."""
    return MAY[action] <= FINAL


def filter_of(action: Action, words: Mapping[str, Any], at_us: int) -> Filter:
    """Raise InvalidCall, or ValidationError if a word is wrong."""
    found = OperationFilterSerializer(data=dict(words))
    found.is_valid(raise_exception=True)
    return Filter.of(action, found.validated_data, at_us)


def _using() -> str:
    return router.db_for_write(Operation)
