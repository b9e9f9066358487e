"""Content-Security-Policy: our pages run our own files and nothing else."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

HEADER = "Content-Security-Policy"

# Scripts, styles and fonts are files of ours; nothing is inline, and no text becomes markup.
STRICT = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
}
# The admin's Alpine evaluates expressions; it and the API's browser are not free of inline styles.
LOOSE = {
    "default-src": "'self'",
    "script-src": "'self' 'unsafe-inline' 'unsafe-eval'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
LOOSE_PATHS = ("/admin/", "/api/docs", "/api/schema")


class ContentSecurityPolicy:
    """Adds the policy to each answer that has none."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if HEADER not in response:
            response[HEADER] = policy(request, response.status_code)
        return response


def policy(request: HttpRequest, status: int) -> str:
    """The policy for an answer, as the header says it."""
    is_debug_page = settings.DEBUG and status in (400, 404, 500)  # styles and scripts are inline
    if is_debug_page or request.path.startswith(LOOSE_PATHS):
        return _text(LOOSE)
    if status >= 400:
        return _text(STRICT)
    # Named, since older browsers do not count a socket as 'self'.
    socket = f"{'wss' if request.is_secure() else 'ws'}://{request.get_host()}"
    return _text(STRICT | {"connect-src": f"'self' {socket}"})


def _text(directives: dict[str, str]) -> str:
    return "; ".join(f"{name} {values}" for name, values in directives.items())
