"""What holds for many answers: who may keep them, and what is said while something is away."""

import logging
from collections.abc import Callable

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse

from tasks_app.api.errors import RETRY_AFTER_SECONDS
from tasks_app.exceptions import QueueUnavailable

logger = logging.getLogger(__name__)


class NeverCached:
    """Answers of the API are about this moment and this caller: nobody keeps them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.path.startswith("/api"):
            response.headers.setdefault("Cache-Control", "no-store")
        return response


class Unavailable:
    """A page that needs what is away says so, and when to try again. The API does it itself."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, OperationalError | InterfaceError):
            logger.warning("The database does not answer: %s", error)
            return _away("The database does not answer.")
        return _away(str(error)) if isinstance(error, QueueUnavailable) else None


def _away(sentence: str) -> HttpResponse:
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return HttpResponse(
        f"{sentence} Try again in a moment.\n", "text/plain; charset=utf-8", 503, headers=headers
    )
