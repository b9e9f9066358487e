"""No body is larger than ``max_body_bytes``: refused by its length, or counted while it comes."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from tasks_app.conf import conf

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


class TooLarge(Exception):
    """More has come than is allowed."""


def limit_bodies(application: Application) -> Application:
    """Answer 413 before the application has seen the rest of a body that is too large."""

    async def guard(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        left = conf().max_body_bytes
        started = False

        async def counted() -> dict[str, Any]:
            nonlocal left
            event = await receive()
            left -= len(event.get("body", b""))
            if left < 0:
                raise TooLarge
            return event

        async def noted(event: dict[str, Any]) -> None:
            nonlocal started
            started = True
            await send(event)

        try:
            if _length(scope) > left:
                raise TooLarge
            await application(scope, counted, noted)
        except TooLarge:
            if not started:
                await _refuse(send)

    return guard


def _length(scope: dict[str, Any]) -> int:
    said = dict(scope["headers"]).get(b"content-length", b"")
    return int(said) if said.isdigit() else 0


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(_said()).encode()})


def _said() -> dict[str, str]:
    return {"detail": f"The body is larger than {conf().max_body_bytes} bytes."}


class BodyLimit:
    """The same for servers that speak WSGI; and a body that came in chunks gets its length.

    Without a length, the API would take it for none.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        said = request.META.get("CONTENT_LENGTH") or ""
        if said.isdigit() and int(said) > conf().max_body_bytes:
            return JsonResponse(_said(), status=413)
        if not said and "chunked" in request.headers.get("transfer-encoding", "").lower():
            request.META["CONTENT_LENGTH"] = str(len(request.body))
        return self.get_response(request)
