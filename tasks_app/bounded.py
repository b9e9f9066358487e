"""Reads of the history whose size is bounded, whatever users have stored."""

from collections.abc import Iterable, Iterator

from django.db.models import QuerySet
from django.db.models.functions import Length

from .models import TaskRecord


def sized(rows: QuerySet[TaskRecord]) -> QuerySet[TaskRecord]:
    """The same, each with its ``size``: how many bytes its texts have."""
    return rows.annotate(size=Length("definition") + Length("state"))


def sizes_of(rows: QuerySet[TaskRecord]) -> list[tuple[str, int]]:
    """The ids of rows, and their sizes."""
    return list(sized(rows).values_list("id", "size"))


def id_slices(rows: QuerySet, most: int) -> Iterator[list[str]]:
    """The ids of rows in order, so many at a time; each step is one look into their index."""
    ids, after = rows.order_by("id").values_list("id", flat=True), ""
    while some := list(ids.filter(id__gt=after)[:most]):
        yield some
        after = some[-1]


def sized_slices(sizes: Iterable[tuple[str, int]], most_bytes: int) -> Iterator[list[str]]:
    """The ids of (id, bytes), in slices of so many bytes together; at least one each."""
    some: list[str] = []
    total = 0
    for task_id, size in sizes:
        if some and total + size > most_bytes:
            yield some
            some, total = [], 0
        some.append(task_id)
        total += size
    if some:
        yield some


def storable(ids: Iterable[str]) -> list[str]:
    """Those of the ids that a database could have at all, whatever else they are."""
    return [task_id for task_id in ids if task_id.isprintable()]
