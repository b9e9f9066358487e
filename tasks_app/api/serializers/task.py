"""What answers about one task hold."""

from rest_framework import serializers

from ...states import Status
from ..fields import JSONListField, JSONObjectField, JSONValueField, SensitiveField


class TaskMetricsSerializer(serializers.Serializer):
    processing_time = serializers.IntegerField(help_text="Nanoseconds.")
    queue_wait_time = serializers.IntegerField(help_text="Nanoseconds.")
    memory_usage = serializers.IntegerField(help_text="Bytes.")
    cpu_time = serializers.FloatField(help_text="Seconds.")


class StatusSerializer(serializers.Serializer):
    """What became of a task so far."""

    task_id = serializers.CharField()
    status = serializers.ChoiceField(choices=Status.choices)
    output = JSONValueField(help_text="What the task returned.")
    error = serializers.CharField(help_text="Of the last attempt; empty if it did not fail.")
    start_time = serializers.DateTimeField(allow_null=True, help_text="Of the last attempt.")
    end_time = serializers.DateTimeField(allow_null=True, help_text="Of the task.")
    retry_count = serializers.IntegerField()
    worker_id = serializers.CharField(help_text="Of the last attempt; empty if there was none.")
    metrics = TaskMetricsSerializer()
    deadline_missed = serializers.BooleanField(help_text="It ended after its deadline.")


class AttemptSerializer(serializers.Serializer):
    number = serializers.IntegerField()
    run = serializers.IntegerField()
    worker_id = serializers.CharField()
    start_time = serializers.DateTimeField(allow_null=True)
    end_time = serializers.DateTimeField(allow_null=True)
    outcome = serializers.CharField(
        help_text="A final status, retrying, pending (given back, nothing counted), scheduled "
        "(snoozed, nothing counted) or crashed."
    )
    snoozes = serializers.IntegerField(help_text="In a row, of which this is the last; mostly 0.")
    error_type = serializers.CharField()
    error = serializers.CharField()
    traceback = serializers.CharField(
        help_text="Of a crash: the last lines that its process logged."
    )
    cpu_time = serializers.FloatField(help_text="Seconds.")
    memory_usage = serializers.IntegerField(help_text="Bytes.")


class ProgressSerializer(serializers.Serializer):
    """How far a task is, as it said last."""

    done = serializers.FloatField()
    total = serializers.FloatField(allow_null=True)
    note = serializers.CharField()
    at = serializers.DateTimeField()
    run = serializers.IntegerField()
    attempt = serializers.IntegerField()


class TaskSerializer(StatusSerializer):
    """A task with all that is known of it."""

    task_type = serializers.CharField()
    args = JSONListField(help_text="Those that are sensitive are `[redacted]`.")
    kwargs = JSONObjectField()
    sensitive = SensitiveField(help_text="Names of arguments and `return`; true: all of that.")
    queue = serializers.CharField()
    priority = serializers.IntegerField(help_text="1 to 10.")
    submitted_at = serializers.DateTimeField()
    run_after = serializers.DateTimeField(allow_null=True)
    deadline = serializers.DateTimeField(allow_null=True)
    expires = serializers.DateTimeField(allow_null=True)
    retries = serializers.IntegerField(help_text="That it may have.")
    backoff = JSONValueField(help_text="As a submit gives it.")
    retry_on = serializers.ListField(
        child=serializers.CharField(), help_text="Dotted paths of exceptions; none: all."
    )
    give_up_on = serializers.ListField(child=serializers.CharField())
    timeout = serializers.FloatField(help_text="Seconds; 0: no bound.")
    tags = serializers.ListField(child=serializers.CharField())
    unique = JSONValueField(help_text="As a submit gives it; null: it is not.")
    debounce = serializers.FloatField(help_text="Seconds; 0: it did not wait.")
    idempotency_key = serializers.CharField(help_text="Empty: it has none.")
    rate = serializers.CharField(help_text="Most starts in some time; empty: no bound.")
    concurrency = serializers.IntegerField(help_text="Most at once; 0: no bound.")
    limit = serializers.CharField(help_text="What has these limits; empty: nothing.")
    workflow = serializers.CharField(help_text="Its id; empty: it belongs to none.")
    depends_on = serializers.ListField(
        child=serializers.CharField(), help_text="Tasks that it waited for; the first 100."
    )
    if_parent_fails = serializers.CharField()
    takes_results = serializers.BooleanField()
    run = serializers.IntegerField(help_text="Grows when a finished task is retried.")
    crashes = serializers.IntegerField(help_text="Of processes that ran it; no failures.")
    note = serializers.CharField(
        help_text="What holds it up, or ended it, where the status does not say so; or empty."
    )
    progress = ProgressSerializer(allow_null=True, help_text="null: it told none.")
    checkpoint = JSONValueField(help_text="The `state` that it saved last; null: none.")
    attempts = AttemptSerializer(many=True)


class LineSerializer(serializers.Serializer):
    at = serializers.DateTimeField()
    level = serializers.CharField(help_text="Such as INFO.")
    logger = serializers.CharField(help_text="Empty: told by `context.log`.")
    text = serializers.CharField()
    run = serializers.IntegerField()
    attempt = serializers.IntegerField()


class LogSerializer(serializers.Serializer):
    """What a task logged."""

    task_id = serializers.CharField()
    lines = LineSerializer(many=True, help_text="Oldest first.")
    dropped = serializers.IntegerField(help_text="Older lines that are not kept.")


class ReasonSerializer(serializers.Serializer):
    code = serializers.CharField(help_text="For programs, such as `queue_paused` or `behind`.")
    sentence = serializers.CharField(help_text="For people.")
    numbers = serializers.DictField(help_text="What the sentence is made of.")


class WhySerializer(serializers.Serializer):
    """Why a task is where it is."""

    task_id = serializers.CharField()
    status = serializers.ChoiceField(choices=Status.choices)
    reasons = ReasonSerializer(many=True, help_text="The most telling first; never empty.")


class CancelledSerializer(serializers.Serializer):
    task_id = serializers.CharField()
    status = serializers.CharField(help_text="`cancelled`")
    before = serializers.ChoiceField(choices=Status.choices)


class RetriedSerializer(serializers.Serializer):
    task_id = serializers.CharField()
    status = serializers.CharField(help_text="`pending`")
    run = serializers.IntegerField()
