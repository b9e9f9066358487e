"""The API's doors to workflows."""

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_201_CREATED

from ..api.permissions import OPERATE, SUBMIT, VIEW
from ..api.schema import IDEMPOTENCY_KEY, describe
from ..api.views import ApiView, key_of
from . import view
from .result import WorkflowResult, get_workflow
from .serializers import (
    GraphSerializer,
    WorkflowCancelledSerializer,
    WorkflowPageQuerySerializer,
    WorkflowPageSerializer,
    WorkflowQuerySerializer,
    WorkflowRetriedSerializer,
    WorkflowSubmitSerializer,
    WorkflowSubmittedSerializer,
    WorkflowTasksSerializer,
)
from .submission import submit


class WorkflowsView(ApiView):
    needs = {"GET": VIEW, "POST": SUBMIT}

    @describe(
        WorkflowPageSerializer, 400,
        parameters=[WorkflowPageQuerySerializer], operation_id="workflows_list",
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """List workflows, the newest first."""
        asked = self.validated(WorkflowPageQuerySerializer, self.query())
        results, below = view.page(asked["cursor"], asked["limit"])
        return Response({"results": results, "next": below})

    @describe(
        WorkflowSubmittedSerializer, 400, 413,
        code=201, also=200, body=WorkflowSubmitSerializer, parameters=[IDEMPOTENCY_KEY],
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Submit tasks of which some wait for others, all of them or none."""
        asked = self.validated(WorkflowSubmitSerializer, self.body())
        submitted = submit(asked, key_of(request))
        answer = {
            "workflowId": submitted.workflow.id,
            "taskIds": submitted.workflow.task_ids,
            "status": "queued",
        }
        if submitted.is_new:
            return Response(answer, HTTP_201_CREATED)
        return Response(answer | {"duplicate": True})


class WorkflowView(ApiView):
    needs = {"GET": VIEW}

    @describe(WorkflowTasksSerializer, 400, 404, parameters=[WorkflowQuerySerializer])
    def get(self, request: Request, workflow_id: str) -> Response:
        """Tell how far a workflow is, and some of its tasks."""
        asked = self.validated(WorkflowQuerySerializer, self.query())
        record = get_workflow(workflow_id).record
        tasks, after = view.tasks(record.id, asked["cursor"], asked["limit"], asked.get("status"))
        return Response(view.shown(record) | {"tasks": tasks, "next": after})


class WorkflowGraphView(ApiView):
    needs = {"GET": VIEW}

    @describe(GraphSerializer, 404)
    def get(self, request: Request, workflow_id: str) -> Response:
        """Give a workflow as it is drawn: who waits for whom; of many tasks in groups."""
        return Response(view.graph(get_workflow(workflow_id).record))


class WorkflowCancelView(ApiView):
    needs = {"POST": OPERATE}

    @describe(WorkflowCancelledSerializer, 404, 409)
    def post(self, request: Request, workflow_id: str) -> Response:
        """Cancel all tasks of a workflow that are open."""
        cancelled = WorkflowResult(workflow_id).cancel(by=str(request.user))
        return Response({"id": workflow_id, "cancelled": cancelled})


class WorkflowRetryView(ApiView):
    needs = {"POST": OPERATE}

    @describe(WorkflowRetriedSerializer, 404)
    def post(self, request: Request, workflow_id: str) -> Response:
        """Run its tasks that failed, expired or were cancelled once more, parents first."""
        done = WorkflowResult(workflow_id).retry()
        return Response({"id": workflow_id, "retried": done.tasks, "refused": done.refused})
