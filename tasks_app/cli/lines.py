"""Tasks in a file: a JSON object on each line, or CSV whose head names the columns."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from rest_framework import serializers
from rest_framework.exceptions import ParseError

from ..api.parsers import parse
from .fields import json_or_text, read

KWARGS = "kwargs."  # before the name of a column: an argument in any case
LONGEST_CELL = 16 * 1024 * 1024  # characters


class Line(NamedTuple):
    number: int  # as an editor counts them
    task: dict[str, Any]  # what a submit by REST would say; empty if it is wrong
    error: str = ""


def jsonl_lines(file: Iterable[str], common: Mapping[str, Any]) -> Iterator[Line]:
    """A task for each line that is not empty. ``common`` is what a line need not say."""
    for number, text in enumerate(file, 1):
        if not text.strip():
            continue
        try:
            task = parse(text.encode(errors="surrogateescape"))
        except ParseError as error:
            yield Line(number, {}, str(error.detail).replace("The body", "It"))
            continue
        if not isinstance(task, dict):
            yield Line(number, {}, "It is not a JSON object.")
        else:
            yield Line(number, {**common, **task})


def csv_lines(
    file: Iterable[str], common: Mapping[str, Any], serializer: serializers.Serializer
) -> Iterator[Line]:
    """A task for each row. Columns called like a field of a submit are that, others arguments.

    A cell that is JSON is read as such, any other is a text; an empty one says nothing.
    """
    csv.field_size_limit(LONGEST_CELL)
    rows = csv.reader(file, strict=True)
    try:
        head = [name.strip().lstrip("\ufeff") for name in next(rows, [])]
        for row in rows:
            if len(row) > len(head):
                yield Line(rows.line_num, {}, f"It has {len(row)} cells, the head {len(head)}.")
            elif any(row):
                yield Line(rows.line_num, _task(zip(head, row, strict=False), common, serializer))
    except csv.Error as error:
        yield Line(rows.line_num, {}, f"It is no CSV: {error}. Nothing after it was read.")


def _task(
    cells: Iterable[tuple[str, str]], common: Mapping[str, Any], serializer: serializers.Serializer
) -> dict[str, Any]:
    task, kwargs = dict(common), {}
    for name, text in cells:
        if not text:
            continue
        if name in serializer.fields:
            task[name] = read(serializer.fields[name], text)
        else:
            kwargs[name.removeprefix(KWARGS)] = json_or_text(text)
    if kwargs:
        task["kwargs"] = {**task.get("kwargs", {}), **kwargs}
    return task
