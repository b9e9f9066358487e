"""``/healthz``: whether work can be taken in, and not a word more."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from tasks_app.api.errors import RETRY_AFTER_SECONDS
from tasks_app.broker import broker, keys
from tasks_app.exceptions import TaskSystemError

KEPT_MS = 60_000


@require_safe
def check(request: HttpRequest) -> JsonResponse:
    """Write something to Redis, as a submit would; a full one refuses."""
    try:
        broker().link.call("SET", keys.key(0, "health"), "1", "PX", KEPT_MS)
    except TaskSystemError:
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        return JsonResponse({"status": "unavailable"}, status=503, headers=headers)
    return JsonResponse({"status": "ok"})
