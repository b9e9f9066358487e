"""The API's doors to tasks: validate, one call, answer."""

import re
from typing import Any

from django.http import QueryDict
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_200_OK, HTTP_201_CREATED, HTTP_204_NO_CONTENT
from rest_framework.views import APIView

from .. import actions, listing, lookup, registry
from ..broker import broker
from ..conf import conf
from ..listing import Wanted
from ..message import level_of
from ..options.backoff import shown_backoff
from ..options.unique import idempotency_error
from ..registry import TaskType
from ..why import explain
from . import submission
from .fields import QUEUE
from .permissions import OPERATE, SUBMIT, VIEW
from .queue_view import queue_shown
from .rest_view import OurRest
from .schema import IDEMPOTENCY_KEY, TASK_ID, describe
from .serializers.listing import PageQuerySerializer, PageSerializer
from .serializers.queue import PausedSerializer, QueueSerializer, TaskTypeSerializer
from .serializers.submit import (
    BulkSerializer,
    BulkSubmittedSerializer,
    SubmitSerializer,
    SubmittedSerializer,
)
from .serializers.task import (
    CancelledSerializer,
    LogSerializer,
    RetriedSerializer,
    StatusSerializer,
    TaskSerializer,
    WhySerializer,
)
from .task_view import all_of, log_of, row_of, status_of


class ApiView(OurRest, APIView):
    """``needs`` names the permission for each method; see ``permissions.MayDo``."""

    needs: dict[str, str] = {}

    @extend_schema(exclude=True)
    def options(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer with ``Allow`` alone."""
        return Response(status=HTTP_204_NO_CONTENT)

    def validated(self, serializer: type, data: Any) -> Any:
        """The data as the serializer gives it. Raise ValidationError."""
        found = serializer(data=data)
        found.is_valid(raise_exception=True)
        return found.validated_data

    def body(self) -> Any:
        """The request's JSON; an empty body is an empty object."""
        data = self.request.data
        return {} if isinstance(data, QueryDict) else data

    def query(self) -> dict[str, str]:
        """The parameters of the address, each given once."""
        twice = [name for name, values in self.request.query_params.lists() if len(values) > 1]
        if twice:
            raise ValidationError({name[:100]: ["Is given more than once."] for name in twice})
        return self.request.query_params.dict()

    def required(self, name: str) -> str:
        """A parameter of the address. Raise ValidationError if it is missing or empty."""
        value = self.query().get(name)
        if not value:
            raise ValidationError({name: [f"Add ?{name}=… to the address."]})
        return value


class SubmitView(ApiView):
    needs = {"POST": SUBMIT}

    @describe(
        SubmittedSerializer, 400, 409, 413,
        code=201, also=200, body=SubmitSerializer, parameters=[IDEMPOTENCY_KEY],
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Submit a task; 200 if it was there already."""
        (task,) = with_key(request, [self.validated(SubmitSerializer, self.body())])
        submitted = submission.submit(task)
        answer = {"taskId": submitted.id, "status": "queued"}
        if submitted.is_new:
            return Response(answer, HTTP_201_CREATED)
        return Response(answer | {"duplicate": True})


class BulkView(ApiView):
    needs = {"POST": SUBMIT}

    @describe(
        BulkSubmittedSerializer, 400, 409, 413,
        code=201, also=200, body=BulkSerializer, parameters=[IDEMPOTENCY_KEY],
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Submit up to 1,000 tasks, all of them or none; errors by index."""
        asked = self.validated(BulkSerializer, self.body())
        tasks = with_key(request, asked["tasks"])
        submitted = submission.submit_all(tasks, asked.get("durability"))
        answer = {"taskIds": [each.id for each in submitted], "status": "queued"}
        duplicates = [n for n, each in enumerate(submitted) if not each.is_new]
        if not duplicates:
            return Response(answer, HTTP_201_CREATED)
        is_news = len(duplicates) < len(submitted)
        return Response(
            answer | {"duplicates": duplicates}, HTTP_201_CREATED if is_news else HTTP_200_OK
        )


class StatusView(ApiView):
    needs = {"GET": VIEW}

    @describe(StatusSerializer, 400, 404, parameters=[TASK_ID])
    def get(self, request: Request) -> Response:
        """Tell what became of a task, from the moment that its submit returned."""
        return Response(status_of(actions.must_find(self.required("id"))))


class TasksView(ApiView):
    needs = {"GET": VIEW}

    @describe(PageSerializer, 400, parameters=[PageQuerySerializer], operation_id="tasks_list")
    def get(self, request: Request) -> Response:
        """List tasks, the newest first."""
        asked = self.validated(PageQuerySerializer, self.query())
        limit = asked.pop("limit")
        records, below = listing.page(Wanted(**asked), limit)
        return Response({"results": [row_of(record) for record in records], "next": below})


class TaskView(ApiView):
    needs = {"GET": VIEW}

    @describe(TaskSerializer, 404)
    def get(self, request: Request, task_id: str) -> Response:
        """Tell everything about a task, its attempts too."""
        task = actions.must_find(task_id)
        return Response(all_of(task, lookup.find_remarks(task_id, task.state)))


class LogView(ApiView):
    needs = {"GET": VIEW}

    @describe(LogSerializer, 404)
    def get(self, request: Request, task_id: str) -> Response:
        """Give the newest lines that a task logged, in all of its attempts."""
        task = actions.must_find(task_id)
        return Response(log_of(task_id, lookup.find_remarks(task_id, task.state)))


class WhyView(ApiView):
    needs = {"GET": VIEW}

    @describe(WhySerializer, 404)
    def get(self, request: Request, task_id: str) -> Response:
        """Say why a task does not run, or what became of it: in words, most telling first."""
        return Response(explain(task_id).to_json())


class CancelView(ApiView):
    needs = {"POST": OPERATE}

    @describe(CancelledSerializer, 404, 409)
    def post(self, request: Request, task_id: str) -> Response:
        """Cancel an open task; one that runs is interrupted, and what comes of it is dropped."""
        before = actions.cancel(task_id, by=str(request.user))
        return Response({"task_id": task_id, "status": "cancelled", "before": before.value})


class RetryView(ApiView):
    needs = {"POST": OPERATE}

    @describe(RetriedSerializer, 404, 409)
    def post(self, request: Request, task_id: str) -> Response:
        """Run a finished task once more, under the same id."""
        run = actions.retry(task_id)
        return Response({"task_id": task_id, "status": "pending", "run": run})


class TaskTypesView(ApiView):
    needs = {"GET": VIEW}

    @describe(TaskTypeSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List what can be submitted."""
        return Response([_type(each) for each in registry.task_types().values()])


class QueuesView(ApiView):
    needs = {"GET": VIEW}

    @describe(QueueSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List the queues and what waits in them."""
        return Response([queue_shown(queue) for queue in broker().stats().queues])


class PauseView(ApiView):
    needs = {"POST": OPERATE}

    @describe(PausedSerializer, 404)
    def post(self, request: Request, name: str) -> Response:
        """Give nothing out of a queue until it is resumed; what runs goes on."""
        broker().pause(_known_queue(name))
        return Response({"name": name, "paused": True})


class ResumeView(ApiView):
    needs = {"POST": OPERATE}

    @describe(PausedSerializer, 404)
    def post(self, request: Request, name: str) -> Response:
        """Give out of a queue again."""
        broker().resume(_known_queue(name))
        return Response({"name": name, "paused": False})


@extend_schema(exclude=True)
class NoSuchView(ApiView):
    """Whatever else is asked for below /api/."""

    def http_method_not_allowed(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        raise NotFound("The API has no such address; /api/docs lists those that it has.")

    get = options = http_method_not_allowed


def with_key(request: Request, tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tasks with the header's key, and their index if they are several, unless they have their own.

    Raise ValidationError.
    """
    key = key_of(request)
    if key is None:
        return tasks
    if len(tasks) == 1:
        return [{"idempotencyKey": key, **tasks[0]}]
    return [{"idempotencyKey": f"{key}#{n}", **task} for n, task in enumerate(tasks)]


def key_of(request: Request) -> str | None:
    """The header's idempotency key. Raise ValidationError."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and len(key) > 1 and key[0] == key[-1] == '"':  # as HTTP writes a text
        key = key[1:-1]
    if sentence := idempotency_error(key):
        raise ValidationError({"Idempotency-Key": [sentence]})
    return key


def _type(task_type: TaskType) -> dict[str, Any]:
    return {
        "name": task_type.name,
        "description": task_type.doc,
        "queue": task_type.queue,
        "priority": level_of(task_type.priority),
        "retries": submission.retries_of(task_type),
        "backoff": shown_backoff(task_type.options.get("backoff", conf().backoff_seconds)),
        "timeout": task_type.timeout or 0.0,
        "is_async": task_type.is_async,
    }


def _known_queue(name: str) -> str:
    """A queue that there is, or could be. Raise NotFound for any other name."""
    if re.fullmatch(QUEUE, name, re.ASCII) or name in {q.name for q in broker().stats().queues}:
        return name
    raise NotFound("There is no such queue.")
