"""Options made from the fields that the API takes: so the command line knows the same."""

import re
from argparse import ArgumentParser
from collections.abc import Collection
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ParseError

from ..api.fields import MomentField
from ..api.parsers import parse

TEXTS = (serializers.CharField, serializers.ChoiceField, MomentField)  # never read as JSON
DEST = "field_"  # so that no option of a command is called like a field


def option_of(name: str) -> str:
    """The option for a field: "retryOn" and "retry_on" are "--retry-on"."""
    return "--" + re.sub(r"[A-Z]", lambda found: "-" + found[0].lower(), name).replace("_", "-")


def add_fields(
    parser: ArgumentParser, serializer: serializers.Serializer, skip: Collection[str] = ()
) -> None:
    """Add an option for each field."""
    for name, field in serializer.fields.items():
        if name not in skip:
            said = " ".join(str(field.help_text or "").replace("`", "").split()).replace("%", "%%")
            parser.add_argument(
                option_of(name), dest=DEST + name, metavar=_metavar(field), help=said or None
            )


def fields_in(options: dict[str, Any], serializer: serializers.Serializer) -> dict[str, Any]:
    """What was given, as the serializer wants to have it."""
    given = {name: options.get(DEST + name) for name in serializer.fields}
    return {
        name: read(serializer.fields[name], text)
        for name, text in given.items()
        if text is not None
    }


def read(field: serializers.Field, text: str) -> Any:
    """A value for a field: a text for one that takes texts, otherwise JSON."""
    if isinstance(field, TEXTS):
        return text
    if isinstance(field, serializers.ListField) and not text.startswith("["):
        return [word.strip() for word in text.split(",") if word.strip()]
    return json_or_text(text)


def json_or_text(text: str) -> Any:
    """JSON if it is that, else the text as it stands."""
    try:
        return parse(text.encode(errors="surrogateescape"))
    except ParseError:
        return text


def sentences(detail: Any, name: str = "") -> list[str]:
    """What a serializer or the door refused, as lines: "priority: A valid integer is required."."""
    if isinstance(detail, dict):
        inner = [(f"{name}.{key}" if name else str(key), value) for key, value in detail.items()]
        return [line for key, value in inner for line in sentences(value, key)]
    if isinstance(detail, list):
        return [line for value in detail for line in sentences(value, name)]
    return [f"{name}: {detail}" if name not in ("", "non_field_errors") else str(detail)]


def _metavar(field: serializers.Field) -> str:
    if isinstance(field, MomentField):
        return "MOMENT"
    if isinstance(field, serializers.IntegerField | serializers.FloatField):
        return "N"
    if isinstance(field, serializers.ListField):
        return "A,B"
    return "TEXT" if isinstance(field, TEXTS) else "JSON"
