"""The outbox: tasks that were enqueued in a transaction, until it has committed and Redis has them.

An enqueue in a transaction writes a row in it. Rolled back, the row never was. Committed, the row
is pushed to Redis at once by who committed, and deleted; what a dead process left is pushed by the
coordinator's sweeper. So it surely runs, whatever is killed in between.

Nothing is pushed twice, since a row belongs to one at a time: to whoever wrote its ``turn_us``,
until that moment *by the clock of Redis*, which refuses each push that arrives later
(``not_after``). When a turn is over, no push of its owner can take effect any more, however long it
lay in a socket; so whoever has the next turn can look whether one did, in Redis and then in the
database, and his look stays true.
"""

import logging
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from django.apps import apps
from django.db import connections, router, transaction
from redis.exceptions import RedisError

from .alias import DIRECT, ON_COMMIT, OUTBOX, AliasOptions
from .broker import Broker, broker
from .broker.keys import shard_of
from .broker.wire import MOST_A_CALL, MOST_BYTES
from .compat import task_backends
from .exceptions import PartlyStored, TaskSystemError, TooLate
from .late import model
from .message import TaskMessage, now_us
from .slices import slices

logger = logging.getLogger(__name__)

TURN_US = 5_000_000  # for who commits to push; also for how long the sweeper lets a row lie
MARGIN_US = 1_000_000  # that the clock of Redis may step back
ROWS = 500  # in one statement
MOST_COUNTED = 10_000  # rows: counting more would take longer than anybody waits
LATE_SECONDS = 60  # after which a row should be gone: a coordinator has pushed it by then


class Row(NamedTuple):
    """Where a task lies, and whose turn it is."""

    id: str
    database: str
    turn_us: int
    is_put_off: bool  # it waits for its next try: until then nobody pushes it


class Waiting(NamedTuple):
    """A task that has a row."""

    message: TaskMessage
    durability: str
    size: int  # bytes of its definition


def rows(database: str) -> Any:
    """The rows of a database."""
    # By name: this module may be imported while the apps are still loading.
    return apps.get_model("tasks_app", "Outbox").objects.using(database)


def is_in_transaction(database: str) -> bool:
    """Whether what is written there now may still be rolled back."""
    connection = connections[database]
    if connection.in_atomic_block:
        return True
    if connection.connection is None:
        return not connection.settings_dict.get("AUTOCOMMIT", True)
    return not connection.autocommit


Tell = Callable[[Sequence[TaskMessage]], None]


def store(messages: Sequence[TaskMessage], how: AliasOptions, tell: Tell) -> dict[str, str]:
    """Store tasks as their alias says; ``tell`` is called with those that are stored.

    Return of each that was not, since another one stands for it, its id and the other's. In a
    transaction all ids are promised at once, and that shows only later: see ``submit_many``.

    In a transaction all get a row. Outside of one they go to Redis, all or none if one call can
    carry them; of more, all get a row too, or with another way than the outbox some may be stored
    if an error is raised: PartlyStored says which.
    """
    if how.enqueue == DIRECT or not is_in_transaction(how.database):
        some = list(calls(messages))
        if how.enqueue == OUTBOX and len(some) > 1:
            with transaction.atomic(using=how.database):
                put(messages, how)
            tell(messages)
        else:
            return _submit(some, how.durability, tell)
    elif how.enqueue == ON_COMMIT:
        submit = partial(_submit, list(calls(messages)), how.durability, tell, promised=True)
        transaction.on_commit(submit, using=how.database)
    else:
        put(messages, how)
        tell(messages)
    return {}


def _submit(
    some: Sequence[list[TaskMessage]], durability: str, tell: Tell, *, promised: bool = False
) -> dict[str, str]:
    """Submit the tasks of some calls. Raise as ``submit_many`` does, or PartlyStored."""
    stored: list[str] = []
    others: dict[str, str] = {}
    for messages in some:
        try:
            others |= broker().submit_many(messages, durability=durability, promised=promised)
        except TaskSystemError as error:
            if not stored:
                raise
            raise PartlyStored(
                f"Only the first {len(stored):,} tasks were stored: {error}", stored
            ) from error
        new = [message for message in messages if message.id not in others]
        stored += [message.id for message in new]
        tell(new)
    return others


def put(messages: Sequence[TaskMessage], how: AliasOptions) -> None:
    """Write rows in the current transaction; they are pushed when it has committed."""
    batch = _batch(how.database)
    batch.put(messages, how.durability)
    if connections[how.database].in_atomic_block:
        # Once for each call, since a savepoint that is rolled back takes its callbacks along.
        transaction.on_commit(batch.flush, using=how.database)


class Batch:
    """What one transaction has put into the outbox; pushed together when it has committed."""

    def __init__(self, database: str):
        self._database = database
        self._turn_us = turn_after(now_us())
        self._waiting: dict[str, Waiting] = {}

    def put(self, messages: Sequence[TaskMessage], durability: str) -> None:
        """Write rows, in the transaction."""
        created_us, found = now_us(), []
        for message in messages:
            definition = message.encode()
            self._waiting[message.id] = Waiting(message, durability, len(definition))
            found.append(
                rows(self._database).model(
                    id=message.id,
                    definition=definition,
                    durability=durability,
                    created_us=created_us,
                    turn_us=self._turn_us,
                )
            )
        rows(self._database).bulk_create(found, batch_size=ROWS)

    def flush(self) -> None:
        """Push what has been committed, once; the first of the callbacks does it for all.

        The transaction is over: what goes wrong is logged, and left to the sweeper.
        """
        waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        try:
            self._push(waiting)
        except (TaskSystemError, RedisError) as error:
            logger.warning(
                "event=outbox_waits tasks=%d database=%s error=%s",
                len(waiting), self._database, error,
            )  # fmt: skip
        except Exception:
            logger.exception(
                "event=outbox_waits tasks=%d database=%s", len(waiting), self._database
            )

    def _push(self, waiting: dict[str, Waiting]) -> None:
        if len(waiting) > 1:  # some of them may have been in a savepoint that was rolled back
            there = self._mine(waiting, self._turn_us)
            waiting = {task_id: waiting[task_id] for task_id in waiting if task_id in there}
        for some in pushes(waiting.values()):
            pushed = self._push_some(some)
            delete(self._database, [each.message.id for each in pushed])

    def _push_some(self, some: list[Waiting]) -> list[Waiting]:
        """Push tasks of one call; return those that are in Redis by now."""
        try:
            push(broker(), some, self._turn_us)
        except TooLate:  # a long transaction, or a clock that is behind
            turn_us = turn_after(broker().server_time_us())
            there = self._renewed([each.message.id for each in some], turn_us)
            some = [each for each in some if each.message.id in there]
            push(broker(), some, turn_us)
        return some

    def _renewed(self, ids: Sequence[str], turn_us: int) -> set[str]:
        """Take another turn with those rows that nobody else has taken meanwhile."""
        for part in slices(ids, ROWS):
            rows(self._database).filter(id__in=part, turn_us=self._turn_us).update(turn_us=turn_us)
        return self._mine(ids, turn_us)

    def _mine(self, ids: Iterable[str], turn_us: int) -> set[str]:
        found = set()
        for part in slices(ids, ROWS):
            mine = rows(self._database).filter(id__in=part, turn_us=turn_us)
            found.update(mine.values_list("id", flat=True))
        return found


def is_push(callback: Callable[[], None]) -> bool:
    """Whether a callback of a transaction is ours, and pushes what was enqueued in it."""
    is_batch = getattr(callback, "__func__", None) is Batch.flush
    return is_batch or getattr(callback, "func", None) is _submit


def turn_after(us: int) -> int:
    """When the turn of one who enqueues ends, that begins now.

    A multiple of four: the sweeper's are odd, and those of who cancels are the other even ones.
    """
    return us // 4 * 4 + TURN_US


def push(queue: Broker, some: Sequence[Waiting], turn_us: int) -> None:
    """Submit tasks of one call, in the turn that ends then. Raise as ``submit_many`` does."""
    messages = [each.message for each in some]
    if messages:
        queue.submit_many(
            messages,
            not_after_ms=turn_us // 1000,
            durability=some[0].durability,
            promised=True,
        )


def pushes(waiting: Iterable[Waiting]) -> Iterator[list[Waiting]]:
    """Tasks in as few lists as calls may carry them: of one shard and one durability."""
    kinds: dict[tuple[int, str], list[Waiting]] = {}
    for each in waiting:
        kinds.setdefault((shard_of(each.message.queue), each.durability), []).append(each)
    for some in kinds.values():
        call: list[Waiting] = []
        size = 0
        for each in some:
            if call and (len(call) == MOST_A_CALL or size + each.size > MOST_BYTES):
                yield call
                call, size = [], 0
            call.append(each)
            size += each.size
        yield call


def calls(messages: Sequence[TaskMessage]) -> Iterator[list[TaskMessage]]:
    """Tasks in as few lists as calls may carry them."""
    if len(messages) == 1:
        yield list(messages)
        return
    for some in pushes(Waiting(message, "", len(message.encode())) for message in messages):
        yield [each.message for each in some]


def delete(database: str, ids: Sequence[str]) -> None:
    """Delete the rows of tasks that Redis has, or had."""
    for part in slices(ids, ROWS):
        rows(database).filter(id__in=part).delete()


def find(ids: Iterable[str]) -> dict[str, TaskMessage]:
    """Those of the tasks that have a row, in any outbox."""
    wanted, found = list(ids), {}
    for database in databases():
        missing = [task_id for task_id in wanted if task_id not in found]
        for part in slices(missing, ROWS):
            for task_id, definition in (
                rows(database).filter(id__in=part).values_list("id", "definition")
            ):
                with suppress(ValueError):  # of a newer version
                    found[task_id] = TaskMessage.decode(bytes(definition))
    return found


def standing(ids: Iterable[str]) -> list[Row]:
    """The rows that some tasks have, in all outboxes."""
    found = []
    wanted = list(ids)
    for database in databases():
        for part in slices(wanted, ROWS):
            there = rows(database).filter(id__in=part).values_list("id", "turn_us", "reason")
            found += [Row(task_id, database, us, bool(reason)) for task_id, us, reason in there]
    return found


def take(database: str, found: Iterable[Row]) -> tuple[dict[str, Waiting], int]:
    """Take the next turn with those of the rows that nobody has now. Return them, and its end.

    What this version cannot read is left.
    """
    now_us = broker().server_time_us()
    turn_us = turn_after(now_us) + 2
    taken: dict[str, Waiting] = {}
    for row in found:
        if row.is_put_off or row.turn_us < now_us - MARGIN_US:
            # One by one: so each is known to be ours, also if another one has the same end.
            mine = rows(database).filter(id=row.id, turn_us=row.turn_us)
            if mine.update(turn_us=turn_us, reason=""):
                taken |= _waiting_in(database, row.id)
    return taken, turn_us


def _waiting_in(database: str, task_id: str) -> dict[str, Waiting]:
    found = {}
    for text, durability in (
        rows(database).filter(id=task_id).values_list("definition", "durability")
    ):
        definition = bytes(text)
        with suppress(ValueError):  # of a newer version
            message = TaskMessage.decode(definition)
            found[task_id] = Waiting(message, durability, len(definition))
    return found


def recorded(ids: Sequence[str]) -> set[str]:
    """Those of the tasks that the history has, as rows or in quarantine."""
    records = model("TaskRecord").objects.filter(id__in=ids)
    refused = model("Quarantine").objects.filter(task_id__in=ids)
    return {*records.values_list("id", flat=True), *refused.values_list("task_id", flat=True)}


class Lag(NamedTuple):
    """What waits in all outboxes."""

    tasks: int  # up to MOST_COUNTED
    seconds: float  # since the oldest was enqueued; 0 if there is none
    refused: int  # tasks that Redis has refused at least once, up to MOST_COUNTED
    reason: str  # of one of these


def lag() -> Lag:
    """How far the outboxes are behind. Raise DatabaseError if one cannot be read."""
    tasks = refused = 0
    oldest, reason = now_us(), ""
    for database in databases():
        waiting = rows(database)
        tasks += waiting.all()[:MOST_COUNTED].count()
        # Ids are UUIDv7: the first is the oldest.
        first = waiting.order_by("id").values_list("created_us", flat=True).first()
        oldest = min(oldest, first or oldest)
        odd = waiting.filter(tries__gt=0)
        refused += odd[:MOST_COUNTED].count()
        reason = reason or odd.values_list("reason", flat=True).first() or ""
    return Lag(tasks, (now_us() - oldest) / 1e6 if tasks else 0.0, refused, reason)


def close(database: str) -> None:
    """Close the connection, which may be broken."""
    connections[database].close()


def databases() -> list[str]:
    """The databases that have an outbox; also those that no alias writes to any more."""
    found = dict.fromkeys(b.how.database for b in task_backends.all() if hasattr(b, "how"))
    model = apps.get_model("tasks_app", "Outbox")
    found[router.db_for_write(model)] = None  # schedules submit by this one, whatever aliases say
    return [database for database in found if router.allow_migrate_model(database, model)]


def _batch(database: str) -> Batch:
    """That of the current transaction.

    Only the transaction's own callbacks hold it. So it is gone when they have been called, and
    also when they never will.
    """
    connection = connections[database]
    known = getattr(connection, "dtps_batch", None)
    batch = known() if known else None
    if batch is None:
        batch = Batch(database)
        connection.dtps_batch = weakref.ref(batch)
    return batch
