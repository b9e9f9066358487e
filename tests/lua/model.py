"""What the broker's operations should do, in plain Python; and a machine that compares.

The machine drives a real server through any order of calls: late and repeated ones are the normal
case. After every step each task must be in Redis exactly as the model says, and in one place.
"""

from collections import Counter
from dataclasses import dataclass

import pytest
import uuid_utils
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tasks_app.exceptions import DuplicateTask, WrongState
from tasks_app.message import State, TaskMessage
from tasks_app.states import FINAL, HELD, Status

from .world import CRASH, Clock, audit_due, audit_places, dump, outcome, places, states

QUEUES = ["a", "b"]
WORKERS = {"w1": ["w1:0:x", "w1:1:x"], "w2": ["w2:0:x"]}
EXECUTORS = [executor for executors in WORKERS.values() for executor in executors]
OPTIONS = {"LEASE_SECONDS": 0.1, "RENEW_SECONDS": 0.03, "MAX_CRASHES": 3, "BACKOFF_SECONDS": 0.05}
LEASE_MS, BACKOFF_MS = 100, 50

SETTINGS = settings(
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=False,
    report_multiple_bugs=False,
    stateful_step_count=40,
    suppress_health_check=list(HealthCheck),
)
HUNT = settings(SETTINGS, phases=[Phase.generate])  # a planted bug need not be made small

any_one = st.integers(0, 10**6)  # taken modulo the number of choices there are
some = st.integers(1, 3)


@dataclass
class Task:
    """A task as it should be."""

    message: TaskMessage
    status: Status
    place: str  # "ready", "scheduled", "held", "aside" or ""
    at_ms: int = 0  # of a scheduled one
    run: int = 1
    version: int = 1
    starts: int = 0
    failures: int = 0
    crashes: int = 0
    owner: str = ""
    token: str = ""
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

    @property
    def numbers(self):
        return (
            self.status, self.run, self.version, self.starts, self.failures, self.crashes,
            self.owner,
        )  # fmt: skip


def numbers_of(state: State):
    return (
        state.status, state.run, state.version, state.starts, state.failures, state.crashes,
        state.owner,
    )  # fmt: skip


class Machine(RuleBasedStateMachine):
    """The rules, each of them a call and what should come of it."""

    def __init__(self, broker):
        super().__init__()
        self.broker = broker
        self.broker.link.call("FLUSHALL")
        self.clock = Clock(broker)
        self.tasks: dict[str, Task] = {}
        self.claims: list[tuple[str, str, str]] = []  # (executor, id, token) of all times
        self.leases: dict[str, int] = {}  # worker -> until
        self.announced: set[str] = set()  # executors
        self.aside: list[list[tuple[float, str]]] = []
        self.paused: set[str] = set()
        self.counts = Counter()
        self.rows: dict[str, tuple] = {}  # the database: id -> (run, version, state)
        self.batches: list[dict[str, State]] = []  # that the recorder read

    def pick(self, choices, n):
        choices = list(choices)
        return choices[n % len(choices)]

    def nothing_changes(self):
        return _Unchanged(self.broker)

    # --- in ---

    @initialize()
    def begin(self):
        for worker in WORKERS:
            self.announce(worker)

    @rule(
        queue=st.sampled_from(QUEUES),
        priority=st.sampled_from([0, 0, 1, 100]),
        delay_ms=st.sampled_from([0, 0, 5]),
        expires_ms=st.sampled_from([0, 0, 0, 3, 120]),
        count=some,
    )
    def submit(self, queue, priority, delay_ms, expires_ms, count):
        messages = [
            TaskMessage(
                id=str(uuid_utils.uuid7()), type="test", queue=queue, priority=priority,
                submitted_us=self.clock.in_us(0),
                run_after_us=delay_ms and self.clock.in_us(delay_ms),
                expires_us=expires_ms and self.clock.in_us(expires_ms),
            )
            for _ in range(count)
        ]  # fmt: skip
        self.broker.submit_many(messages)
        for message in messages:
            at = message.run_after_us // 1000
            status, place = (Status.SCHEDULED, "scheduled") if at else (Status.PENDING, "ready")
            self.tasks[message.id] = Task(message, status, place, at)
            self.counts["submitted"] += 1

    @precondition(lambda self: any(not t.is_forgotten for t in self.tasks.values()))
    @rule(n=any_one)
    def submit_again(self, n):
        known = self.pick([t for t in self.tasks.values() if not t.is_forgotten], n)
        with self.nothing_changes(), pytest.raises(DuplicateTask):
            self.broker.submit(known.message)

    # --- the hot path ---

    @rule(
        executor=st.sampled_from(EXECUTORS),
        queues=st.sampled_from([QUEUES, ["a"], ["b"]]),
        limit=some,
        is_repeated=st.booleans(),
    )
    def claim(self, executor, queues, limit, is_repeated):
        worker = executor.partition(":")[0]
        found = self.broker.exchange(executor, worker, queues, limit=limit)
        if is_repeated and found.has_lease:
            with self.nothing_changes():
                assert found == self.broker.exchange(
                    executor, worker, queues, limit=limit, request=found.token
                )
        assert found.has_lease == (executor in self.announced)
        given = self._take(queues, limit) if found.has_lease else []
        assert [stored.message for stored in found.claimed] == [task.message for task in given]
        for task in given:
            task.move(Status.ASSIGNED, "held")
            task.owner, task.token = executor, found.token
            self.claims.append((executor, task.message.id, found.token))

    def _take(self, queues, limit):
        open_queues = set(queues) - self.paused
        ready = [
            t for t in self.tasks.values()
            if t.place == "ready" and t.message.queue in open_queues
        ]  # fmt: skip
        taken = sorted(ready, key=lambda t: (t.message.rank, t.message.id))[:limit]
        for task in taken:
            self._expire(task)
        return [task for task in taken if task.status == Status.PENDING]

    def _expire(self, task):
        if task.expires_ms and task.expires_ms <= self.clock.now_ms:
            task.move(Status.EXPIRED)
            self.counts["expired"] += 1

    @precondition(lambda self: self.claims)
    @rule(
        n=any_one,
        said=st.sampled_from(["completed", "failed", "retry", "released"]),
        pause_ms=st.sampled_from([0, 5]),
    )
    def finish(self, n, said, pause_ms):
        """By any claim that ever was; so most of those who finish are late."""
        executor, task_id, token = self.pick(self.claims, n)
        task = self.tasks[task_id]
        settlement = outcome(task_id, token, said, pause_ms=pause_ms, number=1)
        if (task.owner, task.token) != (executor, token):
            self.counts["stale"] += 1
            with self.nothing_changes():
                assert self.broker.finish(executor, [settlement]) == [task_id]
            return
        assert self.broker.finish(executor, [settlement]) == []
        self._settle(task, said, pause_ms)

    def _settle(self, task, said, pause_ms):
        if said != "released":
            task.starts += task.status == Status.ASSIGNED
            self.counts["retried" if said == "retry" else said] += 1
        task.failures += said in ("failed", "retry")
        if said in ("completed", "failed"):
            task.move(Status(said))
        else:
            status = Status.RETRYING if said == "retry" else Status.SCHEDULED
            task.wait(status, self.clock.now_ms, pause_ms)

    @precondition(lambda self: self.claims)
    @rule(n=any_one)
    def start(self, n):
        executor, task_id, _ = self.pick(self.claims, n)
        task = self.tasks[task_id]
        news = task.owner == executor and task.status == Status.ASSIGNED
        assert self.broker.start(executor, [task_id]) == news
        if news:
            token = task.token
            task.move(Status.PROCESSING, "held")
            task.owner, task.token = executor, token
            task.starts += 1

    # --- back ---

    @precondition(lambda self: self.claims)
    @rule(n=any_one)
    def release(self, n):
        executor, task_id, token = self.pick(self.claims, n)
        task = self.tasks[task_id]
        if (task.owner, task.token) != (executor, token):
            with self.nothing_changes():
                assert self.broker.release(executor, {task_id: token}) == []
            return
        assert self.broker.release(executor, {task_id: token}) == [task_id]
        task.wait(Status.PENDING, self.clock.now_ms)

    @rule(worker=st.sampled_from(list(WORKERS)))
    def announce(self, worker):
        self.broker.fleet.announce(worker, {}, executors=WORKERS[worker])
        self.leases[worker] = self.clock.now_ms + LEASE_MS
        self.announced |= set(WORKERS[worker])

    @rule(worker=st.sampled_from(list(WORKERS)))
    def reap_a_worker(self, worker):
        """Whatever the reaper saw before, the lease counts."""
        if self.leases.get(worker, 0) > self.clock.now_ms:
            with self.nothing_changes():
                assert self.broker.reap(worker, reason=CRASH) == 0
            return
        held = [t for t in self.tasks.values() if t.owner in WORKERS[worker]]
        assert self.broker.reap(worker, reason=CRASH) == len(held)
        for task in held:
            self._crash(task, task.status == Status.PROCESSING)
        self.leases.pop(worker, None)
        self.announced -= set(WORKERS[worker])

    @rule(executor=st.sampled_from(EXECUTORS), n=any_one)
    def reap_a_child(self, executor, n):
        held = [t for t in self.tasks.values() if t.owner == executor]
        started = [t.message.id for i, t in enumerate(held) if n >> i & 1]
        worker = executor.partition(":")[0]
        taken = self.broker.reap(worker, executor, reason=CRASH, started=started, queues=QUEUES)
        assert taken == len(held)
        for task in held:
            self._crash(task, task.status == Status.PROCESSING or task.message.id in started)
        self.announced.discard(executor)

    def _crash(self, task, was_started):
        if not was_started:
            task.wait(Status.PENDING, self.clock.now_ms)
            return
        task.starts += task.status == Status.ASSIGNED
        task.crashes += 1
        self.counts["crashed"] += 1
        if task.crashes == 3:
            task.move(Status.FAILED)
            self.counts["failed"] += 1
        else:
            pause_ms = BACKOFF_MS * (task.crashes - 1)
            task.wait(Status.RETRYING, self.clock.now_ms, pause_ms)

    # --- time ---

    @rule(ms=st.sampled_from([1, 5, LEASE_MS // 2, LEASE_MS + 1]))
    def time_passes(self, ms):
        self.clock.advance(ms)

    @rule(limit=st.sampled_from([1, 2, 1000]))
    def promote(self, limit):
        while self.broker.promote(limit)[1] == 0:
            pass
        for task in self.tasks.values():
            if task.status in FINAL | HELD:
                continue
            self._expire(task)
            if task.place == "scheduled" and task.at_ms <= self.clock.now_ms:
                task.move(Status.PENDING, "ready")

    # --- by order of an operator ---

    @precondition(lambda self: self.tasks)
    @rule(n=any_one)
    def cancel(self, n):
        task_id, task = self.pick(self.tasks.items(), n)
        before = None if task.is_forgotten else task.status
        assert self.broker.cancel([task_id]) == {task_id: before}
        if before is not None and before not in FINAL:
            task.move(Status.CANCELLED)
            self.counts["cancelled"] += 1

    @precondition(lambda self: self.tasks)
    @rule(n=any_one, moves=st.booleans())
    def retry(self, n, moves):
        task_id, task = self.pick(self.tasks.items(), n)
        _, _, recorded = self.rows.get(task_id, (0, 0, State()))
        again = TaskMessage(
            id=task_id, type="test", submitted_us=task.message.submitted_us,
            queue=QUEUES[1] if moves else task.message.queue,
        )  # fmt: skip
        if task.status not in FINAL:
            with self.nothing_changes(), pytest.raises(WrongState):
                self.broker.retry(again, recorded)
            return
        self.broker.retry(again, recorded)
        task.message, task.is_forgotten = again, False
        task.wait(Status.PENDING, self.clock.now_ms)
        task.run += 1
        task.starts = task.failures = task.crashes = 0
        self.counts["submitted"] += 1

    @rule(queue=st.sampled_from(QUEUES), on=st.booleans())
    def pause(self, queue, on):
        was = queue in self.paused
        assert (self.broker.pause if on else self.broker.resume)(queue) == (was != on)
        (self.paused.add if on else self.paused.discard)(queue)

    @rule(queue=st.sampled_from(QUEUES))
    def purge(self, queue):
        gone = 0
        for place in ("ready", "scheduled"):
            waiting = [
                (task.at_ms if place == "scheduled" else task.message.rank, task_id)
                for task_id, task in self.tasks.items()
                if task.place == place and task.message.queue == queue
            ]
            for _, task_id in waiting:
                self.tasks[task_id].place = "aside"
            if waiting:
                self.aside.append(sorted(waiting))
            gone += len(waiting)
        assert self.broker.purge(queue) == gone

    @rule(limit=st.sampled_from([1, 2, 1000]))
    def sweep(self, limit):
        cancelled = 0
        for _, task_id in self.aside[0][:limit] if self.aside else ():
            task = self.tasks[task_id]
            if task.place == "aside":
                task.move(Status.CANCELLED)
                cancelled += 1
        if self.aside:
            self.aside[0] = self.aside[0][limit:]
            self.aside = [each for each in self.aside if each]
        self.counts["cancelled"] += cancelled
        assert self.broker.sweep(limit) == (cancelled, bool(self.aside))

    # --- the record ---

    @rule(limit=st.sampled_from([1, 1000]), crash=st.sampled_from(["", "", "reading", "committed"]))
    def record(self, limit, crash):
        changes = self.broker.changes(limit)
        batch = {i: stored.state for i, stored in self.broker.get_many(changes.ids).items()}
        self.batches.append(batch)
        if crash == "reading":
            return
        self._write(batch)
        if crash == "committed":
            return
        self._forget({i: s.version for i, s in batch.items() if s.is_final})
        self.broker.acknowledge(changes)

    def _write(self, batch):
        """As the database does: only ever forward."""
        for task_id, state in batch.items():
            row = (state.run, state.version, state)
            if task_id not in self.rows or row[:2] > self.rows[task_id][:2]:
                self.rows[task_id] = row

    @precondition(lambda self: self.batches)
    @rule(n=any_one)
    def replay_an_old_batch(self, n):
        """A recorder that stood still since it read, or the second of two."""
        batch = self.pick(self.batches, n)
        self._write(batch)
        self._forget({i: s.version for i, s in batch.items() if s.is_final})

    @precondition(lambda self: any(self._known_finals()))
    @rule(n=any_one, older=some)
    def forget_an_earlier_version(self, n, older):
        task = self.pick(self._known_finals(), n)
        with self.nothing_changes():
            self._forget({task.message.id: task.version - older})

    def _known_finals(self):
        return [t for t in self.tasks.values() if t.status in FINAL and not t.is_forgotten]

    def _forget(self, versions):
        dropped = 0
        for task_id, version in versions.items():
            task = self.tasks[task_id]
            if task.status in FINAL and task.version == version and not task.is_forgotten:
                task.is_forgotten = True
                dropped += 1
        assert self.broker.forget(versions) == dropped

    # --- the server ---

    @rule()
    def the_server_forgets_the_scripts(self):
        self.broker.link.call("SCRIPT", "FLUSH")

    # --- what always holds ---

    @invariant()
    def everything_is_as_it_should_be(self):
        wanted = {i: t for i, t in self.tasks.items() if not t.is_forgotten}
        found = states(self.broker)
        assert {i: numbers_of(s) for i, s in found.items()} == {
            i: t.numbers for i, t in wanted.items()
        }
        at = places(self.broker)
        for task_id, task in wanted.items():
            live = [(k, v) for k, v in at.get(task_id, ()) if not k.startswith("aside:")]
            assert live == self._place(task)
        audit_places(at, found)
        audit_due(self.broker)

    def _place(self, task):
        q = f"q:{task.message.queue}:"
        return {
            "ready": [(f"{q}ready", float(task.message.rank))],
            "scheduled": [(f"{q}scheduled", float(task.at_ms))],
            "held": [(f"held:{task.owner}", task.token)],
        }.get(task.place, [])

    @invariant()
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
            self.record(10**6, "")
            for task_id, task in self.tasks.items():
                run, version, state = self.rows[task_id]
                assert (run, version) == (task.run, task.version) or task.status not in FINAL
                assert numbers_of(state)[:3] == task.numbers[:3] or task.status not in FINAL
        self.broker.link.edits = [e for e in self.broker.link.edits if e[0] is not None]

    def _is_sound(self):
        """Whether the run came to its end; after a failure there is nothing to compare."""
        try:
            self.everything_is_as_it_should_be()
        except AssertionError:
            return False
        return True


class _Unchanged:
    def __init__(self, broker):
        self.broker = broker

    def __enter__(self):
        self.before = dump(self.broker)

    def __exit__(self, *error):
        assert dump(self.broker) == self.before
