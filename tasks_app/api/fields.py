"""Fields that take a value of their own type or none at all: "5", 5.0 and true are no integers."""

import math
import re
from datetime import datetime
from typing import Any

import msgspec
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ..message import moment, us_of
from ..options.backoff import KINDS, MOST_STEPS, Backoff, backoff_error
from ..options.dependence import depends_error
from ..options.limits import per_error
from ..options.unique import ON_DUPLICATE, Unique, unique_error
from ..secrecy.sensitive import sensitive_error
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


class NamesField(serializers.ListField):
    """A list of texts."""

    def __init__(self, **options: Any):
        super().__init__(required=False, child=TextField(max_length=255), **options)


@extend_schema_field(
    {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
)
class IdsField(serializers.Field):
    """The id of a task, or a list of some."""

    def to_internal_value(self, data: Any) -> str | list[str]:
        if sentence := depends_error(data):
            raise serializers.ValidationError(sentence)
        return data

    def to_representation(self, value: Any) -> Any:
        return value


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


@extend_schema_field(
    {
        "oneOf": [
            {"type": "number", "minimum": 0},
            {"type": "array", "items": {"type": "number", "minimum": 0}, "maxItems": MOST_STEPS},
            {
                "type": "object",
                "properties": {
                    "kind": {"type": "string", "enum": list(KINDS)},
                    "seconds": {"type": "number", "minimum": 0},
                    "steps": {"type": "array", "items": {"type": "number", "minimum": 0}},
                    "most": {"type": "number", "minimum": 0},
                },
                "required": ["kind"],
            },
        ]
    }
)
class BackoffField(serializers.Field):
    """The first of doubled pauses in seconds; a list of them; or what options/backoff.py has."""

    def to_internal_value(self, data: Any) -> float | list[float] | Backoff:
        value = self._object(data) if isinstance(data, dict) else data
        if value is None or (sentence := backoff_error(value)):
            raise serializers.ValidationError(sentence or "A backoff is a number, list or object.")
        return value

    def to_representation(self, value: Any) -> Any:
        return value

    def _object(self, data: dict[str, Any]) -> Backoff:
        if data.get("kind") not in KINDS or data.keys() - {"kind", "seconds", "steps", "most"}:
            raise serializers.ValidationError(
                f"Has kind, one of {', '.join(KINDS)}; and seconds, or steps; and most."
            )
        if (data["kind"] == "list") != ("steps" in data):
            raise serializers.ValidationError("A list has steps, and nothing else has.")
        try:
            return msgspec.convert(data, Backoff)
        except msgspec.ValidationError as error:
            raise serializers.ValidationError(str(error)) from error


@extend_schema_field(
    {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
)
class PerField(serializers.Field):
    """A text, or names of arguments."""

    def to_internal_value(self, data: Any) -> str | list[str]:
        if sentence := per_error(data):
            raise serializers.ValidationError(sentence)
        return data

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field(
    {"oneOf": [{"type": "boolean"}, {"type": "array", "items": {"type": "string"}}]}
)
class SensitiveField(serializers.Field):
    """true, or names of arguments."""

    def to_internal_value(self, data: Any) -> bool | list[str]:
        if sentence := sensitive_error(data):
            raise serializers.ValidationError(sentence)
        return data

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field(
    {
        "oneOf": [
            {"type": "boolean"},
            {"type": "array", "items": {"type": "string"}},
            {
                "type": "object",
                "properties": {
                    "on": {"type": "array", "items": {"type": "string"}},
                    "key": {"type": "string"},
                    "seconds": {"type": "number", "minimum": 0},
                    "duplicate": {"type": "string", "enum": list(ON_DUPLICATE)},
                },
            },
        ]
    }
)
class UniqueField(serializers.Field):
    """true, false, names of arguments, or an object as ``shown_unique`` makes one."""

    NAMES = {"on": "on", "key": "key", "seconds": "period", "duplicate": "on_duplicate"}

    def to_internal_value(self, data: Any) -> bool | list[str] | Unique:
        value = self._object(data) if isinstance(data, dict) else data
        if sentence := unique_error(value):
            raise serializers.ValidationError(sentence)
        return value

    def to_representation(self, value: Any) -> Any:
        return value

    def _object(self, data: dict[str, Any]) -> Unique:
        if data.keys() - self.NAMES.keys():
            raise serializers.ValidationError(f"May have {', '.join(self.NAMES)}, and no more.")
        given = {self.NAMES[name]: value for name, value in data.items()}
        return Unique(**given)
