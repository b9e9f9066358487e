"""Who sits at this machine: in the development profile such a request needs no login.

Three things must hold: the peer's address is a loopback one, the Host that it asked for is too
(else a foreign name was made to point here), and no proxy has passed the request on. A web page of
somebody else, open in a browser on this machine, passes all three; its Origin gives it away.
"""

import ipaddress
from collections.abc import Mapping

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.http.request import split_domain_port

FORWARDED = {"forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip"}


class LocalUser(AnonymousUser):
    """Somebody at this machine. May do everything with tasks, nothing in the admin."""

    is_authenticated = True
    username = "local"

    def __str__(self) -> str:
        return self.username

    def has_perm(self, perm: str, obj: object = None) -> bool:
        return perm.startswith("tasks_app.")


def is_local(peer: str, headers: Mapping[str, str]) -> bool:
    """Whether a request comes from this machine. Keys of ``headers`` are lower case."""
    return (
        bool(getattr(settings, "DTPS_LOCAL_ACCESS", False))
        and _is_loopback(peer)
        and _is_loopback_name(headers.get("host", ""))
        and not any(name in FORWARDED or name.startswith("x-forwarded") for name in headers)
    )


def is_same_site(headers: Mapping[str, str], scheme: str, *, safe: bool) -> bool:
    """Whether no foreign web page is behind a request; ``safe``: its method changes nothing."""
    origin = headers.get("origin")
    if origin is not None:
        own = f"{scheme}://{headers.get('host', '')}"
        return origin == own or origin in getattr(settings, "CORS_ALLOWED_ORIGINS", ())
    if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return True
    return safe and headers.get("sec-fetch-mode") == "navigate"  # somebody followed a link


def admits(request: HttpRequest) -> bool:
    """Whether a request is let in without a login."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    safe = request.method in ("GET", "HEAD", "OPTIONS")
    return is_local(request.META.get("REMOTE_ADDR", ""), headers) and is_same_site(
        headers, request.scheme, safe=safe
    )


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _is_loopback_name(host: str) -> bool:
    name, _ = split_domain_port(host)  # "" for what is no host, such as user@localhost
    return name == "localhost" or _is_loopback(name.strip("[]"))
