"""What went wrong, as an answer: a status, and JSON with ``detail`` or sentences by field."""

import logging
from typing import Any

from django.db import InterfaceError, OperationalError
from rest_framework import status
from rest_framework.response import Response
from rest_framework.views import exception_handler, set_rollback

from ..exceptions import (
    DuplicateTask,
    InvalidCall,
    KeyMissing,
    KeyReused,
    NoAgent,
    NoAnswer,
    NotDurable,
    OperationNotFound,
    QueueFull,
    QueueUnavailable,
    ScheduleNotFound,
    SealBroken,
    TaskNotFound,
    TooLate,
    UnknownOutcome,
    UnknownTaskType,
    ValueTooLarge,
    WorkerNotFound,
    WorkflowNotFound,
    WrongState,
)

logger = logging.getLogger(__name__)

# class -> status, and a word for programs. The nearest class of an error counts.
ANSWERS: dict[type[Exception], tuple[int, str]] = {
    InvalidCall: (status.HTTP_400_BAD_REQUEST, "invalid"),
    UnknownTaskType: (status.HTTP_400_BAD_REQUEST, "unknown_type"),
    TaskNotFound: (status.HTTP_404_NOT_FOUND, "not_found"),
    ScheduleNotFound: (status.HTTP_404_NOT_FOUND, "not_found"),
    WorkflowNotFound: (status.HTTP_404_NOT_FOUND, "not_found"),
    OperationNotFound: (status.HTTP_404_NOT_FOUND, "not_found"),
    WorkerNotFound: (status.HTTP_404_NOT_FOUND, "not_found"),
    DuplicateTask: (status.HTTP_409_CONFLICT, "duplicate"),
    KeyReused: (status.HTTP_409_CONFLICT, "key_reused"),
    WrongState: (status.HTTP_409_CONFLICT, "wrong_state"),
    KeyMissing: (status.HTTP_409_CONFLICT, "key_missing"),
    SealBroken: (status.HTTP_409_CONFLICT, "seal_broken"),
    ValueTooLarge: (status.HTTP_413_REQUEST_ENTITY_TOO_LARGE, "too_large"),
    QueueFull: (status.HTTP_503_SERVICE_UNAVAILABLE, "full"),
    TooLate: (status.HTTP_503_SERVICE_UNAVAILABLE, "too_late"),
    QueueUnavailable: (status.HTTP_503_SERVICE_UNAVAILABLE, "unavailable"),
    UnknownOutcome: (status.HTTP_503_SERVICE_UNAVAILABLE, "unknown"),
    NotDurable: (status.HTTP_503_SERVICE_UNAVAILABLE, "not_durable"),
    NoAgent: (status.HTTP_503_SERVICE_UNAVAILABLE, "no_agent"),
    NoAnswer: (status.HTTP_503_SERVICE_UNAVAILABLE, "no_answer"),
    OperationalError: (status.HTTP_503_SERVICE_UNAVAILABLE, "unavailable"),
    InterfaceError: (status.HTTP_503_SERVICE_UNAVAILABLE, "unavailable"),
}
RETRY_AFTER_SECONDS = 1


class SubmitUnknown(UnknownOutcome):
    """The answer to a submit was lost: whoever submitted can look these ids up."""

    def __init__(self, message: str, ids: list[str]):
        super().__init__(message)
        self.ids = ids


def answer(error: Exception, context: dict[str, Any]) -> Response:
    """The answer to any error that a view raises."""
    response = exception_handler(error, context)
    if response is None:
        set_rollback()
        response = _domain(error)
    if isinstance(response.data, list):
        response.data = {"detail": response.data}
    if response.status_code == status.HTTP_503_SERVICE_UNAVAILABLE:
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _domain(error: Exception) -> Response:
    found = next((ANSWERS[each] for each in type(error).__mro__ if each in ANSWERS), None)
    if found is None:
        logger.error("A view failed.", exc_info=error)
        return Response(
            {"detail": "This went wrong on our side; the log says why.", "code": "error"},
            status.HTTP_500_INTERNAL_SERVER_ERROR,
        )
    code, word = found
    if isinstance(error, OperationalError | InterfaceError):
        logger.warning("The database does not answer: %s", error)
        return Response({"detail": "The database does not answer.", "code": word}, code)
    return Response(_body(error, word), code)


def _body(error: Exception, word: str) -> dict[str, Any]:
    if isinstance(error, InvalidCall):
        return error.errors
    if isinstance(error, UnknownTaskType):
        return {"taskType": [str(error)]}
    body = {"detail": str(error), "code": word}
    if isinstance(error, DuplicateTask) and error.task_id:
        body["taskId"] = error.task_id
    if isinstance(error, SubmitUnknown):
        body |= {"taskId": error.ids[0]} if len(error.ids) == 1 else {"taskIds": error.ids}
    return body
