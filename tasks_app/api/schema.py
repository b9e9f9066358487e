"""The OpenAPI description: who may ask, what is answered, and what each error looks like."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.renderers import OpenApiJsonRenderer2, OpenApiYamlRenderer2
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.renderers import BaseRenderer, JSONRenderer, TemplateHTMLRenderer
from rest_framework.response import Response

from .permissions import VIEW
from .rest_view import OurRest
from .serializers.error import ErrorSerializer

SENTENCES = {
    400: "A field is wrong; sentences by field. Nothing was done.",
    401: "No login, or a token that is not valid.",
    403: "Not permitted.",
    404: "There is no such thing.",
    409: "The state of the task, or of the worker, does not allow this.",
    413: "The body or the payload is too large.",
    503: "Redis, the history, an agent or the worker does not answer; `Retry-After` says when to "
    "try again.",
}
TASK_ID = OpenApiParameter("id", OpenApiTypes.STR, required=True, description="The task's id.")
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="A text of the caller's own, new for each submit. Whoever got no answer repeats "
    "the call with it: what was stored by then is not stored again.",
)


def describe(
    answer: Any,
    *errors: int,
    code: int = 200,
    also: int = 0,
    also_answer: Any = None,
    body: Any = None,
    **more: Any,
) -> Callable[[Any], Any]:
    """Describe an operation; 401, 403 and 503 are answers of every one.

    ``also``: another code, with the same answer or ``also_answer``.
    """
    responses = (
        {code: answer}
        | ({also: also_answer or answer} if also else {})
        | {
            each: OpenApiResponse(ErrorSerializer, SENTENCES[each])
            for each in sorted({*errors, 401, 403, 503})
        }
    )
    return extend_schema(request=body, responses=responses, **more)


def one_of_each(endpoints: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Leave out our addresses with a slash at the end: they are the same ones."""
    return [
        (path, *others, view)
        for path, *others, view in endpoints
        if not (path.endswith("/") and issubclass(view.cls, OurRest))
    ]


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = "tasks_app.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token <key>`; `manage.py createtoken` makes one.",
        }


class SchemaView(OurRest, SpectacularAPIView):
    """The description itself, as JSON, or as YAML if that is asked for."""

    renderer_classes: list[type[BaseRenderer]] = [OpenApiJsonRenderer2, OpenApiYamlRenderer2]
    needs = {"GET": VIEW}


class DocsView(OurRest, SpectacularSwaggerSplitView):
    """The description to browse and try, with scripts of our own server only."""

    template_name = "tasks_app/api_docs.html"
    renderer_classes: list[type[BaseRenderer]] = [TemplateHTMLRenderer]
    http_method_names = ["get", "head"]  # OPTIONS would have no template
    needs = {"GET": VIEW}

    def handle_exception(self, error: Exception) -> Response:
        """Errors are JSON here too."""
        self.request.accepted_renderer = JSONRenderer()
        self.request.accepted_media_type = JSONRenderer.media_type
        return super().handle_exception(error)
