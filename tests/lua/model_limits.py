"""Who may be admitted, in plain Python; and a machine that looks whether it is so after any step.

What becomes of tasks is the other model's affair. This one drives a server by all that moves tasks
with limits, and knows what is claimed when: by that it keeps buckets of its own.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tasks_app.broker import keys
from tasks_app.broker.answers import Recorded
from tasks_app.message import State
from tasks_app.options.limits import rate_of
from tasks_app.options.unique import Unique
from tasks_app.states import FINAL, HELD, Status

from .world import (
    CRASH,
    REAL_TIME,
    TEST_TIME,
    Clock,
    audit_due,
    audit_limits,
    audit_places,
    claim,
    copy_of,
    outcome,
    places,
    states,
    task,
)  # fmt: skip

EXECUTORS = ["w1:0:x", "w2:0:x"]
QUEUES = ["a", "b"]
OUTCOMES = ["completed", "failed", "retry", "released"]


@dataclass(frozen=True)
class Limited:
    """A key and its limits."""

    key: str
    concurrency: int = 0
    rate: str = ""
    takes_turns: bool = False

    @property
    def bucket(self):
        """How many tokens, and in how many ms each comes back."""
        tokens, ms = rate_of(self.rate) or (0, 0)
        return tokens, ms / tokens if tokens else 0

    @property
    def fields(self):
        return {
            "limit": self.key, "limit_label": self.key, "limit_takes_turns": self.takes_turns,
            "concurrency": self.concurrency, "rate": self.rate,
        }  # fmt: skip


KEYS = [
    Limited("few", concurrency=2),
    Limited("slow", rate="2/s"),
    Limited("both", concurrency=2, rate="3/s"),
    Limited("one", concurrency=1, takes_turns=True),
]
# A key with a bucket that is full again ends by real time, which here does not count.
BUCKET_ENDS = ("math.ceil(limit.full - now))", "600000)")
EDITS = [BUCKET_ENDS, (REAL_TIME, TEST_TIME)]

some_key = st.sampled_from([*KEYS, None])
any_one = st.integers(0, 10**6)  # taken modulo the number of choices there are


class Machine(RuleBasedStateMachine):
    """Drives a server by all that moves tasks with limits."""

    def __init__(self, broker):
        super().__init__()
        self.broker = broker
        broker.link.call("FLUSHALL")
        broker.link.edits = [edit for edit in broker.link.edits if edit[1:] not in EDITS]
        self.clock = Clock(broker)
        broker.link.edit(*BUCKET_ENDS)
        for executor in EXECUTORS:
            self.announce(executor)
        self.tasks = {}  # id -> message, of all that were stored
        self.limits = {}  # id -> Limited
        self.full_at = Counter()  # key -> when its bucket is full again, ms
        self.seen = set()  # (executor, id, token) of all that was held
        self.rows = {}  # the database
        self.copy = None
        self.epoch = 1

    def pick(self, choices, n):
        choices = list(choices)
        return choices[n % len(choices)]

    def announce(self, executor):
        self.broker.fleet.announce(executor.split(":")[0], {}, executors=[executor])

    # --- submits ---

    @rule(
        wanted=st.lists(st.tuples(some_key, st.sampled_from([0, 0, 300])), min_size=1, max_size=4),
        queue=st.sampled_from(["a", "a", "b"]),
        priority=st.sampled_from([0, 0, 1]),
        expires_ms=st.sampled_from([0, 0, 400]),
        is_unique=st.booleans(),
        is_promised=st.booleans(),
    )  # fmt: skip
    def submit(self, wanted, queue, priority, expires_ms, is_unique, is_promised):
        once = {}
        if is_unique:
            once = {"unique": Unique(on_duplicate="replace"), "unique_key": "u"}
        messages = []
        for limited, later_ms in wanted:
            message = task(
                queue=queue, priority=priority, **(limited.fields if limited else {}), **once,
                submitted_us=self.clock.in_us(0),
                run_after_us=later_ms and self.clock.in_us(later_ms),
                expires_us=expires_ms and self.clock.in_us(expires_ms),
            )  # fmt: skip
            messages.append(message)
            self.tasks[message.id] = message
            if limited:
                self.limits[message.id] = limited
        self.broker.submit_many(messages, promised=is_promised)

    @rule(
        limited=st.sampled_from(KEYS), executor=st.sampled_from(EXECUTORS),
        idle=st.booleans(), takes=st.booleans(), how=st.sampled_from([*OUTCOMES, ""]),
    )  # fmt: skip
    def crowd(self, limited, executor, idle, takes, how):
        """More of one key than there is room for; with somebody who waits for them, or comes."""
        if idle:
            self.claim(executor, 4, True, ["a"])
        self.submit([(limited, 0)] * 4, "a", 0, 0, False, False)
        self.all_is_well()
        if takes:
            self.claim(executor, 4, False, ["a"])
        if how:
            self.all_is_well()
            self.finish_all_and_claim(executor, how)

    @rule(limited=st.sampled_from(KEYS), executor=st.sampled_from(EXECUTORS), n=any_one)
    def purge_a_crowd(self, limited, executor, n):
        self.crowd(limited, executor, False, True, "")
        self.broker.purge("a")
        aside = [
            i for i, found in places(self.broker).items()
            if any(name.startswith("aside:") for name, _ in found) and i in self.tasks
        ]  # fmt: skip
        if aside and n % 3 == 0:
            self.submit([(limited, 0)] * 3, "a", 0, 0, False, False)
            self.cancel_and_retry_one(self.pick(sorted(aside), n))
        elif n % 3 == 1:
            self.finish_all_and_claim(executor, "completed")
        while n % 2 and self.broker.sweep()[1]:
            pass

    @rule(limited=st.sampled_from(KEYS), executor=st.sampled_from(EXECUTORS), starts=st.booleans())
    def expire_in_line(self, limited, executor, starts):
        self.submit([(limited, 0)] * 4, "a", 0, 400, False, False)
        if starts:
            self.claim(executor, 4, False, ["a"])
        self.all_is_well()
        self.time_passes(500, True)

    @rule(limited=st.sampled_from(KEYS), executor=st.sampled_from(EXECUTORS))
    def lose_what_has_ended(self, limited, executor):
        self.crowd(limited, executor, False, True, "")
        self.keep_a_copy()
        self.finish_all_and_claim(executor, "completed")
        self.record(False)
        self.all_is_well()
        self.lose(False)

    # --- what moves and ends tasks ---

    @rule(ms=st.sampled_from([1, 100, 334, 500, 2000]), promotes=st.booleans())
    def time_passes(self, ms, promotes):
        self.clock.advance(ms)
        if promotes:
            while self.broker.promote(3)[1] == 0:
                pass

    @rule(
        executor=st.sampled_from(EXECUTORS), limit=st.integers(1, 4), idle=st.booleans(),
        queues=st.sampled_from([["a"], ["a"], ["b", "a"]]),
    )  # fmt: skip
    def claim(self, executor, limit, idle, queues):
        offer = f"{executor}-{self.clock.now_ms}-{len(self.seen)}" if idle else ""
        idle_ms = 60_000 if idle else 0
        claim(self.broker, executor, limit, queues, idle_ms=idle_ms, offer=offer)
        self.tokens_are_not_overdrawn()  # before they can be finished

    @rule(n=any_one, how=st.sampled_from(OUTCOMES), pause_ms=st.sampled_from([0, 0, 250]))
    def finish_one(self, n, how, pause_ms):
        """By any claim that ever was; so many of those who finish are late."""
        if self.seen:
            executor, task_id, token = self.pick(sorted(self.seen), n)
            pause_ms = pause_ms if how in ("retry", "released") else 0
            self.broker.finish(executor, [outcome(task_id, token, how, pause_ms)])

    @rule(executor=st.sampled_from(EXECUTORS), how=st.sampled_from(OUTCOMES))
    def finish_all_and_claim(self, executor, how):
        held = self.broker.held_ids(executor)
        done = [outcome(task_id, token, how) for task_id, token in held.items()]
        claim(self.broker, executor, 4, QUEUES, idle_ms=0, settlements=done)

    @rule(executor=st.sampled_from(EXECUTORS), n=any_one)
    def start(self, executor, n):
        held = self.broker.held_ids(executor)
        self.broker.start(executor, list(held)[: n % 3])

    @rule(executor=st.sampled_from(EXECUTORS))
    def release(self, executor):
        held = self.broker.held_ids(executor)
        if held:
            self.broker.release(executor, held)

    @rule(executor=st.sampled_from(EXECUTORS), n=any_one)
    def reap(self, executor, n):
        started = list(self.broker.held_ids(executor))[: n % 3]
        self.broker.reap(
            executor.split(":")[0], executor, reason=CRASH, started=started, queues=QUEUES
        )
        self.announce(executor)

    @precondition(lambda self: self.tasks)
    @rule(n=any_one)
    def cancel(self, n):
        self.broker.cancel([self.pick(self.tasks, n)])

    @rule(n=any_one, queue=st.sampled_from(QUEUES))
    def purge(self, n, queue):
        self.broker.purge(queue)
        if n % 2:
            self.cancel_and_retry(n)

    @rule()
    def sweep(self):
        self.broker.sweep()

    @rule(queue=st.sampled_from(QUEUES), on=st.booleans())
    def pause(self, queue, on):
        (self.broker.pause if on else self.broker.resume)(queue)

    @precondition(lambda self: self.tasks)
    @rule(n=any_one)
    def cancel_and_retry(self, n):
        """Also of what the database alone knows."""
        if self.tasks:
            self.cancel_and_retry_one(self.pick(self.tasks, n))

    def cancel_and_retry_one(self, task_id):
        self.broker.cancel([task_id])
        recorded = self.rows.get(task_id)
        stored = self.broker.get(task_id)
        state = stored.state if stored else recorded and State.decode(recorded.state)
        if state and state.status in FINAL and not self.tasks[task_id].unique:
            self.broker.retry(self.tasks[task_id], state)

    # --- losses ---

    @rule(forgets=st.booleans())
    def record(self, forgets):
        versions = {}
        for task_id, (definition, raw) in self.broker.read(list(self.tasks)).items():
            state = State.decode(raw)
            self.rows[task_id] = Recorded(task_id, definition, raw or b"", state.is_final)
            if state.is_final:
                versions[task_id] = state.version
        if forgets and versions:
            self.broker.forget(versions)

    @rule()
    def keep_a_copy(self):
        self.record(False)
        self.copy = copy_of(self.broker)

    @rule(is_wiped=st.booleans())
    def lose(self, is_wiped):
        """Wiped, or rolled back; what was never recorded is lost then."""
        if self.copy is None and not is_wiped:
            return
        self.broker.link.call("FLUSHALL")
        if not is_wiped:
            commands = [("RESTORE", keys.key(0, n), 0, copy) for n, copy in self.copy.items()]
            self.broker.link.calls(commands)
        self.clock.advance(0)
        for executor in EXECUTORS:
            self.announce(executor)
        self.epoch += 1
        if self.rows:
            self.broker.reconcile(self.epoch, list(self.rows.values()))
        self.tasks = {i: message for i, message in self.tasks.items() if i in self.rows}
        # Buckets are as they were then.
        self.full_at = Counter()
        for limited in KEYS:
            full = self.broker.link.call("HGET", keys.key(0, f"limit:{limited.key}"), "full")
            self.full_at[limited.key] = float(full or 0)
        self.seen = set(self.held())

    # --- what always holds ---

    def held(self):
        for executor in EXECUTORS:
            for task_id, token in self.broker.held_ids(executor).items():
                yield executor, task_id, token

    @invariant()
    def all_is_well(self):
        found = states(self.broker)
        at = places(self.broker)
        audit_places(at, found)
        audit_due(self.broker)
        audit_limits(self.broker)
        self.marks_are_kept(found)
        self.tokens_are_not_overdrawn()
        self.places_are_not_overdrawn(found, at)

    def marks_are_kept(self, found):
        marked = {i.decode() for i in self.broker.link.call("HKEYS", keys.key(0, "marks"))}
        assert {i for i in found if i in self.limits} == marked & self.limits.keys()

    def tokens_are_not_overdrawn(self):
        """All that is claimed, now or ever, had a token."""
        now_ms = self.clock.now_ms
        for claimed in set(self.held()) - self.seen:
            self.seen.add(claimed)
            limited = self.limits.get(claimed[1])
            if limited and limited.rate:
                tokens, each_ms = limited.bucket
                full_at = max(self.full_at[limited.key], now_ms) + each_ms
                self.full_at[limited.key] = full_at
                assert full_at - now_ms <= tokens * each_ms + 0.01, "begun without a token"

    def places_are_not_overdrawn(self, found, at):
        standing = defaultdict(Counter)
        for task_id, state in found.items():
            if task_id in self.limits:
                limited = self.limits[task_id]
                kind = "held" if state.status in HELD else state.status
                is_aside = any(name.startswith("aside:") for name, _ in at.get(task_id, ()))
                if is_aside and kind != "held":  # else it was cancelled, retried and claimed since
                    kind = self._kind_aside(limited, task_id)
                standing[limited][kind] += 1
        parked = self.broker.link.call("ZRANGE", keys.key(0, "parked"), 0, -1, "WITHSCORES")
        parked = {
            key.decode(): float(ms) for key, ms in zip(parked[::2], parked[1::2], strict=True)
        }
        for limited, counts in standing.items():
            self._judge(limited, counts, parked.get(limited.key))

    def _kind_aside(self, limited, task_id):
        """What was admitted and purged keeps its place until that is swept."""
        admitted = keys.key(0, f"limit:{limited.key}:admitted")
        is_admitted = self.broker.link.call("SISMEMBER", admitted, task_id)
        return Status.PENDING if is_admitted else "aside"

    def _judge(self, limited, counts, parked_ms):
        now_ms = self.clock.now_ms
        admitted = counts["held"] + counts[Status.PENDING]
        is_full = 0 < limited.concurrency <= admitted
        assert not limited.concurrency or admitted <= limited.concurrency, "too many at once"
        if not limited.rate:
            assert is_full or not counts[Status.WAITING], "waits though there is room"
            return
        tokens, each_ms = limited.bucket
        spent = max(0, self.full_at[limited.key] - now_ms) / each_ms
        ready = counts[Status.PENDING]
        assert spent + ready <= tokens + 0.01, "more is ready than there are tokens"
        if is_full or not counts[Status.WAITING] or ready == tokens:
            return
        assert parked_ms is not None, "waits, and nobody will look"
        next_ms = self.full_at[limited.key] - (tokens - ready - 1) * each_ms
        assert parked_ms - 1 <= next_ms, "is looked at later than there is a token"

    def teardown(self):
        self.broker.link.edits = [e for e in self.broker.link.edits if e[1:] not in EDITS]
