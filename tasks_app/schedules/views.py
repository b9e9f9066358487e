"""The API's doors to schedules."""

from collections.abc import Iterator
from contextlib import contextmanager

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from ..api.permissions import OPERATE, VIEW
from ..api.schema import describe
from ..api.views import ApiView
from ..exceptions import InvalidCall
from . import operations
from .definition import Definition, project_zone
from .models import Schedule
from .serializers import (
    API_NAMES,
    FiringSerializer,
    FiringsQuerySerializer,
    RanSerializer,
    ScheduleChangeSerializer,
    ScheduleListedSerializer,
    ScheduleMakeSerializer,
    ScheduleSerializer,
    columns_of,
)
from .view import firings, shown, shown_all


class SchedulesView(ApiView):
    needs = {"GET": VIEW, "POST": OPERATE}

    @describe(ScheduleListedSerializer(many=True), operation_id="schedules_list")
    def get(self, request: Request) -> Response:
        """List the schedules by name, with the newest firing of each."""
        return Response(shown_all(Schedule.objects.order_by("name")))

    @describe(ScheduleSerializer, 400, code=201, body=ScheduleMakeSerializer)
    def post(self, request: Request) -> Response:
        """Make a schedule."""
        asked = self.validated(ScheduleMakeSerializer, self.body())
        columns = {"timezone": project_zone()} | columns_of(asked)
        with _api_names():
            made = operations.create(Definition(**columns), enabled=asked.get("enabled", True))
        return Response(shown(made), HTTP_201_CREATED)


class ScheduleView(ApiView):
    needs = {"GET": VIEW, "PATCH": OPERATE, "DELETE": OPERATE}

    @describe(ScheduleSerializer, 404)
    def get(self, request: Request, name: str) -> Response:
        """Tell everything about a schedule."""
        return Response(shown(operations.must_find(name)))

    @describe(ScheduleSerializer, 400, 404, 409, body=ScheduleChangeSerializer)
    def patch(self, request: Request, name: str) -> Response:
        """Change fields of a schedule that an operator has made."""
        asked = self.validated(ScheduleChangeSerializer, self.body())
        with _api_names():
            changed = operations.change(name, columns_of(asked))
        return Response(shown(changed))

    @describe(None, 404, 409, code=204)
    def delete(self, request: Request, name: str) -> Response:
        """Delete a schedule with its history; its tasks stay."""
        operations.delete(name)
        return Response(status=HTTP_204_NO_CONTENT)


class ScheduleRunView(ApiView):
    needs = {"POST": OPERATE}

    @describe(RanSerializer, 400, 404, code=201)
    def post(self, request: Request, name: str) -> Response:
        """Submit its task once, at once, also while it is paused."""
        with _api_names():
            fired = operations.run_now(name)
        return Response({"taskId": fired.task_id, "status": "queued"}, HTTP_201_CREATED)


class SchedulePauseView(ApiView):
    needs = {"POST": OPERATE}

    @describe(ScheduleSerializer, 404)
    def post(self, request: Request, name: str) -> Response:
        """Fire none of its slots until it is resumed."""
        return Response(shown(operations.set_enabled(name, False)))


class ScheduleResumeView(ApiView):
    needs = {"POST": OPERATE}

    @describe(ScheduleSerializer, 404)
    def post(self, request: Request, name: str) -> Response:
        """Fire its slots from now on; those of the pause are not caught up."""
        return Response(shown(operations.set_enabled(name, True)))


class FiringsView(ApiView):
    needs = {"GET": VIEW}

    @describe(FiringSerializer(many=True), 400, 404, parameters=[FiringsQuerySerializer])
    def get(self, request: Request, name: str) -> Response:
        """List what became of its slots, the newest first."""
        asked = self.validated(FiringsQuerySerializer, self.query())
        return Response(firings(operations.must_find(name), asked["limit"]))


@contextmanager
def _api_names() -> Iterator[None]:
    """Errors name fields as the API does."""
    try:
        yield
    except InvalidCall as error:
        errors = {API_NAMES.get(name, name): said for name, said in error.errors.items()}
        raise InvalidCall(errors) from error
