"""Tasks that wait for others, on their way in: all of them, and for whom they wait, or nothing.

They go by the outbox, always: who waits for whom is written in the same transaction, so that no
task is ever in Redis that nobody would release. Parents are pushed before their children; it would
do no harm if they were not.
"""

from collections.abc import Iterable, Mapping, Sequence

from django.db import router, transaction

from .. import outbox
from ..alias import AliasOptions
from ..broker.durability import FAST
from ..exceptions import InvalidCall
from ..late import model
from ..message import TaskMessage
from ..options.dependence import RUN
from .parents import known_of

MOST_TASKS = 100_000  # of a workflow
MOST_DEPENDENCIES = 200_000
ROWS = 500  # in one statement
NAMED = 3  # ids in a sentence


def put_dependent(
    messages: Sequence[TaskMessage],
    parents: Mapping[str, Sequence[str]],
    durability: str = FAST,
) -> None:
    """Store tasks, of which some have ``parents`` (id -> ids), all or none.

    In the caller's transaction, if there is one on that database. Raise InvalidCall if a parent is
    no task, or DatabaseError.
    """
    must_be_known(parents, known={message.id for message in messages})
    with transaction.atomic(using=database()):
        put_dependencies(messages, parents)
        outbox.put(messages, AliasOptions(database=database(), durability=durability))


def database() -> str:
    """Where who waits for whom is written: beside the history, and the schedules' outbox."""
    return router.db_for_write(model("Dependency"))


def put_dependencies(
    messages: Iterable[TaskMessage],
    parents: Mapping[str, Sequence[str]],
    workflow_id: str | None = None,
) -> None:
    """Write who waits for whom, in the current transaction."""
    dependency = model("Dependency")
    rows = (
        dependency(
            child_id=message.id,
            parent_id=parent_id,
            workflow_id=workflow_id,
            position=position,
            runs_anyway=message.if_parent_fails == RUN,
        )
        for message in messages
        for position, parent_id in enumerate(parents.get(message.id, ()))
    )
    dependency.objects.using(database()).bulk_create(rows, batch_size=ROWS)


def must_be_known(
    parents: Mapping[str, Sequence[str]], known: set[str], name: str = "depends_on"
) -> None:
    """Raise InvalidCall, for the field ``name``, if a parent is no task, nor one of ``known``."""
    asked = {each for some in parents.values() for each in some} - known
    unknown = sorted(asked - known_of(asked))
    if unknown:
        more = f" and {len(unknown) - NAMED:,} more" if len(unknown) > NAMED else ""
        said = f"There is no task {', '.join(unknown[:NAMED])}{more}."
        raise InvalidCall({name: [said]})
