"""A request for a host that is not ours is answered before anything else looks at it."""

from collections.abc import Callable

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, JsonResponse


class OwnHostOnly:
    """Answers 400, as JSON and on every address, static files too: a foreign name points here."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            request.get_host()
        except DisallowedHost:
            detail = "This server has no such name; DTPS_ALLOWED_HOSTS lists those that it has."
            return JsonResponse({"detail": detail}, status=400)
        return self.get_response(request)
