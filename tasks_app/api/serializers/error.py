"""What an answer holds that refuses something."""

from rest_framework import serializers


class ErrorSerializer(serializers.Serializer):
    """What was wrong: a sentence in `detail`, or sentences by field."""

    detail = serializers.CharField(required=False)
    code = serializers.CharField(required=False)
