"""Whether the person behind a socket may see what goes on."""

from importlib import import_module

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest, parse_cookie

from tasks_app.api.loopback import is_local
from tasks_app.api.permissions import VIEW

from .origins import Scope, all_headers, peer


def may_view(scope: Scope) -> bool:
    """Ask anew each time: a login ends, a password changes, a permission is withdrawn."""
    headers = all_headers(scope)
    if is_local(peer(scope), headers):
        return True
    return _session_user_may_view(headers.get("cookie", ""))


def _session_user_may_view(cookie: str) -> bool:
    key = parse_cookie(cookie).get(settings.SESSION_COOKIE_NAME)
    if not key:
        return False
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    return get_user(request).has_perm(VIEW)
