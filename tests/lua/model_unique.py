"""Who should have which unique key, in plain Python; and a machine that compares.

What becomes of tasks is the other model's affair: this one looks at where they are, and says what a
submit then does, and which keys are taken after any step.
"""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tasks_app.broker import keys
from tasks_app.exceptions import DuplicateTask, WrongState
from tasks_app.options.unique import Unique
from tasks_app.states import FINAL, HELD, Status

from .world import (
    Clock,
    audit_places,
    claim,
    dump,
    executor_of,
    named,
    outcome,
    places,
    states,
    task,
)  # fmt: skip

EXECUTOR = "w1:0:x"
KEYS = ["a", "b"]
WAIT_MS, MOST_MS, PERIOD_SECONDS = 1000, 1200, 3600
KINDS = ["existing", "replace", "refuse", "period", "debounce"]
OUTCOMES = ["completed", "failed", "retry", "released", ""]
any_one = st.integers(0, 10**6)  # taken modulo the number of choices there are


def task_of(kind, key, later):
    """A task that has a key, in one of all ways; or a plain one."""
    fields = {"unique_key": key, "run_after_us": later}
    if kind == "debounce":
        return task(**fields, debounce=WAIT_MS / 1000, debounce_most=MOST_MS / 1000)
    period = PERIOD_SECONDS if kind == "period" else 0
    policy = "existing" if kind == "period" else kind
    return task(**fields, unique=Unique(on_duplicate=policy, period=period))


class Machine(RuleBasedStateMachine):
    """Drives a server by submits, and by all that ends tasks."""

    def __init__(self, broker):
        super().__init__()
        self.broker = broker
        broker.link.call("FLUSHALL")
        broker.link.edits = [edit for edit in broker.link.edits if edit[0] is not None]
        self.clock = Clock(broker)
        executor_of(broker)
        self.tasks = {}  # id -> message, of all that were stored
        self.kinds = {}  # id -> how it was submitted
        self.owners = {}  # key -> (id, ms of the first submit, whether for a period)
        self.tokens = {}  # id -> token

    def pick(self, choices, n):
        choices = list(choices)
        return choices[n % len(choices)]

    def standing(self, task_id):
        """The status of a task that is open and in its place; None of another one."""
        state = states(self.broker).get(task_id)
        if state is None or state.status in FINAL:
            return None
        live = [k for k, _ in places(self.broker).get(task_id, ()) if not k.startswith("aside:")]
        return state.status if live else None

    # --- submits ---

    @rule(
        wanted=st.lists(
            st.tuples(st.sampled_from(KINDS), st.sampled_from(KEYS), st.booleans()),
            min_size=1, max_size=3,
        ),
        promised=st.booleans(),
    )  # fmt: skip
    def submit(self, wanted, promised):
        later = self.clock.in_us(500)
        some = [(kind, task_of(kind, key, later * is_later)) for kind, key, is_later in wanted]
        expected = self.expected(some, promised)
        messages = [message for _, message in some]
        if expected is None:
            before = dump(self.broker, without=())
            try:
                self.broker.submit_many(messages, promised=promised)
            except DuplicateTask:
                assert dump(self.broker, without=()) == before
                return
            raise AssertionError("no DuplicateTask")
        others, ended, waits, owners = expected
        try:
            assert self.broker.submit_many(messages, promised=promised) == others
        except DuplicateTask as error:
            raise AssertionError("it is refused") from error
        found, at = states(self.broker), places(self.broker)
        for kind, message in some:
            if message.id not in others:
                self.tasks[message.id], self.kinds[message.id] = message, kind
        for task_id in ended:
            assert found[task_id].status == Status.CANCELLED
        for task_id, at_ms in waits.items():
            if task_id not in ended and at_ms > self.clock.now_ms:
                assert at[task_id] == [("q:default:scheduled", float(at_ms))]
        self.owners = owners

    def expected(self, some, promised):
        """What a call does: others, the cancelled, due moments, owners; None if it is refused."""
        others, ended, waits, owners = {}, set(), {}, dict(self.owners)
        now_ms = self.clock.now_ms
        found = states(self.broker)

        def status_of(task_id):
            if task_id in waits:
                return Status.SCHEDULED if waits[task_id] > now_ms else Status.PENDING
            return self.standing(task_id)

        for kind, message in some:
            key, at_ms = message.unique_key, message.run_after_us // 1000
            old, first_ms, _ = owners.get(key, ("", now_ms, False))
            status = status_of(old)
            is_new = True
            if kind == "debounce":
                is_unstarted = old in waits or (status and found[old].starts == 0)
                if status == Status.SCHEDULED and is_unstarted:
                    ended.add(old)
                    at_ms = max(at_ms, min(now_ms + WAIT_MS, first_ms + MOST_MS))
                    is_new = False
                else:
                    at_ms = max(at_ms, now_ms + WAIT_MS)
            elif kind == "replace":
                if status and status not in HELD:
                    ended.add(old)
            elif old and (status or kind == "period"):
                if promised:
                    ended.add(message.id)
                    continue
                if kind == "refuse":
                    return None
                others[message.id] = old
                continue
            waits[message.id] = at_ms
            owners[key] = (message.id, now_ms if is_new else first_ms, kind == "period")
        return others, ended, waits, owners

    # --- what moves and ends tasks ---

    @rule(ms=st.sampled_from([1, 499, 1000, 2000]), promotes=st.booleans())
    def time_passes(self, ms, promotes):
        self.clock.advance(ms)
        if promotes:
            self.broker.promote()

    def claim(self, limit):
        exchange = claim(self.broker, EXECUTOR, limit=limit, idle_ms=0)
        self.tokens |= {stored.message.id: exchange.token for stored in exchange.claimed}

    @precondition(lambda self: self.tasks)
    @rule(n=any_one, starts=st.booleans(), how=st.sampled_from(OUTCOMES))
    def run_one(self, n, starts, how):
        """Of those in hand; some of them may have been lost."""
        self.claim(1)
        if self.tokens:
            self.settle(n, starts, how)

    def settle(self, n, starts, how):
        task_id = self.pick(self.tokens, n)
        if starts:
            self.broker.start(EXECUTOR, [task_id])
        if how:
            pause_ms = 700 if how in ("retry", "released") else 0
            done = outcome(task_id, self.tokens.pop(task_id), how, pause_ms)
            self.broker.finish(EXECUTOR, [done])

    @precondition(lambda self: self.tasks)
    @rule(how=st.sampled_from(OUTCOMES))
    def run_all(self, how):
        """All that waits."""
        self.clock.advance(MOST_MS)
        self.broker.promote()
        self.claim(100)
        for n in range(len(self.tokens)):
            self.settle(n, True, how)

    @precondition(lambda self: self.tasks)
    @rule(n=any_one)
    def cancel(self, n):
        self.broker.cancel([self.pick(self.tasks, n)])

    @rule(sweeps=st.booleans())
    def purge(self, sweeps):
        if sweeps:
            self.broker.sweep()
        else:
            self.broker.purge("default")

    @precondition(lambda self: self.tasks)
    @rule(n=any_one)
    def retry(self, n):
        """Of a finished task, unless another open one has its key."""
        found = states(self.broker)
        final = [task_id for task_id, state in found.items() if state.status in FINAL]
        if not final:
            return
        task_id = self.pick(sorted(final), n)
        message, state = self.tasks[task_id], found[task_id]
        is_for_a_period = self.kinds[task_id] == "period"
        owner = self.owners.get(message.unique_key, ("",))[0]
        if not is_for_a_period and owner not in ("", task_id) and self.standing(owner):
            try:
                self.broker.retry(message, state)
            except WrongState:
                return
            raise AssertionError("no WrongState")
        try:
            self.broker.retry(message, state)
        except WrongState as error:
            raise AssertionError("it is refused") from error
        if not is_for_a_period:
            self.owners[message.unique_key] = (task_id, self.clock.now_ms, False)

    @rule()
    def record_and_forget(self):
        final = {i: s.version for i, s in states(self.broker).items() if s.status in FINAL}
        if final:
            assert self.broker.forget(final) == len(final)

    @rule()
    def all_periods_end(self):
        for key, (_, _, is_for_a_period) in list(self.owners.items()):
            if is_for_a_period:
                self.broker.link.call("PEXPIRE", keys.key(0, f"unique:{key}"), 0)
                del self.owners[key]

    # --- what always holds ---

    @invariant()
    def keys_are_with_whom_they_should_be(self):
        found = states(self.broker)
        for key, (task_id, _, is_for_a_period) in list(self.owners.items()):
            is_over = task_id not in found or found[task_id].status in FINAL
            if is_over and not is_for_a_period:
                del self.owners[key]
        taken = {
            name.removeprefix("unique:"): self.broker.link.call("GET", keys.key(0, name)).decode()
            for name in named(self.broker, "unique:*")
        }
        assert {key: value.split(" ")[0] for key, value in taken.items()} == {
            key: owner for key, (owner, _, _) in self.owners.items()
        }
        audit_places(places(self.broker), found)

    @invariant()
    def marks_are_kept_exactly_as_long_as_tasks(self):
        marked = self.broker.link.call("HKEYS", keys.key(0, "marks"))
        assert {task_id.decode() for task_id in marked} == set(states(self.broker))

    def teardown(self):
        self.broker.link.edits = [e for e in self.broker.link.edits if e[0] is not None]
