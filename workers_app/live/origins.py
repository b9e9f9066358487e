"""Who may open a socket at all: our own pages, addressed by a name that is ours.

A browser sends its cookies along with a socket that any page opens, so the origin decides; and it
has to be exact, since another port or scheme of this host is another site. This is decided from
the headers alone, before Redis or the database hears of the connection.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from tasks_app.api.loopback import is_local

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def own_origin_only(application: Application) -> Application:
    """Answer 403 to sockets that are not opened by our own pages."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if may_connect(scope):
            await application(scope, receive, send)
        else:
            await refuse(scope, receive, send)

    return guard


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer 403 instead of accepting."""
    await receive()
    await send({"type": "websocket.close"})


def may_connect(scope: Scope) -> bool:
    """Whether host and origin are ours; no origin is right only for a program on this machine."""
    headers = all_headers(scope)
    host = headers.get("host", "")
    if not _is_own_host(host):
        return False
    if "origin" not in headers:
        return is_local(peer(scope), headers)
    return headers["origin"] in {_own_origin(scope, host), *settings.CSRF_TRUSTED_ORIGINS}


def all_headers(scope: Scope) -> dict[str, str]:
    """The headers by lower-case name; those sent twice are joined, and so match nothing."""
    headers: dict[str, str] = {}
    for name, value in scope.get("headers", []):
        key, text = name.decode("latin1").lower(), value.decode("latin1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def peer(scope: Scope) -> str:
    """The address at the other end; "" for a Unix socket."""
    return (scope.get("client") or [""])[0]


def _is_own_host(host: str) -> bool:
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


def _own_origin(scope: Scope, host: str) -> str:
    return f"{_scheme(scope)}://{host}"


def _scheme(scope: Scope) -> str:
    """As the browser sees it; a proxy that ends TLS says so in the configured header."""
    if settings.SECURE_PROXY_SSL_HEADER:
        name, secure = settings.SECURE_PROXY_SSL_HEADER
        value = all_headers(scope).get(name.removeprefix("HTTP_").replace("_", "-").lower())
        return "https" if value == secure else "http"
    return "https" if scope.get("scheme") == "wss" else "http"
