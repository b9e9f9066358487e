"""Headers of every answer of the API."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse


class NeverCached:
    """Answers of the API are about this moment and this caller: nobody keeps them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.path.startswith("/api"):
            response.headers.setdefault("Cache-Control", "no-store")
        return response
