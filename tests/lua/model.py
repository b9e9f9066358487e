"""What the broker's operations should do, in plain Python; and a machine that compares.

The machine drives a real server through any order of calls: late and repeated ones are the normal
case. After every step each task must be in Redis exactly as the model says, and in one place.
"""

from collections import Counter
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant

from tasks_app.broker.answers import Recorded
from tasks_app.message import State, TaskMessage
from tasks_app.states import FINAL, Status

from .world import Clock, audit_due, audit_places, dump, key_names, places, states

QUEUES = ["a", "b"]
EXECUTORS = {  # executor -> the queues that it serves
    "w1:0:x": ["a"],
    "w1:1:x": ["a", "b"],
    "w2:0:x": ["a"],
    "w2:1:x": ["b", "a"],
}
WORKERS = {w: [e for e in EXECUTORS if e.startswith(w)] for w in ("w1", "w2")}
OPTIONS = {"LEASE_SECONDS": 0.1, "RENEW_SECONDS": 0.03, "MAX_CRASHES": 3, "BACKOFF_SECONDS": 0.05}
LEASE_MS, BACKOFF_MS = 100, 50

any_one = st.integers(0, 10**6)  # taken modulo the number of choices there are
some = st.integers(1, 3)


@dataclass
class Task:
    """A task as it should be."""

    message: TaskMessage
    status: Status
    place: str  # "ready", "scheduled", "held", "aside" or ""
    at_ms: int = 0  # of a scheduled one
    epoch: int = 1
    run: int = 1
    version: int = 1
    starts: int = 0
    failures: int = 0
    crashes: int = 0
    owner: str = ""
    token: str = ""
    is_in_doubt: bool = False  # the last that was said of it is that it may have begun
    is_forgotten: bool = False

    @property
    def expires_ms(self):
        return self.message.expires_us // 1000

    def move(self, status, place="", at_ms=0):
        self.status, self.place, self.at_ms = status, place, at_ms
        self.version += 1
        self.owner = self.token = ""

    def wait(self, status, now_ms, pause_ms=0):
        """Become pending, or ``status`` for a while."""
        if pause_ms:
            self.move(status, "scheduled", now_ms + pause_ms)
        else:
            self.move(Status.PENDING, "ready")

    def give(self, executor, token):
        self.move(Status.ASSIGNED, "held")
        self.owner, self.token = executor, token

    @property
    def order(self):
        return self.epoch, self.run, self.version

    @property
    def numbers(self):
        return (
            self.status, self.order, self.starts, self.failures, self.crashes, self.owner,
            self.crashes > 0 or self.is_in_doubt,
        )  # fmt: skip


def order_of(state: State):
    return state.epoch, state.run, state.version


def numbers_of(state: State):
    return (
        state.status, order_of(state), state.starts, state.failures, state.crashes, state.owner,
        state.is_suspect,
    )  # fmt: skip


@dataclass
class Offer:
    """Under which token an idle executor may be given what."""

    token: str
    until_ms: int
    is_handed: bool  # one task by whoever wakes it
    steals: bool


@dataclass(frozen=True)
class Row:
    """A task in the database."""

    definition: bytes
    raw: bytes
    state: State


class World(RuleBasedStateMachine):
    """The model's side of everything, and what always holds."""

    def __init__(self, broker):
        super().__init__()
        self.broker = broker
        self.broker.link.call("FLUSHALL")
        self.clock = Clock(broker)
        self.tasks: dict[str, Task] = {}
        self.claims: list[tuple[str, str, str]] = []  # (executor, id, token) of all times
        self.leases: dict[str, int] = {}  # worker -> until
        self.announced: set[str] = set()  # executors
        self.offers: dict[str, Offer] = {}  # of idle executors; used up by the first task
        self.unsettled: dict[str, str] = {}  # executor -> token that it offered and will ask after
        self.handed: dict[str, str] = {}  # token -> task that was handed over by a wake-up
        self.aside: list[list[tuple[float, str]]] = []
        self.paused: set[str] = set()
        self.counts = Counter()
        self.term = self.epoch = 1
        self.rows: dict[str, Row] = {}  # the database
        self.batches: list[dict[str, tuple]] = []  # that a recorder of this epoch read
        self.copy = None  # of everything, to be rolled back to

    @property
    def leader(self):
        """The broker of whoever leads."""
        return self.broker.under(self.term)

    @property
    def past(self):
        """The claims of tasks that were not lost."""
        return [claim for claim in self.claims if claim[1] in self.tasks]

    def pick(self, choices, n):
        choices = list(choices)
        return choices[n % len(choices)]

    def nothing_changes(self, without=("counters", "reply:", "term")):
        return _Unchanged(self.broker, without)

    def has_lease(self, executor):
        until_ms = self.leases.get(worker_of(executor), 0)
        return executor in self.announced and until_ms > self.clock.now_ms

    def held_by(self, executor, token=None):
        return [
            task for task in self.tasks.values()
            if task.owner == executor and token in (None, task.token)
        ]  # fmt: skip

    def expire(self, task):
        if task.expires_ms and task.expires_ms <= self.clock.now_ms:
            task.move(Status.EXPIRED)
            self.counts["expired"] += 1

    def crash(self, task, was_started, in_doubt=False):
        """The process that held it has died."""
        if not was_started:
            task.is_in_doubt |= in_doubt
            task.wait(Status.PENDING, self.clock.now_ms)
            return
        task.is_in_doubt = False
        task.starts += task.status == Status.ASSIGNED
        task.crashes += 1
        self.counts["crashed"] += 1
        if task.crashes == 3:
            task.move(Status.FAILED)
            self.counts["failed"] += 1
        else:
            pause_ms = BACKOFF_MS * (task.crashes - 1)
            task.wait(Status.RETRYING, self.clock.now_ms, pause_ms)

    def retire(self, executor):
        """The executor is gone, and with it what it offered."""
        self.announced.discard(executor)
        self.offers.pop(executor, None)
        self.unsettled.pop(executor, None)

    def write(self, batch):
        """As the database does: only ever forward."""
        for task_id, (definition, raw) in batch.items():
            row = Row(definition, raw or b"", State.decode(raw))
            before = self.rows.get(task_id)
            if before is None or order_of(row.state) > order_of(before.state):
                self.rows[task_id] = row

    def recorded(self):
        return [
            Recorded(task_id, row.definition, row.raw, row.state.is_final)
            for task_id, row in self.rows.items()
        ]

    # --- what always holds ---

    @invariant()
    def all_is_well(self):
        self.everything_is_as_it_should_be()  # first: it notes what was handed over
        self.whoever_holds_a_task_knows_or_will_ask()
        self.nothing_falls_behind_the_record()
        self.counters_tell_the_truth()

    def everything_is_as_it_should_be(self):
        found = states(self.broker)
        self._note_hand_overs(found)
        wanted = {i: t for i, t in self.tasks.items() if not t.is_forgotten}
        assert {i: numbers_of(s) for i, s in found.items()} == {
            i: t.numbers for i, t in wanted.items()
        }
        names = key_names(self.broker)
        at = places(self.broker, names)
        for task_id, task in wanted.items():
            live = [(k, v) for k, v in at.get(task_id, ()) if not k.startswith("aside:")]
            assert live == self._place(task)
        audit_places(at, found)
        audit_due(self.broker, names)

    def _note_hand_overs(self, found):
        """Whoever is woken may be handed a task: exactly one, under a token that it offered."""
        for task_id, state in found.items():
            task = self.tasks[task_id]
            if (task.place, state.status) == ("ready", Status.ASSIGNED):
                offer = self.offers.pop(state.owner, None)
                assert offer and offer.is_handed, "handed to one who does not offer"
                assert offer.until_ms >= self.clock.now_ms, "handed to one who is not idle"
                assert EXECUTORS[state.owner] == [task.message.queue]
                assert task.message.queue not in self.paused
                assert not 0 < task.expires_ms <= self.clock.now_ms
                task.give(state.owner, offer.token)
                self.handed[offer.token] = task_id

    def _place(self, task):
        q = f"q:{task.message.queue}:"
        return {
            "ready": [(f"{q}ready", float(task.message.rank))],
            "scheduled": [(f"{q}scheduled", float(task.at_ms))],
            "held": [(f"held:{task.owner}", task.token)],
        }.get(task.place, [])

    def whoever_holds_a_task_knows_or_will_ask(self):
        known = {(executor, token) for executor, _, token in self.claims}
        for task in self.tasks.values():
            if task.place == "held":
                assert (task.owner, task.token) in known | self.unsettled.items()

    def nothing_falls_behind_the_record(self):
        for task_id, row in self.rows.items():
            assert self.tasks[task_id].order >= order_of(row.state)

    def counters_tell_the_truth(self):
        seen = self.broker.stats()
        assert Counter(seen.counters) == +self.counts
        for queue in seen.queues:
            waiting = [t for t in self.tasks.values() if t.message.queue == queue.name]
            assert queue.ready == sum(t.place == "ready" for t in waiting)
            assert queue.scheduled == sum(t.place == "scheduled" for t in waiting)

    def teardown(self):
        """After a last look of the recorder the database knows all that Redis does."""
        if self.tasks and self._is_sound():
            self.write(self.leader.read(self.leader.changes(10**6).ids))
            for task_id, task in self.tasks.items():
                state = self.rows[task_id].state
                assert order_of(state) == task.order or task.status not in FINAL
                assert state.status == task.status or task.status not in FINAL
        self.broker.link.edits = [e for e in self.broker.link.edits if e[0] is not None]

    def _is_sound(self):
        """Whether the run came to its end; after a failure there is nothing to compare."""
        try:
            self.everything_is_as_it_should_be()
        except AssertionError:
            return False
        return True


def worker_of(executor):
    return executor.partition(":")[0]


class _Unchanged:
    def __init__(self, broker, without):
        self.broker, self.without = broker, without

    def __enter__(self):
        self.before = dump(self.broker, self.without)

    def __exit__(self, *error):
        assert dump(self.broker, self.without) == self.before


def refused(error, call):
    """See to it that a call raises an error."""
    try:
        call()
    except error:
        return
    raise AssertionError(f"no {error.__name__}")
