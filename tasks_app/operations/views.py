"""The API's doors to bulk operations."""

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_201_CREATED

from ..api.permissions import OPERATE, VIEW
from ..api.schema import describe
from ..api.views import ApiView
from . import orders
from .serializers import (
    OperationMakeSerializer,
    OperationSerializer,
    OperationsQuerySerializer,
    OperationsSerializer,
    PreviewSerializer,
)
from .view import page, preview_shown, shown
from .words import Action


class OperationsView(ApiView):
    needs = {"GET": VIEW, "POST": OPERATE}

    @describe(
        OperationsSerializer, 400,
        parameters=[OperationsQuerySerializer], operation_id="operations_list",
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """List the bulk operations, the newest first."""
        asked = self.validated(OperationsQuerySerializer, self.query())
        return Response(page(asked.get("cursor", ""), asked["limit"]))

    @describe(
        OperationSerializer, 400,
        code=201, also=200, also_answer=PreviewSerializer, body=OperationMakeSerializer,
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Do something with all tasks that a filter finds; or, in a dry run, only look."""
        asked = self.validated(OperationMakeSerializer, self.body())
        action, words = Action(asked["action"]), asked["filter"]
        parameters = {n: asked[n] for n in ("priority", "queue") if n in asked}
        try:
            if asked.get("dry_run"):
                return Response(preview_shown(action, orders.look(action, words, parameters)))
            made = orders.begin(action, words, parameters, who=str(request.user))
        except ValidationError as error:
            raise ValidationError({"filter": error.detail}) from error
        return Response(shown(made), HTTP_201_CREATED)


class OperationView(ApiView):
    needs = {"GET": VIEW}

    @describe(OperationSerializer, 404)
    def get(self, request: Request, operation_id: str) -> Response:
        """Tell how far a bulk operation is."""
        return Response(shown(orders.must_find(operation_id)))


class OperationCancelView(ApiView):
    needs = {"POST": OPERATE}

    @describe(OperationSerializer, 404, 409)
    def post(self, request: Request, operation_id: str) -> Response:
        """Do no more of it; what is done stays so."""
        return Response(shown(orders.cancel(operation_id, by=str(request.user))))
