"""Fields that take a value of their own type or none at all: "5", 5.0 and true are no integers."""

import math
import re
from datetime import datetime
from typing import Any

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from .message import moment, us_of
from .parsers import walk

QUEUE = r"[a-z0-9][a-z0-9_.-]{0,63}"

_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(:\d\d)?(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)?", re.ASCII
)


class IntegerField(serializers.IntegerField):
    """A JSON integer."""

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("invalid")
        return data


class NumberField(serializers.FloatField):
    """A JSON number."""

    def to_internal_value(self, data: Any) -> float:
        if type(data) not in (int, float):
            self.fail("invalid")
        try:
            value = float(data)
        except OverflowError:
            self.fail("invalid")
        return value if math.isfinite(value) else self.fail("invalid")


class BooleanField(serializers.BooleanField):
    """true or false."""

    def to_internal_value(self, data: Any) -> bool:
        if type(data) is not bool:
            self.fail("invalid", input=data)
        return data


class TextField(serializers.CharField):
    """A JSON string without NUL and lone surrogates, as it is written."""

    def __init__(self, **options: Any):
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        if type(data) is not str:
            self.fail("invalid")
        return data


class QueueField(TextField):
    """The name of a queue."""

    default_error_messages = {"queue": "A queue's name matches {pattern}."}

    def to_internal_value(self, data: Any) -> str:
        if not re.fullmatch(QUEUE, super().to_internal_value(data), re.ASCII):
            self.fail("queue", pattern=QUEUE)
        return data


@extend_schema_field({"oneOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]})
class MomentField(serializers.Field):
    """RFC 3339, or what ``datetime-local`` gives, in the server's time zone. Microseconds; 0: none.

    An empty text is none: that is what an empty form field sends.
    """

    default_error_messages = {
        "invalid": "Not a moment as RFC 3339 has it, such as 2030-01-30T15:04:05Z.",
    }

    def __init__(self, **options: Any):
        super().__init__(required=False, allow_null=True, **options)

    def to_internal_value(self, data: Any) -> int:
        if data == "":
            return 0
        found = _MOMENT.fullmatch(data) if type(data) is str else None
        if found is None:
            self.fail("invalid")
        try:
            us = _microseconds(*found.groups())
            moment(us)
        except (ValueError, OverflowError):
            self.fail("invalid")
        return us


def _microseconds(
    day: str, minute: str, second: str | None, fraction: str | None, zone: str | None
) -> int:
    at = datetime.fromisoformat(f"{day}T{minute}{second or ':00'}")
    at = at.replace(microsecond=int((fraction or "").ljust(6, "0")[:6]))
    if zone is None:
        at = timezone.make_aware(at)
    else:
        offset = "+00:00" if zone in "Zz" else zone
        at = datetime.fromisoformat(f"{at.isoformat()}{offset}")
    return us_of(at)


@extend_schema_field(OpenApiTypes.ANY)
class JSONValueField(serializers.Field):
    """Any JSON value, null too."""

    default_error_messages = {
        "nul": "Contains the character NUL, which no database keeps.",
        "surrogate": "Contains half of a surrogate pair, which is no text.",
    }

    def __init__(self, **options: Any):
        super().__init__(**{"required": False, "allow_null": True} | options)

    def to_internal_value(self, data: Any) -> Any:
        for scalar in walk(data):
            if isinstance(scalar, str):
                self._check(scalar)
        return data

    def to_representation(self, value: Any) -> Any:
        return value

    def _check(self, text: str) -> None:
        if "\0" in text:
            self.fail("nul")
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                self.fail("surrogate")


@extend_schema_field({"type": "array", "items": {}})
class JSONListField(JSONValueField):
    """A JSON array."""

    default_error_messages = {"list": "Not an array."}

    def __init__(self, **options: Any):
        super().__init__(allow_null=False, **options)

    def to_internal_value(self, data: Any) -> list[Any]:
        if not isinstance(data, list):
            self.fail("list")
        return super().to_internal_value(data)


@extend_schema_field({"type": "object", "additionalProperties": {}})
class JSONObjectField(JSONValueField):
    """A JSON object."""

    default_error_messages = {"object": "Not an object."}

    def __init__(self, **options: Any):
        super().__init__(allow_null=False, **options)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            self.fail("object")
        return super().to_internal_value(data)
