"""Every move of a task in Redis: one method per Lua operation, and nothing else moves one."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Any, Self
from uuid import uuid4

from redis.exceptions import ResponseError

from ..conf import conf
from ..exceptions import (
    DuplicateTask,
    InvalidCall,
    KeyReused,
    LostLead,
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
    in_doubt,
    now_us,
    ranks_of,
)
from ..remarks import Remarks
from ..slices import slices
from ..states import Status
from . import keys, wire
from .answers import (
    Changes,
    Decision,
    Exchange,
    Limit,
    Recorded,
    Remark,
    Settlement,
    Standing,
    Stats,
)
from .connection import Link, link, run_id_in
from .durability import FAST, must_be_possible
from .fleet import Fleet
from .glance import Glance
from .scripts import script
from .wire import MOST_A_CALL

MOST_REMARKS = 100  # tasks a call: their logs may be long
LOOK_SECONDS = 0.3  # for a look whether a submit took effect: its caller has waited for long
IDLE_MS = 2500  # an executor blocks for at most 2 s, then claims anyway


class Broker:
    """Moves tasks between states, atomically. Every method may raise QueueUnavailable.

    With a ``term``, what only a leader does raises LostLead, and changes nothing, as soon as a
    later leader was seen. 0 is nobody's term and always goes through.
    """

    def __init__(self, link: Link, term: int = 0):
        self.link = link
        self.term = term
        self.fleet = Fleet(self)

    def under(self, term: int) -> Self:
        """The same broker, for the leader of a term."""
        return type(self)(self.link, term)

    def run(self, name: str, shard: int, *arguments: Any, durability: str = FAST) -> Any:
        """Run the operation ``name`` on one shard.

        Raise UnknownOutcome if what it wrote was not confirmed to be so durable.
        """
        if durability == FAST:
            return self.link.run(script(name), keys.anchor(shard), *arguments)
        return self.link.run_confirmed(script(name), keys.anchor(shard), *arguments, by=durability)

    def run_as_leader(self, name: str, shard: int, *arguments: Any) -> Any:
        """The same for one that a leader alone may do. Raise LostLead."""
        return self.run(name, shard, self.term, *arguments)

    def must_lead(self) -> None:
        """For what a leader does elsewhere than in Redis. Raise LostLead."""
        if self.term and int(self.link.call("GET", keys.key(0, "term")) or 0) > self.term:
            raise LostLead("Somebody else leads by now.")

    # --- in ---

    def submit(self, message: TaskMessage, *, not_after_ms: int = 0, durability: str = FAST) -> str:
        """Store one task; return its id, or that of the one that stands for it.

        Raises as ``submit_many`` does.
        """
        others = self.submit_many([message], not_after_ms=not_after_ms, durability=durability)
        return others.get(message.id, message.id)

    def submit_many(
        self,
        messages: Sequence[TaskMessage],
        *,
        not_after_ms: int = 0,
        durability: str = FAST,
        promised: bool = False,
    ) -> dict[str, str]:
        """Store up to 1,000 tasks, all of them or none; their queues must share a shard.

        Return of each that was not stored, since another one stands for it (see options/), its
        id and the other's. But if the ids are ``promised`` already, such a task is stored too, as
        cancelled: whoever has its id learns of it so.

        Raise DuplicateTask, QueueFull, TooLate, InvalidCall, NotDurable, or UnknownOutcome if the
        answer was lost, unless a look at Redis shows that it took effect, and if that it is as
        durable as asked (see durability.py) was not confirmed.
        """
        if len(messages) > MOST_A_CALL:
            raise InvalidCall({"tasks": [f"At most {MOST_A_CALL} tasks a call."]})
        in_shards = {keys.shard_of(message.queue) for message in messages}
        if len(in_shards) > 1:
            raise InvalidCall({"queue": ["The tasks of one call must be in queues of one shard."]})
        if not messages:
            return {}
        return self._submit(in_shards.pop(), messages, not_after_ms, durability, promised)

    def _submit(
        self,
        shard: int,
        messages: Sequence[TaskMessage],
        not_after_ms: int,
        durability: str,
        promised: bool,
    ) -> dict[str, str]:
        if durability != FAST:
            must_be_possible(self.link, durability)
        arguments: list[Any] = [
            not_after_ms, conf().max_queue_depth, conf().max_recorder_lag, conf().max_queues, b"",
            int(promised),
        ]  # fmt: skip
        for message in messages:
            mark = message.marks()
            if mark and not arguments[4]:
                arguments[4] = _another()
            at_ms = -(-message.run_after_us // 1000)
            arguments += (message.id, message.encode(), at_ms, mark)
        try:
            answer = self.run("submit", shard, *arguments, durability=durability)
        except UnknownOutcome:
            # All or none: one tells of all, unless others may stand for some.
            asked = messages if arguments[4] else messages[:1]
            if durability != FAST or not self._took_effect([message.id for message in asked]):
                raise
            return {}
        match wire.texts(answer):
            case ["ok", *ids]:
                return dict(zip(ids[::2], ids[1::2], strict=True))
            case ["duplicate", _, other] if any(message.id == other for message in messages):
                raise DuplicateTask("Two tasks of one call have the same key.")
            case ["duplicate", _, other]:
                raise DuplicateTask(f"Task {other} is there already, with the same key.", other)
            case ["reused", _, other] if any(message.id == other for message in messages):
                raise KeyReused("Two tasks of one call have the same idempotency key.")
            case ["reused", _, other]:
                raise KeyReused(f"The idempotency key was used for task {other}.", other)
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
        raise ValueError(f"submit.lua answered {answer!r}")

    def _took_effect(self, ids: Sequence[str]) -> bool:
        try:
            found = Broker(link(self.link.url, timeout=LOOK_SECONDS)).get_many(ids)
        except QueueUnavailable:
            return False
        return len(found) == len(ids)

    def confirm(self, ids: Sequence[str], durability: str, shard: int = 0) -> set[str]:
        """Those of up to 1,000 tasks that Redis has, when they are so durable as well.

        Raise NotDurable, or UnknownOutcome if that was not confirmed.
        """
        must_be_possible(self.link, durability)
        return set(wire.texts(self.run("confirm", shard, *ids, durability=durability)))

    def server_time_us(self) -> int:
        """The server's clock, microseconds since the epoch."""
        seconds, microseconds = self.link.call("TIME")
        return int(seconds) * 1_000_000 + int(microseconds)

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
        steals: bool = False,
        former: str = "",
        request: str | None = None,
        shard: int = 0,
    ) -> Exchange:
        """Finish what is done and claim up to ``limit`` tasks, in one round trip.

        ``request`` is the token of what is claimed; an executor's last call that is repeated with
        the same one and the same settlements changes nothing and answers the same. An executor
        that goes idle may ``offer`` a token: see ``wait``. If it ``steals``, it may also be handed
        what others have not started: see ``steal``. A ``former`` offer of its ends with the call;
        if something had come for that, it is the answer, under that token, and no more is claimed.
        """
        if len(settlements) > MOST_A_CALL:
            raise ValueError(f"At most {MOST_A_CALL} settlements a call.")
        request = request or uuid4().hex
        names = dict.fromkeys(map(escaped, queues))  # a queue named twice would give twice
        arguments: list[Any] = [executor, worker, request, min(limit, MOST_A_CALL), idle_ms]
        arguments += (offer, int(steals), former, len(names), *names)
        for s in settlements:
            arguments += (s.id, s.token, s.outcome, s.pause_ms, s.line)
        stale, claimed, token = self.run("exchange", shard, *arguments)
        tasks, unreadable = wire.claimed(claimed or [])
        has_lease = claimed is not None
        return Exchange(token.decode(), tasks, wire.texts(stale), has_lease, unreadable)

    def finish(self, executor: str, settlements: Sequence[Settlement], shard: int = 0) -> list[str]:
        """Finish only. Return the ids whose settlement was stale."""
        stale = []
        for some in slices(settlements, MOST_A_CALL):
            stale += self.exchange(executor, "", [], limit=0, settlements=some, shard=shard).stale
        return stale

    def claim(self, executor: str, worker: str, queues: Sequence[str], limit: int) -> Exchange:
        """Claim only, on the default shard."""
        return self.exchange(executor, worker, queues, limit=limit)

    def wait(self, executor: str, seconds: float, shard: int = 0) -> Exchange | None:
        """Block until this idle executor is woken. Return None after ``seconds`` without.

        If it made an offer, and serves one queue, it may be handed a task with that, which saves it
        the claim. If it made one and gets anything but a task under its token, or does not wait
        after all, it must ``withdraw`` it: stolen tasks come by a mere wake-up.
        """
        command = ("BLPOP", keys.wake(shard, executor), seconds)
        woken = self.link.call(*command, answer_within=seconds + self.link.timeout)
        return woken and wire.handed(woken[1])

    def withdraw(self, executor: str, offer: str, shard: int = 0) -> Exchange:
        """End an offer. Return what was handed over or stolen for it; the same if called again."""
        tasks, unreadable = wire.claimed(self.run("withdraw", shard, executor, offer))
        return Exchange(offer, tasks, [], unreadable=unreadable)

    def start(self, executor: str, ids: Sequence[str], shard: int = 0) -> int:
        """Publish held tasks as processing. Return how many were news."""
        return sum(self.run("start", shard, executor, *some) for some in slices(ids, MOST_A_CALL))

    def remark(
        self, executor: str, remarks: Sequence[Remark], *, tells: bool = False, shard: int = 0
    ) -> list[str]:
        """Keep what held tasks say of themselves, each once; ``tells`` lets the recorder know.

        Return the ids of those that are not held so: of them nothing was kept.
        """
        bounds = (conf().task_log_lines, conf().task_log_bytes, int(tells))
        refused = []
        for some in slices(remarks, MOST_REMARKS):
            words: list[Any] = []
            for r in some:
                words += (r.id, r.token, r.serial, r.progress, r.checkpoint, r.lines)
            refused += wire.texts(self.run("remark", shard, executor, *bounds, *words))
        return refused

    # --- from hand to hand ---

    def taker(self, worker: str, executor: str, queues: Sequence[str]) -> str:
        """An idle executor that takes stolen tasks of all these queues; "" if none is at hand.

        Not ``executor`` of ``worker``, who has tasks to give away. The queues must share a shard.
        """
        if not queues:
            return ""
        shard = keys.shard_of(queues[0])
        return self.run("taker", shard, worker, executor, *map(escaped, queues)).decode()

    def steal(
        self, executor: str, taker: str, held: Mapping[str, str], shard: int = 0
    ) -> list[str]:
        """Hand tasks (id -> token) that have not started over to an idle executor.

        They are its under the token that it offered, and it is woken. Return the ids that changed
        hands; of many or of big tasks only the first do, of none if it offers no longer.
        """
        flat = [word for pair in islice(held.items(), MOST_A_CALL) for word in pair]
        return wire.texts(self.run("steal", shard, executor, taker, *flat))

    # --- back ---

    def release(self, executor: str, held: dict[str, str], shard: int = 0) -> list[str]:
        """Give unstarted or interrupted tasks (id -> token) back, uncharged.

        Return the ids that were still held so.
        """
        released, left = [], list(held.items())
        while left:
            flat = [word for pair in left[:MOST_A_CALL] for word in pair]
            looked_at, some = self.run("release", shard, executor, *flat)
            released += wire.texts(some)
            del left[:looked_at]
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

        Started tasks are charged with a crash, for which ``reason`` goes into their attempts. Of a
        whole worker nobody knows what had just started: the others become suspects.
        Return how many tasks came back; 0 if the worker has a lease after all.
        """
        taken, done, started = 0, False, list(started)
        while not done:
            some, done = self.run_as_leader(
                "reap", shard, worker, executor, conf().max_crashes,
                int(conf().backoff_seconds * 1000), reason.encode(), in_doubt(reason).encode(),
                MOST_A_CALL, len(queues), *map(escaped, queues), *started,
            )  # fmt: skip
            taken += some
        return taken

    def promote(self, limit: int = MOST_A_CALL, shard: int = 0) -> tuple[int, int]:
        """Make due tasks pending and expire what is over. Return (tasks, ms to the next or -1)."""
        looked_at, next_ms = self.run_as_leader("promote", shard, min(limit, MOST_A_CALL))
        return looked_at, next_ms

    # --- by order of an operator ---

    def admit(self, decisions: Sequence[Decision], shard: int = 0) -> list[str]:
        """Let tasks go that wait for others, or cancel them; return the ids of those that were.

        Any other was decided before, or has moved on since it was looked at, as has its reason.
        """
        decided = []
        for some in slices(decisions, MOST_A_CALL):
            words = [w for d in some for w in (d.id, d.version, d.not_before_ms, d.line, d.reason)]
            decided += wire.texts(self.run_as_leader("admit", shard, *words))
        return decided

    def cancel(
        self, ids: Sequence[str], *, by: str = "", why: str = ""
    ) -> dict[str, Status | None]:
        """End open tasks. Return the status that each had before, None for an unknown one.

        Who holds one loses it at once, and its worker is ordered to stop it. ``why`` is a sentence
        for each task; by default it names who asked.
        """
        line = _cancelled(by, why)
        before: dict[str, Status | None] = dict.fromkeys(ids)
        for shard in keys.shards():
            asked = [task_id for task_id in before if before[task_id] is None]
            while asked:
                answers = self.run("cancel", shard, line, *asked[:MOST_A_CALL])
                before |= {i: Status(a.decode()) for i, a in zip(asked, answers, strict=False) if a}
                del asked[: len(answers)]
        return before

    def bury(
        self,
        messages: Sequence[TaskMessage],
        *,
        not_after_ms: int,
        durability: str = FAST,
        by: str = "",
        why: str = "",
    ) -> None:
        """Store up to 1,000 tasks of one shard as cancelled, that nobody has submitted.

        Those that Redis knows stay as they are. The call may be repeated. Raise TooLate,
        NotDurable, or UnknownOutcome.
        """
        if durability != FAST:
            must_be_possible(self.link, durability)
        words = [word for message in messages for word in (message.id, message.encode())]
        shard = keys.shard_of(messages[0].queue)
        answer = self.run(
            "bury", shard, not_after_ms, _cancelled(by, why), *words, durability=durability
        )
        if answer == [b"late"]:
            raise TooLate("The cancel took longer than its time limit.")

    def retry(
        self, message: TaskMessage, recorded: State, remarks: bytes = b"", *, waits: bool = False
    ) -> None:
        """Open the next run of a finished task, as ``message`` now defines it.

        One that has parents ``waits`` for them again, or does not.

        ``recorded`` is its state as the database has it, used if Redis has forgotten the task; and
        so are its ``remarks``.
        Raise WrongState if it is open, or if another task is that has its unique key.
        """
        refused = self.run(
            "retry", keys.shard_of(message.queue), message.id, message.encode(),
            recorded.status.value, recorded.epoch, recorded.run, recorded.version, recorded.lines,
            message.marks(waits=waits), remarks,
        )  # fmt: skip
        match wire.texts(refused):
            case [_, other]:
                raise WrongState(f"Task {other} is open, with the same key.")
            case [status]:
                raise WrongState(f"The task is {status}; only a finished one can be retried.")

    def amend(self, tasks: Sequence[tuple[bytes, TaskMessage]], shard: int = 0) -> dict[str, str]:
        """Give open tasks that nobody holds another queue or priority.

        A task is its definition as it must still be, and what it is to be; its queues must be in
        this shard. Return of each what came of it, by id: "amended", or what did not allow it:
        see ``amend.lua``.
        """
        done: dict[str, str] = {}
        left = list(tasks)
        while left:
            some = wire.amendments(left)
            flat = [word for each in some for word in each]
            words = wire.texts(self.run("amend", shard, conf().max_queues, *flat))
            done |= {each[0]: word for each, word in zip(some, words, strict=False)}
            del left[: len(words)]
        return done

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
        cancelled, more = self.run_as_leader("sweep", shard, min(limit, MOST_A_CALL), line)
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
        self.run_as_leader("acknowledge", shard, after)

    def forget(
        self, versions: dict[str, int], shard: int = 0, *, late: Collection[str] = ()
    ) -> int:
        """Drop recorded final tasks (id -> version); one that moved on stays. Return how many.

        Those that are ``late``, done after their deadline, are counted.
        """
        tasks = [(task_id, version, int(task_id in late)) for task_id, version in versions.items()]
        return sum(
            self.run_as_leader("forget", shard, *(word for task in some for word in task))
            for some in slices(tasks, MOST_A_CALL)
        )

    # --- after a loss ---

    def epoch(self, shard: int = 0) -> int:
        """The number of the epoch; grows when what was lost is restored. 0: it was never set."""
        return int(self.link.call("GET", keys.key(shard, "epoch")) or 0)

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch; it never falls."""
        for shard in keys.shards():
            self.run_as_leader("epoch", shard, epoch)

    def last_change(self, shard: int = 0) -> str:
        """The stream's id of the last change that there was, also if it was dropped since."""
        try:
            flat = self.link.call("XINFO", "STREAM", keys.key(shard, "changes"))
        except ResponseError as error:
            if "no such key" in str(error):
                return "0-0"
            raise
        return dict(zip(flat[::2], flat[1::2], strict=True))[b"last-generated-id"].decode()

    def has_seen(self, change: str, shard: int = 0) -> bool:
        """Whether a change was ever made here: not so if Redis was rolled back to before it.

        Later ones prove nothing: they may have been made since.
        """
        recorded = self.link.call("GET", keys.key(shard, "recorded"))
        if recorded and wire.position(change) < wire.position(recorded.decode()):
            return True
        entries = keys.key(shard, "changes")
        return bool(self.link.call("XRANGE", entries, change, change, "COUNT", 1))

    def run_id(self) -> str:
        """Which process the server is; another one after each start."""
        return run_id_in(self.link.call("INFO", "server"))

    def gate(self, shard: int = 0) -> str:
        """The run id of the server that a leader has found sound; "" if none has looked."""
        return (self.link.call("GET", keys.key(shard, "gate")) or b"").decode()

    def open_gate(self, run_id: str) -> None:
        """Let executors in, as long as the server is the one of this run id."""
        for shard in keys.shards():
            self.run_as_leader("gate", shard, run_id)

    def reconcile(
        self, epoch: int, tasks: Sequence[Recorded], shard: int = 0, dry_run: bool = False
    ) -> dict[str, str]:
        """Bring tasks of a shard to where the database has seen them, in a new epoch.

        Return of each what was done: "kept" if Redis is not behind, and nothing was changed;
        "restored" if it was open and waits again; "dropped" if it is final and Redis had it open.
        A ``dry_run`` only tells.
        """
        line = Attempt(
            outcome=Status.PENDING, ended_us=now_us(), error="Redis had lost it: restored."
        ).encode()
        done, left = {}, list(tasks)
        while left:
            some = wire.fitting(left)
            flat = [word for task in some for word in wire.as_recorded(task)]
            told = self.run_as_leader("reconcile", shard, epoch, line, int(dry_run), *flat)
            done |= {task.id: word.decode() for task, word in zip(some, told, strict=False)}
            del left[: len(told)]
        return done

    # --- looks ---

    def read(self, ids: Sequence[str], shard: int = 0) -> dict[str, tuple[bytes, bytes | None]]:
        """The raw (definition, state) of those that a shard knows."""
        found = {}
        for some in slices(ids, MOST_A_CALL):
            definitions, states = self.run("read", shard, *some)
            found |= {
                task_id: (definition, state)
                for task_id, definition, state in zip(some, definitions, states, strict=True)
                if definition is not None
            }
        return found

    def remarks(self, ids: Sequence[str], shard: int = 0) -> dict[str, Remarks]:
        """What some tasks said of themselves; nothing of those that said nothing.

        One question, if none ever did.
        """
        name, found = keys.key(shard, "remarks"), {}
        if not ids or not self.link.call("EXISTS", name):
            return found
        for some in slices(ids, MOST_A_CALL):
            heads = zip(some, self.link.call("HMGET", name, *some), strict=True)
            found |= {task_id: Remarks(head) for task_id, head in heads if head is not None}
        for some in slices(list(found), MOST_REMARKS):
            fields = [f"{task_id}:{part}" for task_id in some for part in ("state", "log")]
            parts = iter([part or b"" for part in self.link.call("HMGET", name, *fields)])
            for task_id in some:
                found[task_id] = Remarks(found[task_id].head, next(parts), next(parts))
        return found

    def checkpoint(self, task_id: str, shard: int = 0) -> bytes:
        """What a task has saved last, as JSON; b"": nothing."""
        return self.link.call("HGET", keys.key(shard, "remarks"), f"{task_id}:state") or b""

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
        return wire.texts(found)

    def scheduled_ids(self, queue: str, limit: int) -> list[str]:
        """Up to ``limit`` ids that are scheduled or retrying in a queue, earliest first."""
        return wire.texts(self.link.call("ZRANGE", keys.scheduled(queue), 0, max(limit - 1, 0)))

    def held_ids(self, executor: str, shard: int = 0) -> dict[str, str]:
        """What an executor holds: id -> token."""
        flat = wire.texts(self.link.call("HGETALL", keys.held(shard, executor)))
        return dict(zip(flat[::2], flat[1::2], strict=True))

    def standing(self, task_id: str, queue: str) -> Standing:
        """Where a task of a queue stands in it; also of one that Redis does not know."""
        return wire.standing(self.run("standing", keys.shard_of(queue), task_id, escaped(queue)))

    def limits_of(self, task_id: str) -> list[Limit]:
        """The limits of a task that Redis knows, and how full they are; most tasks have none."""
        task = self.get(task_id)
        if task is None or not task.message.limit:
            return []
        shard = keys.shard_of(task.message.queue)
        return wire.limits(task.message, self.run("limit", shard, task.message.limit, task_id))

    def loads(self, executors: Sequence[str]) -> dict[str, int]:
        """How many tasks each of some executors holds."""
        loads = dict.fromkeys(executors, 0)
        for shard in keys.shards():
            for some in slices(executors, MOST_A_CALL):
                for executor, load in zip(some, self.run("loads", shard, *some), strict=True):
                    loads[executor] += load
        return loads

    def stats(self) -> Stats:
        """What waits and what was counted, over all shards."""
        bounds = [rank for level in LEVELS for rank in ranks_of(level, now_us() // 1000)]
        queues, counters, unrecorded, at_ms = [], {}, 0, 0
        for shard in keys.shards():
            at_ms, counted, changes, lines = self.run("stats", shard, *bounds)
            unrecorded += changes
            for name, value in zip(counted[::2], counted[1::2], strict=True):
                counters[name.decode()] = counters.get(name.decode(), 0) + int(value)
            queues += [wire.queue_stats(line) for line in lines]
        return Stats(at_ms, sorted(queues, key=lambda queue: queue.name), unrecorded, counters)


def _cancelled(by: str, why: str) -> bytes:
    """The line of tasks that somebody cancels; ``why`` may stand for his name."""
    said = why or (by and f"Cancelled by {by}.")
    return Attempt(outcome=Status.CANCELLED, ended_us=now_us(), error=said).encode()


def _another() -> bytes:
    """The line of a task that another one stands for; {} is that one's id."""
    said = "Task {} stands for it: they have the same key."
    return Attempt(outcome=Status.CANCELLED, ended_us=now_us(), error=said).encode()


_kind: type[Broker] = Broker


@cache
def _broker(kind: type[Broker], of: Link) -> Broker:
    return kind(of)


def broker() -> Broker:
    """The broker on the configured server."""
    return _broker(_kind, link())


def make_brokers_of(kind: type[Broker]) -> None:
    """Let ``broker()`` answer with this kind: tasks_app.testing has one whose clock stands."""
    global _kind
    _kind = kind
