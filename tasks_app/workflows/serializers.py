"""What requests about workflows may hold, and what answers hold."""

from typing import Any

from rest_framework import serializers

from ..api.fields import IdsField, TextField
from ..api.serializers.strict import LONGEST_NAME, StrictSerializer
from ..api.serializers.submit import SubmitSerializer, by_index, durability
from ..states import Status
from .policies import OnFailure

MOST_TASKS = 10_000  # of one call
PAGE, MOST_ON_PAGE = 20, 100
TASKS_PAGE, MOST_TASKS_ON_PAGE = 100, 1000


class WorkflowTaskSerializer(SubmitSerializer):
    """A task of a workflow: as a submit, with a name."""

    name = TextField(max_length=LONGEST_NAME, help_text="Unique in the workflow.")
    after = IdsField(
        required=False,
        help_text="The name of a task that it waits for, or the id of one outside; or a list.",
    )
    dependsOn = None
    durability = None


class WorkflowSubmitSerializer(StrictSerializer):
    """A workflow to submit, wholly or not at all."""

    name = TextField(required=False, allow_blank=True, max_length=LONGEST_NAME)
    onFailure = serializers.ChoiceField(
        OnFailure.choices, required=False,
        help_text="When a task fails: `continue` with what does not depend on it (default), or "
        "`cancel` all that is open.",
    )  # fmt: skip
    tasks = WorkflowTaskSerializer(many=True, allow_empty=False, max_length=MOST_TASKS)
    durability = durability()

    def to_internal_value(self, data: Any) -> Any:
        try:
            return super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError(by_index(error.detail)) from error


class WorkflowSubmittedSerializer(serializers.Serializer):
    workflowId = serializers.CharField()
    taskIds = serializers.DictField(child=serializers.CharField(), help_text="By name.")
    status = serializers.CharField(help_text="`queued`")
    duplicate = serializers.BooleanField(
        required=False, help_text="Only if nothing was stored (200): it was there already."
    )


class WorkflowSerializer(serializers.Serializer):
    """How far a workflow is."""

    id = serializers.CharField()
    name = serializers.CharField()
    created_at = serializers.DateTimeField()
    cancelled_at = serializers.DateTimeField(
        allow_null=True, help_text="null: it was not, or was retried since."
    )
    on_failure = serializers.ChoiceField(OnFailure.choices)
    total = serializers.IntegerField(help_text="Of its tasks.")
    done = serializers.IntegerField(help_text="Tasks that have ended, however.")
    layers = serializers.IntegerField(help_text="Tasks of the longest way through it.")
    state = serializers.CharField(help_text="`open`, `completed`, `failed` or `cancelled`.")
    statuses = serializers.DictField(
        child=serializers.IntegerField(), help_text="How many tasks have which status."
    )


class WorkflowPageQuerySerializer(StrictSerializer):
    cursor = serializers.CharField(
        default="", max_length=64, help_text="`next` of the page before."
    )
    limit = serializers.IntegerField(
        default=PAGE, min_value=1, max_value=MOST_ON_PAGE, help_text="Workflows on the page."
    )


class WorkflowPageSerializer(serializers.Serializer):
    """The newest workflows first."""

    results = WorkflowSerializer(many=True)
    next = serializers.CharField(
        allow_null=True, help_text="The `cursor` of the next page; null: this was the last one."
    )


class MemberSerializer(serializers.Serializer):
    task_id = serializers.CharField()
    name = serializers.CharField()
    task_type = serializers.CharField()
    layer = serializers.IntegerField(help_text="0: it waits for no other task of the workflow.")
    status = serializers.ChoiceField(choices=Status.choices)


class WorkflowQuerySerializer(StrictSerializer):
    cursor = serializers.IntegerField(
        default=-1, min_value=-1, help_text="`next` of the page before."
    )
    limit = serializers.IntegerField(
        default=TASKS_PAGE,
        min_value=1,
        max_value=MOST_TASKS_ON_PAGE,
        help_text="Tasks on the page.",
    )
    status = serializers.ChoiceField(required=False, choices=Status.choices, help_text="Of tasks.")


class WorkflowTasksSerializer(WorkflowSerializer):
    """How far a workflow is, and some of its tasks."""

    tasks = MemberSerializer(many=True, help_text="Parents first.")
    next = serializers.IntegerField(
        allow_null=True, help_text="The `cursor` of the next tasks; null: these were the last ones."
    )


class NodeSerializer(serializers.Serializer):
    key = serializers.CharField(help_text="The task's id, or what a group has in common.")
    label = serializers.CharField()
    layer = serializers.IntegerField()
    statuses = serializers.DictField(child=serializers.IntegerField())


class GraphSerializer(serializers.Serializer):
    """A workflow as it is drawn."""

    grouped_by = serializers.CharField(
        help_text="`task`: each is a node; of over 150 `layer` or `type`: one for each type."
    )
    nodes = NodeSerializer(many=True)
    links = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField()), help_text="Pairs of keys."
    )


class WorkflowCancelledSerializer(serializers.Serializer):
    id = serializers.CharField()
    cancelled = serializers.IntegerField(help_text="Tasks that were open.")


class WorkflowRetriedSerializer(serializers.Serializer):
    id = serializers.CharField()
    retried = serializers.IntegerField(help_text="Tasks that run once more.")
    refused = serializers.DictField(child=serializers.CharField(), help_text="Why not, by task.")
