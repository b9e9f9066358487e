"""The machine's rules for what leaders do, and for what happens to servers."""

from copy import deepcopy

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tasks_app.broker import keys
from tasks_app.exceptions import LostLead
from tasks_app.message import State, TaskMessage
from tasks_app.states import FINAL, HELD, Status

from .model import (
    LEASE_MS,
    QUEUES,
    WORKERS,
    Task,
    World,
    any_one,
    order_of,
    refused,
    some,
    worker_of,
)  # fmt: skip
from .model_work import Clients, Executors, Submits, Supervisors
from .world import CRASH, copy_of

COPIED = ("tasks", "leases", "announced", "offers", "unsettled", "aside", "paused", "counts")


class Time(World):
    """Passes."""

    @rule(ms=st.sampled_from([1, 5, LEASE_MS // 2, LEASE_MS + 1]))
    def time_passes(self, ms):
        self.clock.advance(ms)

    @rule()
    def the_server_forgets_the_scripts(self):
        self.broker.link.call("SCRIPT", "FLUSH")


class Leaders(Submits):
    """Promote, reap, sweep, record, forget."""

    @rule(limit=st.sampled_from([1, 2, 1000]))
    def promote(self, limit):
        while self.leader.promote(limit)[1] == 0:
            pass
        for task in self.tasks.values():
            if task.status in FINAL | HELD:
                continue
            self.expire(task)
            if task.place == "scheduled" and task.at_ms <= self.clock.now_ms:
                task.move(Status.PENDING, "ready")

    @rule(worker=st.sampled_from(list(WORKERS)))
    def reap_a_worker(self, worker):
        """Whatever the reaper saw before, the lease counts."""
        if self.leases.get(worker, 0) > self.clock.now_ms:
            with self.nothing_changes():
                assert self.leader.reap(worker, reason=CRASH) == 0
            return
        executors = [e for e in self.announced if worker_of(e) == worker]
        held = [t for e in executors for t in self.held_by(e)]
        assert self.leader.reap(worker, reason=CRASH, queues=QUEUES) == len(held)
        for task in held:
            self.crash(task, task.status == Status.PROCESSING, in_doubt=True)
        self.leases.pop(worker, None)
        for executor in executors:
            self.retire(executor)

    @rule(queue=st.sampled_from(QUEUES), n=any_one, comes_back=st.booleans())
    def purge(self, queue, n, comes_back):
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
        if comes_back and self.aside:
            _, task_id = self.pick(self.aside[-1], n)
            self.cancel_one(task_id)
            self.retry_one(task_id, moves=False)

    @rule(limit=st.sampled_from([1, 2, 1000]))
    def sweep(self, limit):
        cancelled = 0
        for _, task_id in self.aside[0][:limit] if self.aside else ():
            task = self.tasks.get(task_id)
            if task and task.place == "aside":
                task.move(Status.CANCELLED)
                task.is_in_doubt = False
                cancelled += 1
        if self.aside:
            self.aside[0] = self.aside[0][limit:]
            if not self.aside[0]:
                self.aside.pop(0)
        self.counts["cancelled"] += cancelled
        assert self.leader.sweep(limit) == (cancelled, bool(self.aside))

    @rule(
        limit=st.sampled_from([1, 1000]),
        crash=st.sampled_from(["", "", "reading", "committed"]),
        is_repeated=st.booleans(),
    )
    def record(self, limit, crash, is_repeated):
        changes = self.leader.changes(limit)
        batch = self.leader.read(changes.ids)
        self.batches.append(batch)
        if crash == "reading":
            return
        self.write(batch)
        if crash == "committed":
            return
        self._forget(batch)
        self.leader.acknowledge(changes)
        if is_repeated:
            with self.nothing_changes():
                self._forget(batch)
                self.leader.acknowledge(changes)

    @precondition(lambda self: self.batches)
    @rule(n=any_one)
    def replay_an_old_batch(self, n):
        """A recorder that stood still since it read, or the second of two."""
        batch = self.pick(self.batches, n)
        self.write(batch)
        self._forget(batch)

    def _known(self, is_final):
        return [
            t for t in self.tasks.values()
            if not t.is_forgotten and (t.status in FINAL) == is_final
        ]  # fmt: skip

    @precondition(lambda self: self._known(is_final=True))
    @rule(n=any_one, older=some)
    def forget_an_earlier_version(self, n, older):
        task = self.pick(self._known(is_final=True), n)
        with self.nothing_changes():
            assert self.leader.forget({task.message.id: task.version - older}) == 0

    @precondition(lambda self: self._known(is_final=False))
    @rule(n=any_one)
    def forget_an_open_one(self, n):
        task = self.pick(self._known(is_final=False), n)
        with self.nothing_changes():
            assert self.leader.forget({task.message.id: task.version}) == 0

    def _forget(self, batch):
        states = {task_id: State.decode(raw) for task_id, (_, raw) in batch.items()}
        versions = {task_id: s.version for task_id, s in states.items() if s.is_final}
        dropped = 0
        for task_id, version in versions.items():
            task = self.tasks[task_id]
            if task.status in FINAL and task.version == version and not task.is_forgotten:
                task.is_forgotten = True
                dropped += 1
        assert self.leader.forget(versions) == dropped


class Terms(World):
    """One leader is followed by another."""

    @rule()
    def somebody_else_leads(self):
        self.term += 1
        self.leader.fleet.keep_sample({})

    @precondition(lambda self: self.term > 1)
    @rule(worker=st.sampled_from(list(WORKERS)))
    def a_former_leader_goes_on(self, worker):
        self.leader.fleet.keep_sample({})
        former = self.broker.under(self.term - 1)
        versions = {i: task.version for i, task in self.tasks.items()}
        changes = former.changes(1)
        rows = self.recorded()
        duties = [
            lambda: former.promote(),
            lambda: former.reap(worker, reason=CRASH),
            lambda: former.sweep(),
            lambda: former.forget(versions or {"x": 1}),
            lambda: former.acknowledge(changes) if changes.last else former.promote(),
            lambda: former.fleet.resign(worker),
            lambda: former.reconcile(9, rows) if rows else former.promote(),
        ]
        with self.nothing_changes(without=()):
            for duty in duties:
                refused(LostLead, duty)


class Losses(Leaders, Executors):
    """The server is wiped, or rolled back."""

    @rule()
    def keep_a_copy(self):
        state = {name: deepcopy(getattr(self, name)) for name in COPIED}
        self.copy = (copy_of(self.broker), state)

    @rule(n=any_one, is_recorded=st.booleans())
    def wipe(self, n, is_recorded):
        self._go_on(n, is_recorded)
        self.broker.link.call("FLUSHALL")
        self._recover({name: type(getattr(self, name))() for name in COPIED})
        self._end_and_retry_one(n)

    @precondition(lambda self: self.copy)
    @rule(n=any_one, is_recorded=st.booleans())
    def roll_back(self, n, is_recorded):
        self._go_on(n, is_recorded)
        kept, state = self.copy
        self.broker.link.call("FLUSHALL")
        commands = [("RESTORE", keys.key(0, name), 0, copy) for name, copy in kept.items()]
        self.broker.link.calls(commands)
        self._recover(deepcopy(state))
        self._end_and_retry_one(n)

    def _go_on(self, n, is_recorded):
        """Something happens that Redis will not remember, and the database perhaps."""
        if self.past:
            self.start(n)
        if self.tasks and n % 3 == 0:
            self.cancel_one(self.pick(self.tasks, n))
        if is_recorded:
            self.record(1000, "", False)

    def _end_and_retry_one(self, n):
        """The new epoch of a task outlives its stay in Redis."""
        self.everything_is_as_it_should_be()
        restored = [i for i, task in self.tasks.items() if task.epoch == self.epoch]
        if restored and n % 2:
            task_id = self.pick(restored, n)
            self.cancel_one(task_id)
            self.record(1000, "", False)
            self.retry_one(task_id, moves=False)

    def _recover(self, state):
        """Redis has fallen back to ``state``; the database has not."""
        self.clock.advance(0)  # one of the keys
        for name, value in state.items():
            setattr(self, name, value)
        self.batches.clear()  # of a leader that was followed
        self.epoch, self.term = self.epoch + 1, self.term + 1
        rows = self.recorded()
        wanted = {row.id: self._verdict(row.id) for row in rows}
        with self.nothing_changes(without=("term",)):
            assert self.leader.reconcile(self.epoch, rows, dry_run=True) == wanted
        assert self.leader.reconcile(self.epoch, rows) == wanted
        for task_id, word in wanted.items():
            self._apply(task_id, word)
        with self.nothing_changes():
            kept = dict.fromkeys(wanted, "kept")
            assert self.leader.reconcile(self.epoch, rows) == kept

    def _verdict(self, task_id):
        task, state = self.tasks.get(task_id), self.rows[task_id].state
        is_there = task is not None and not task.is_forgotten
        if is_there and self._is_sound_beside(task, state):
            return "kept"
        if not state.is_final:
            return "restored"
        return "dropped" if is_there else "kept"

    def _is_sound_beside(self, task, state):
        if task.order[:2] != order_of(state)[:2]:
            return task.order > order_of(state)
        if state.is_final:
            return task.status in FINAL and task.version == state.version
        return task.version >= state.version

    def _apply(self, task_id, word):
        task, row = self.tasks.get(task_id), self.rows[task_id]
        if word == "kept" and task is not None and not task.is_forgotten:
            return
        state, message = row.state, TaskMessage.decode(row.definition)
        self.tasks[task_id] = task = Task(
            message, state.status, "", 0, *order_of(state), state.starts, state.failures,
            state.crashes, is_in_doubt=state.is_suspect and not state.crashes, is_forgotten=True,
        )  # fmt: skip
        if word == "restored":
            task.is_forgotten = task.is_in_doubt = False
            task.epoch = self.epoch
            at_ms, waiting = message.run_after_us // 1000, Status.SCHEDULED
            if state.status == Status.RETRYING:
                waiting = Status.RETRYING
                at_ms = state.changed_ms + 10 * 2 ** max(0, state.failures - 1)
            task.wait(waiting, self.clock.now_ms, max(0, at_ms - self.clock.now_ms))
        if word != "kept":
            self.aside = [[each for each in one if each[1] != task_id] for one in self.aside]


class Machine(Clients, Supervisors, Losses, Terms, Time):
    """All rules."""


# Some of the rules each, where something is looked for that the others would only delay.


class Thieves(Supervisors, Time):
    pass


class Workers(Clients, Supervisors, Time):
    pass


class Deputies(Clients, Supervisors, Leaders, Terms, Time):
    pass


class Rescuers(Clients, Supervisors, Losses, Time):
    pass
