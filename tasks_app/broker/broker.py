"""Every move of a task in Redis: one method per Lua operation, and nothing else moves one."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Any
from uuid import uuid4

from ..conf import conf
from ..exceptions import (
    DuplicateTask,
    InvalidCall,
    QueueFull,
    QueueUnavailable,
    TaskNotFound,
    TooLate,
    UnknownOutcome,
    WrongState,
)
from ..message import (
    LEVELS,
    Attempt,
    State,
    StoredTask,
    TaskMessage,
    escaped,
    now_us,
    ranks_of,
    unescaped,
)
from ..states import Status
from . import keys
from .answers import Changes, Exchange, QueueStats, Settlement, Stats
from .connection import Link, link
from .fleet import Fleet
from .glance import Glance
from .scripts import script

MOST_A_CALL = 1000  # items: longer scripts would make everybody else wait
IDLE_MS = 2500  # an executor blocks for at most 2 s, then claims anyway


class Broker:
    """Moves tasks between states, atomically. Every method may raise QueueUnavailable."""

    def __init__(self, link: Link):
        self.link = link
        self.fleet = Fleet(self)

    def run(self, name: str, shard: int, *arguments: Any) -> Any:
        """Run the operation ``name`` on one shard."""
        return self.link.run(script(name), keys.anchor(shard), *arguments)

    # --- in ---

    def submit(self, message: TaskMessage, *, not_after_ms: int = 0) -> None:
        """Store one task. Raises as ``submit_many`` does."""
        self.submit_many([message], not_after_ms=not_after_ms)

    def submit_many(self, messages: Sequence[TaskMessage], *, not_after_ms: int = 0) -> None:
        """Store up to 1,000 tasks, all of them or none; their queues must share a shard.

        Raise DuplicateTask, QueueFull, TooLate, InvalidCall, or UnknownOutcome if the answer was
        lost, unless a look at Redis shows that it took effect.
        """
        if len(messages) > MOST_A_CALL:
            raise InvalidCall({"tasks": [f"At most {MOST_A_CALL} tasks a call."]})
        in_shards = {keys.shard_of(message.queue) for message in messages}
        if len(in_shards) > 1:
            raise InvalidCall({"queue": ["The tasks of one call must be in queues of one shard."]})
        if messages:
            self._submit(in_shards.pop(), messages, not_after_ms)

    def _submit(self, shard: int, messages: Sequence[TaskMessage], not_after_ms: int) -> None:
        arguments: list[Any] = [
            not_after_ms, conf().max_queue_depth, conf().max_recorder_lag, conf().max_queues
        ]  # fmt: skip
        for message in messages:
            arguments += (message.id, message.encode(), -(-message.run_after_us // 1000))
        try:
            answer = self.run("submit", shard, *arguments)
        except UnknownOutcome:
            if not self._took_effect(messages[0].id):
                raise
            return
        match [part.decode() for part in answer]:
            case ["known", *ids]:
                raise DuplicateTask(f"These ids are known already: {', '.join(ids[:5])}.")
            case ["full", queue]:
                raise QueueFull(f"Queue {queue} holds all the tasks that it may.")
            case ["queues"]:
                raise QueueFull("There are as many queues already as there may be.")
            case ["lag"]:
                raise QueueFull("The history lags too far behind; is a coordinator running?")
            case ["late"]:
                raise TooLate("The submit took longer than its time limit.")

    def _took_effect(self, task_id: str) -> bool:
        try:
            return self.get(task_id) is not None
        except QueueUnavailable:
            return False

    # --- the hot path ---

    def exchange(
        self,
        executor: str,
        worker: str,
        queues: Sequence[str],
        *,
        limit: int,
        settlements: Sequence[Settlement] = (),
        idle_ms: int = IDLE_MS,
        offer: str = "",
        request: str | None = None,
        shard: int = 0,
    ) -> Exchange:
        """Finish what is done and claim up to ``limit`` tasks, in one round trip.

        ``request`` is the token of what is claimed; an executor's last call that is repeated with
        the same one and the same settlements changes nothing and answers the same. An executor of
        one queue that goes idle may ``offer`` a token: see ``wait``.
        """
        if len(settlements) > MOST_A_CALL:
            raise ValueError(f"At most {MOST_A_CALL} settlements a call.")
        request = request or uuid4().hex
        names = dict.fromkeys(map(escaped, queues))  # a queue named twice would give twice
        arguments: list[Any] = [executor, worker, request, min(limit, MOST_A_CALL), idle_ms]
        arguments += (offer, len(names), *names)
        for s in settlements:
            arguments += (s.id, s.token, s.outcome, s.pause_ms, s.line)
        stale, claimed = self.run("exchange", shard, *arguments)
        tasks, unreadable = _claimed(claimed or [])
        return Exchange(request, tasks, _texts(stale), claimed is not None, unreadable)

    def finish(self, executor: str, settlements: Sequence[Settlement], shard: int = 0) -> list[str]:
        """Finish only. Return the ids whose settlement was stale."""
        stale = []
        for some in _slices(settlements):
            stale += self.exchange(executor, "", [], limit=0, settlements=some, shard=shard).stale
        return stale

    def claim(self, executor: str, worker: str, queues: Sequence[str], limit: int) -> Exchange:
        """Claim only, on the default shard."""
        return self.exchange(executor, worker, queues, limit=limit)

    def wait(self, executor: str, seconds: float, shard: int = 0) -> Exchange | None:
        """Block until this idle executor is woken. Return None after ``seconds`` without.

        If it made an offer, it may be handed a task with that, which saves it the claim. If it
        made one and gets anything but a task under its token, it must ``withdraw`` it.
        """
        command = ("BLPOP", keys.wake(shard, executor), seconds)
        woken = self.link.call(*command, answer_within=seconds + self.link.timeout)
        return woken and _handed(woken[1])

    def withdraw(self, executor: str, offer: str, shard: int = 0) -> Exchange:
        """End an offer. Return what was handed over meanwhile; the same if called again."""
        tasks, unreadable = _claimed(self.run("withdraw", shard, executor, offer))
        return Exchange(offer, tasks, [], unreadable=unreadable)

    def start(self, executor: str, ids: Sequence[str], shard: int = 0) -> int:
        """Publish held tasks as processing. Return how many were news."""
        return sum(self.run("start", shard, executor, *some) for some in _slices(ids))

    # --- back ---

    def release(self, executor: str, held: dict[str, str], shard: int = 0) -> list[str]:
        """Give unstarted or interrupted tasks (id -> token) back, uncharged.

        Return the ids that were still held so.
        """
        released = []
        for some in _slices(list(held.items())):
            flat = [word for pair in some for word in pair]
            released += _texts(self.run("release", shard, executor, *flat))
        return released

    def reap(
        self,
        worker: str,
        executor: str = "",
        *,
        reason: Attempt,
        started: Iterable[str] = (),
        queues: Sequence[str] = (),
        shard: int = 0,
    ) -> int:
        """Take back what a dead executor held; without one, what a worker did whose lease is over.

        Started tasks are charged with a crash, for which ``reason`` goes into their attempts.
        Return how many tasks came back; 0 if the worker has a lease after all.
        """
        taken, done = 0, False
        while not done:
            some, done = self.run(
                "reap", shard, worker, executor, conf().max_crashes,
                int(conf().backoff_seconds * 1000), reason.encode(), MOST_A_CALL,
                len(queues), *map(escaped, queues), *started,
            )  # fmt: skip
            taken += some
        return taken

    def promote(self, limit: int = MOST_A_CALL, shard: int = 0) -> tuple[int, int]:
        """Make due tasks pending and expire what is over. Return (tasks, ms to the next or -1)."""
        looked_at, next_ms = self.run("promote", shard, min(limit, MOST_A_CALL))
        return looked_at, next_ms

    # --- by order of an operator ---

    def cancel(self, ids: Sequence[str], *, by: str = "") -> dict[str, Status | None]:
        """End open tasks. Return the status that each had before, None for an unknown one."""
        line = Attempt(
            outcome=Status.CANCELLED, ended_us=now_us(), error=by and f"Cancelled by {by}."
        )
        before: dict[str, Status | None] = dict.fromkeys(ids)
        for shard in keys.shards():
            asked = [task_id for task_id in before if before[task_id] is None]
            for some in _slices(asked):
                answers = self.run("cancel", shard, line.encode(), *some)
                before |= {i: Status(a.decode()) for i, a in zip(some, answers, strict=True) if a}
        return before

    def retry(self, message: TaskMessage, recorded: State) -> None:
        """Open the next run of a finished task, as ``message`` now defines it.

        ``recorded`` is its state as the database has it, used if Redis has forgotten the task.
        Raise WrongState if it is open.
        """
        status = self.run(
            "retry", keys.shard_of(message.queue), message.id, message.encode(),
            recorded.status.value, recorded.run, recorded.version, recorded.lines,
        )  # fmt: skip
        if status:
            raise WrongState(f"The task is {status.decode()}; only a finished one can be retried.")

    def pause(self, queue: str) -> bool:
        """Give nothing out of a queue any more. Return whether that is news."""
        return bool(self.run("pause", keys.shard_of(queue), escaped(queue), 1))

    def resume(self, queue: str) -> bool:
        """Give tasks out of a queue again. Return whether that is news."""
        return bool(self.run("pause", keys.shard_of(queue), escaped(queue), 0))

    def purge(self, queue: str) -> int:
        """Put all that waits in a queue aside to be cancelled. Return how many tasks."""
        return self.run("purge", keys.shard_of(queue), escaped(queue), uuid4().hex)

    def sweep(self, limit: int = MOST_A_CALL, shard: int = 0) -> tuple[int, bool]:
        """Cancel a slice of what was put aside. Return (tasks cancelled, whether more is there)."""
        line = Attempt(outcome=Status.CANCELLED, ended_us=now_us(), error="Purged.").encode()
        cancelled, more = self.run("sweep", shard, min(limit, MOST_A_CALL), line)
        return cancelled, bool(more)

    def reset_counters(self) -> None:
        """Start counting from zero."""
        for shard in keys.shards():
            self.run("reset", shard)

    def reset_at_ms(self) -> int:
        """When the counters were reset last; 0 if never."""
        return int(self.link.call("GET", keys.key(0, "reset_at")) or 0)

    # --- the record ---

    def changes(self, limit: int, shard: int = 0) -> Changes:
        """What changed and is not acknowledged, from up to ``limit`` calls, oldest first."""
        entries = self.link.call("XRANGE", keys.key(shard, "changes"), "-", "+", "COUNT", limit)
        # An id that is not UTF-8 cannot be a task's; it must not stop the others.
        ids = dict.fromkeys(
            i for _, (_, ids) in entries or [] for i in ids.decode(errors="replace").split()
        )
        return Changes(entries[-1][0].decode() if entries else "", list(ids))

    def unrecorded(self, limit: int, *, until: str = "+", shard: int = 0) -> tuple[list[str], str]:
        """The ids in the last ``limit`` changes before the stream id ``until``, newest first.

        And the stream id of the oldest of these changes; "" if there are none before it.
        """
        end = until if until == "+" else f"({until}"
        changes = keys.key(shard, "changes")
        entries = self.link.call("XREVRANGE", changes, end, "-", "COUNT", limit)
        ids = dict.fromkeys(i for _, (_, ids) in entries for i in ids.decode().split())
        return list(ids), entries[-1][0].decode() if len(entries) == limit else ""

    def acknowledge(self, changes: Changes, shard: int = 0) -> None:
        """Drop changes that the database has. The stream's own memory of its last id stays."""
        if not changes.last:
            return
        milliseconds, _, sequence = changes.last.partition("-")
        after = f"{milliseconds}-{int(sequence) + 1}"
        self.link.call("XTRIM", keys.key(shard, "changes"), "MINID", after)

    def forget(
        self, versions: dict[str, int], shard: int = 0, *, late: Collection[str] = ()
    ) -> int:
        """Drop recorded final tasks (id -> version); one that moved on stays. Return how many.

        Those that are ``late``, done after their deadline, are counted.
        """
        tasks = [(task_id, version, int(task_id in late)) for task_id, version in versions.items()]
        return sum(
            self.run("forget", shard, *(word for task in some for word in task))
            for some in _slices(tasks)
        )

    # --- looks ---

    def read(self, ids: Sequence[str], shard: int = 0) -> dict[str, tuple[bytes, bytes | None]]:
        """The raw (definition, state) of those that a shard knows."""
        found = {}
        for some in _slices(ids):
            definitions, states = self.run("read", shard, *some)
            found |= {
                task_id: (definition, state)
                for task_id, definition, state in zip(some, definitions, states, strict=True)
                if definition is not None
            }
        return found

    def get_many(self, ids: Sequence[str]) -> dict[str, StoredTask]:
        """Those of the tasks that Redis knows, by id."""
        found: dict[str, StoredTask] = {}
        for shard in keys.shards():
            for task_id, (definition, state) in self.read(ids, shard).items():
                found[task_id] = StoredTask(TaskMessage.decode(definition), State.decode(state))
        return found

    def get(self, task_id: str) -> StoredTask | None:
        """One task, or None if Redis does not know it (any more)."""
        return self.get_many([task_id]).get(task_id)

    def must_get(self, task_id: str) -> StoredTask:
        """One task. Raise TaskNotFound."""
        task = self.get(task_id)
        if task is None:
            raise TaskNotFound(f"Redis knows no task {task_id}.")
        return task

    def glance(self, ids: Sequence[str], *, newest: int = 0) -> dict[str, Glance]:
        """A few words on those of the tasks that Redis knows, and on the newest that changed."""
        found = {}
        for shard in keys.shards():
            for task_id, head, header in self.run("glance", shard, newest, *ids):
                found[task_id.decode()] = Glance.decode(head, header)
        return found

    def ready_ids(self, queue: str, level: int, limit: int) -> list[str]:
        """Up to ``limit`` ids of a level that are ready in a queue, most urgent first."""
        lowest, highest = ranks_of(level, now_us() // 1000)
        found = self.link.call(
            "ZRANGEBYSCORE", keys.ready(queue), lowest, highest, "LIMIT", 0, limit
        )
        return _texts(found)

    def scheduled_ids(self, queue: str, limit: int) -> list[str]:
        """Up to ``limit`` ids that are scheduled or retrying in a queue, earliest first."""
        return _texts(self.link.call("ZRANGE", keys.scheduled(queue), 0, max(limit - 1, 0)))

    def held_ids(self, executor: str, shard: int = 0) -> dict[str, str]:
        """What an executor holds: id -> token."""
        flat = _texts(self.link.call("HGETALL", keys.held(shard, executor)))
        return dict(zip(flat[::2], flat[1::2], strict=True))

    def stats(self) -> Stats:
        """What waits and what was counted, over all shards."""
        bounds = [rank for level in LEVELS for rank in ranks_of(level, now_us() // 1000)]
        queues, counters, unrecorded, at_ms = [], {}, 0, 0
        for shard in keys.shards():
            at_ms, counted, changes, lines = self.run("stats", shard, *bounds)
            unrecorded += changes
            for name, value in zip(counted[::2], counted[1::2], strict=True):
                counters[name.decode()] = counters.get(name.decode(), 0) + int(value)
            queues += [_queue_stats(line) for line in lines]
        return Stats(at_ms, sorted(queues, key=lambda queue: queue.name), unrecorded, counters)


def _claimed(flat: Sequence[Any]) -> tuple[list[StoredTask], list[str]]:
    """The claimed tasks, and the ids of those that cannot be read."""
    tasks, unreadable = [], []
    for task_id, definition, state in _threes(flat):
        try:
            tasks.append(StoredTask(TaskMessage.decode(definition), State.decode(state)))
        except ValueError:  # of a newer version; the others are not to suffer for it
            unreadable.append(task_id.decode())
    return tasks, unreadable


def _handed(item: bytes) -> Exchange:
    """Read what lay on a wake list: a task as ``writes.lua`` hands it over, or a mere wake-up."""
    head, _, body = item.partition(b"\n")
    if not body:
        return Exchange("", [], [])
    token, task_id, length = head.split(b" ")
    state, definition = body[: int(length)], body[int(length) :]
    tasks, unreadable = _claimed([task_id, definition, state])
    return Exchange(token.decode(), tasks, [], unreadable=unreadable)


def _queue_stats(line: list[Any]) -> QueueStats:
    name, is_paused, scheduled, *levels = line
    return QueueStats(unescaped(name.decode()), bool(is_paused), scheduled, tuple(levels))


def _texts(answer: Iterable[bytes]) -> list[str]:
    return [text.decode() for text in answer]


def _threes(flat: Sequence[Any]) -> Iterator[tuple[Any, Any, Any]]:
    parts = iter(flat)
    return zip(parts, parts, parts, strict=True)


def _slices(items: Sequence[Any]) -> Iterator[list[Any]]:
    parts = iter(items)
    while some := list(islice(parts, MOST_A_CALL)):
        yield some


@cache
def _broker(of: Link) -> Broker:
    return Broker(of)


def broker() -> Broker:
    """The broker on the configured server."""
    return _broker(link())
