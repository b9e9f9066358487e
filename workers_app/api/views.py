"""The API's doors to workers and to the whole system."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_201_CREATED

from tasks_app.api.permissions import OPERATE, VIEW
from tasks_app.api.schema import describe
from tasks_app.api.views import ApiView

from ..agent import fleet_control
from ..control import PoolConfig
from ..live import decisions
from ..live import snapshot as live
from . import debug, metrics, steering
from .reset import reset
from .serializers import (
    DecisionSerializer,
    DecisionsQuerySerializer,
    MetricsSerializer,
    NothingSerializer,
    OrderedSerializer,
    PoolSerializer,
    ResetQuerySerializer,
    ResetSerializer,
    ScaledSerializer,
    ScaleSerializer,
    StacksSerializer,
    StartedSerializer,
    StartSerializer,
    StoppedSerializer,
)

WORKERS_BY_ID = {
    "type": "object",
    "additionalProperties": {"$ref": "#/components/schemas/Worker"},
}
WORKER_ID = OpenApiParameter("id", OpenApiTypes.STR, required=True, description="The worker's id.")


class OrderView(ApiView):
    """An order to one worker, without a body."""

    needs = {"POST": OPERATE}

    def ordered(self) -> str:
        """The id of the worker. Raise ValidationError if it is missing, or if there is a body."""
        self.validated(NothingSerializer, self.body())
        return self.required("id")


class WorkersView(ApiView):
    needs = {"GET": VIEW}

    @describe(WORKERS_BY_ID)
    def get(self, request: Request) -> Response:
        """Tell about every worker, by id."""
        return Response(live.workers())


class StartView(ApiView):
    needs = {"POST": OPERATE}

    @describe(StartedSerializer, 400, code=201, body=StartSerializer)
    def post(self, request: Request) -> Response:
        """Have a host agent start a worker."""
        config = PoolConfig.from_json(dict(self.validated(StartSerializer, self.body())))
        worker = fleet_control.start_worker(config)
        shown = {name: config.to_json()[name] for name in PoolSerializer().fields}
        answer = {"status": "Worker started", "config": shown, "id": worker}
        return Response(answer, HTTP_201_CREATED)


class StopView(ApiView):
    needs = {"POST": OPERATE}

    @describe(StoppedSerializer, 400, 404, parameters=[WORKER_ID])
    def post(self, request: Request) -> Response:
        """Let a worker finish what runs, give the rest back, and end."""
        worker = self.required("id")
        fleet_control.stop_worker(worker)
        return Response({"status": "Worker stopped", "id": worker})


class PauseView(OrderView):
    @describe(OrderedSerializer, 400, 404, 409, parameters=[WORKER_ID])
    def post(self, request: Request) -> Response:
        """Let a worker start nothing more until it is resumed; what runs goes on."""
        worker = self.ordered()
        steering.pause(worker)
        return Response({"status": "Worker paused", "id": worker})


class ResumeView(OrderView):
    @describe(OrderedSerializer, 400, 404, 409, parameters=[WORKER_ID])
    def post(self, request: Request) -> Response:
        """Let a paused worker start tasks again."""
        worker = self.ordered()
        steering.resume(worker)
        return Response({"status": "Worker resumed", "id": worker})


class RestartView(OrderView):
    @describe(OrderedSerializer, 400, 404, 409, parameters=[WORKER_ID])
    def post(self, request: Request) -> Response:
        """Have a worker drain and begin anew: with the code that is there now, under a new id."""
        worker = self.ordered()
        steering.restart(worker)
        return Response({"status": "Worker restarts", "id": worker})


class ScaleView(ApiView):
    needs = {"POST": OPERATE}

    @describe(ScaledSerializer, 400, 404, 409, body=ScaleSerializer, parameters=[WORKER_ID])
    def post(self, request: Request) -> Response:
        """Give a worker another number of slots; its autoscaler goes on from there."""
        worker = self.required("id")
        slots = self.validated(ScaleSerializer, self.body())["slots"]
        steering.scale(worker, slots)
        return Response({"status": "Worker scaled", "id": worker, "slots": slots})


class StacksView(ApiView):
    # The stacks of running tasks may show what they work on.
    needs = {"GET": OPERATE}

    @describe(StacksSerializer, 400, 404, 409, parameters=[WORKER_ID])
    def get(self, request: Request) -> Response:
        """Show what each running task of a worker is doing at this moment."""
        worker = self.required("id")
        return Response({"id": worker} | steering.stacks(worker))


class DecisionsView(ApiView):
    needs = {"GET": VIEW}

    @describe(DecisionSerializer(many=True), 400, parameters=[DecisionsQuerySerializer])
    def get(self, request: Request) -> Response:
        """List what the autoscalers decided, and why, the newest first."""
        asked = self.validated(DecisionsQuerySerializer, self.query())
        return Response(decisions.newest(asked["limit"], asked["id"]))


class MetricsView(ApiView):
    needs = {"GET": VIEW}

    @describe(MetricsSerializer)
    def get(self, request: Request) -> Response:
        """Count what waits, what was done, and who works."""
        return Response(metrics.numbers())


class DebugView(ApiView):
    needs = {"GET": VIEW}

    @describe(OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        """Show what is where; each list is cut, and `truncated` says which."""
        return Response(debug.look())


class ResetView(ApiView):
    needs = {"POST": OPERATE}

    @describe(ResetSerializer, 400, parameters=[ResetQuerySerializer])
    def post(self, request: Request) -> Response:
        """Cancel all that is open and count from zero; the history stays unless it is named."""
        asked = self.validated(ResetQuerySerializer, self.query())
        cancelled, deleted = reset(history=asked["history"], by=str(request.user))
        answer = {"status": "System reset successful", "cancelled": cancelled, "deleted": deleted}
        return Response(answer)
