"""The machine's rules for what clients, executors and supervisors do.

Each rule is a call, perhaps made twice since its answer was lost, and what comes of it.
"""

from uuid import uuid4

import uuid_utils
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tasks_app.broker import keys
from tasks_app.exceptions import DuplicateTask, WrongState
from tasks_app.message import State, TaskMessage
from tasks_app.states import FINAL, Status

from .model import (
    EXECUTORS,
    LEASE_MS,
    QUEUES,
    WORKERS,
    Offer,
    Task,
    World,
    any_one,
    refused,
    some,
    worker_of,
)  # fmt: skip
from .world import CRASH, outcome

executors = st.sampled_from(list(EXECUTORS))


class Submits(World):
    """New tasks."""

    @rule(
        queue=st.sampled_from(QUEUES),
        priority=st.sampled_from([0, 0, 1, 100]),
        delay_ms=st.sampled_from([0, 0, 0, 5]),
        expires_ms=st.sampled_from([0, 0, 0, 0, 3, 120]),
        count=some,
    )
    def submit(self, queue, priority, delay_ms, expires_ms, count):
        messages = [
            TaskMessage(
                id=str(uuid_utils.uuid7()), type="test", queue=queue, priority=priority,
                submitted_us=self.clock.in_us(0), backoff=0.01,
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

    def submit_one(self, queue, count=1):
        """Submit within another rule; it may be handed over at once."""
        self.submit(queue, 0, 0, 0, count)
        self.everything_is_as_it_should_be()

    def cancel_one(self, task_id):
        task = self.tasks[task_id]
        before = None if task.is_forgotten else task.status
        assert self.broker.cancel([task_id]) == {task_id: before}
        if before is not None and before not in FINAL:
            task.move(Status.CANCELLED)
            task.is_in_doubt = False
            self.counts["cancelled"] += 1
            with self.nothing_changes():
                assert self.broker.cancel([task_id]) == {task_id: Status.CANCELLED}

    def retry_one(self, task_id, moves):
        task = self.tasks[task_id]
        recorded = self.rows[task_id].state if task_id in self.rows else State()
        again = TaskMessage(
            id=task_id, type="test", submitted_us=task.message.submitted_us, backoff=0.01,
            queue=QUEUES[1] if moves else task.message.queue,
        )  # fmt: skip
        if task.status not in FINAL:
            with self.nothing_changes():
                refused(WrongState, lambda: self.broker.retry(again, recorded))
            return
        self.broker.retry(again, recorded)
        task.message, task.is_forgotten = again, False
        task.wait(Status.PENDING, self.clock.now_ms)
        task.run += 1
        task.starts = task.failures = task.crashes = 0
        self.counts["submitted"] += 1


class Clients(Submits):
    """All that comes from outside."""

    @precondition(lambda self: any(not t.is_forgotten for t in self.tasks.values()))
    @rule(n=any_one)
    def submit_again(self, n):
        known = self.pick([t for t in self.tasks.values() if not t.is_forgotten], n)
        with self.nothing_changes():
            refused(DuplicateTask, lambda: self.broker.submit(known.message))

    @precondition(lambda self: self.tasks)
    @rule(n=any_one)
    def cancel(self, n):
        self.cancel_one(self.pick(self.tasks, n))

    @precondition(lambda self: self.tasks)
    @rule(n=any_one, moves=st.booleans())
    def retry(self, n, moves):
        self.retry_one(self.pick(self.tasks, n), moves)


class Executors(World):
    """Claim, work, report, wait."""

    @initialize()
    def begin(self):
        for worker in WORKERS:
            self.announce(worker)

    @rule(worker=st.sampled_from(list(WORKERS)))
    def announce(self, worker):
        self.broker.fleet.announce(worker, {}, executors=WORKERS[worker])
        self.leases[worker] = self.clock.now_ms + LEASE_MS
        self.announced |= set(WORKERS[worker])

    @rule(
        executor=executors,
        limit=some,
        idle_ms=st.sampled_from([0, 5, 2500, 2500]),
        has_offer=st.sampled_from([True, True, False]),
        steals=st.sampled_from([True, True, False]),
        is_unheard=st.booleans(),
        is_repeated=st.booleans(),
    )
    def claim(self, executor, limit, idle_ms, has_offer, steals, is_unheard, is_repeated):
        if not is_unheard:  # its wait ended with a wake-up, so it asks what came of its offer
            self.accept(executor)
        offer, request = uuid4().hex if has_offer else "", uuid4().hex
        former = self.unsettled.get(executor, "")
        asked = {
            "limit": limit, "idle_ms": idle_ms, "offer": offer, "steals": steals,
            "former": former, "request": request,
        }  # fmt: skip
        queues = EXECUTORS[executor]
        found = self.broker.exchange(executor, worker_of(executor), queues, **asked)
        if is_repeated and found.has_lease:
            with self.nothing_changes():
                again = self.broker.exchange(executor, worker_of(executor), queues, **asked)
            assert found == again
        came = self._in_order(executor, former) if former else []
        if former:
            self.offers.pop(executor, None)
            self.unsettled.pop(executor)
        if came:
            self.claims += [(executor, each.id, former) for each in came]
            assert found.token == former
            assert [stored.message for stored in found.claimed] == came
            return
        assert found.has_lease == (executor in self.announced)
        if not found.has_lease:
            return
        given = self._take(queues, limit)
        assert [stored.message for stored in found.claimed] == [task.message for task in given]
        for task in given:
            task.give(executor, found.token)
            self.claims.append((executor, task.message.id, found.token))
        if idle_ms and len(given) < limit and offer:
            until_ms = self.clock.now_ms + idle_ms
            self.offers[executor] = Offer(offer, until_ms, len(queues) == 1, steals)
            self.unsettled[executor] = offer

    def _take(self, queues, limit):
        open_queues = set(queues) - self.paused
        ready = [
            t for t in self.tasks.values()
            if t.place == "ready" and t.message.queue in open_queues
        ]  # fmt: skip
        taken = sorted(ready, key=lambda t: (t.message.rank, t.message.id))[:limit]
        for task in taken:
            self.expire(task)
        return [task for task in taken if task.status == Status.PENDING]

    @rule(executor=executors)
    def accept(self, executor):
        """The end of a wait: woken, perhaps with a task, or not; then it asks what came."""
        offer = self.unsettled.get(executor)
        if offer is None:
            return
        if self.broker.link.call("LLEN", keys.wake(0, executor)):
            handed = self.broker.wait(executor, 60)
            if handed.token == offer:  # it may have been cancelled since
                assert [stored.message.id for stored in handed.claimed] == [self.handed[offer]]
                self._settled(executor, handed)
                return
        found = self.broker.withdraw(executor, offer)
        assert [stored.message for stored in found.claimed] == self._in_order(executor, offer)
        with self.nothing_changes():
            assert self.broker.withdraw(executor, offer) == found
        self._settled(executor, found)

    def _in_order(self, executor, token):
        held = self.held_by(executor, token)
        return [t.message for t in sorted(held, key=lambda t: (t.message.rank, t.message.id))]

    def _settled(self, executor, answer):
        self.claims += [(executor, each.message.id, answer.token) for each in answer.claimed]
        self.offers.pop(executor, None)
        self.unsettled.pop(executor, None)

    @precondition(lambda self: self.past)
    @rule(n=any_one)
    def withdraw_late(self, n):
        """A call that was long on its way ends what is offered now; nobody loses by that."""
        executor, _, token = self.pick(self.past, n)
        self.broker.withdraw(executor, token)
        self.offers.pop(executor, None)

    @precondition(lambda self: self.past)
    @rule(
        n=any_one,
        said=st.sampled_from(["completed", "failed", "retry", "released", "turned_away"]),
        pause_ms=st.sampled_from([0, 5]),
        is_repeated=st.booleans(),
    )
    def finish(self, n, said, pause_ms, is_repeated):
        """By any claim that ever was; so most of those who finish are late."""
        executor, task_id, token = self.pick(self.past, n)
        task = self.tasks[task_id]
        request = uuid4().hex
        told = [outcome(task_id, token, said, pause_ms=pause_ms, number=1)]

        def finish():
            answer = self.broker.exchange(
                executor, "", [], limit=0, settlements=told, request=request
            )
            return answer.stale

        if (task.owner, task.token) != (executor, token):
            self.counts["stale"] += 1
            with self.nothing_changes():
                assert finish() == [task_id]
            return
        assert finish() == []
        self._settle(task, said, pause_ms)
        if is_repeated:
            with self.nothing_changes():
                assert finish() == []

    def _settle(self, task, said, pause_ms):
        task.is_in_doubt = False
        if said == "turned_away":
            task.starts -= task.status == Status.PROCESSING
        elif said != "released":
            task.starts += task.status == Status.ASSIGNED
            self.counts["retried" if said == "retry" else said] += 1
        task.failures += said in ("failed", "retry")
        if said in ("completed", "failed"):
            task.move(Status(said))
        else:
            status = Status.RETRYING if said == "retry" else Status.SCHEDULED
            task.wait(status, self.clock.now_ms, pause_ms)

    @precondition(lambda self: self.past)
    @rule(n=any_one)
    def start(self, n):
        executor, task_id, _ = self.pick(self.past, n)
        task = self.tasks[task_id]
        news = task.owner == executor and task.status == Status.ASSIGNED
        assert self.broker.start(executor, [task_id]) == news
        if news:
            token = task.token
            task.move(Status.PROCESSING, "held")
            task.owner, task.token = executor, token
            task.starts += 1
        with self.nothing_changes():
            assert self.broker.start(executor, [task_id]) == 0


class Supervisors(Submits, Executors):
    """Give back, hand over, bury."""

    @precondition(lambda self: self.past)
    @rule(n=any_one)
    def release(self, n):
        executor, task_id, token = self.pick(self.past, n)
        task = self.tasks[task_id]
        if (task.owner, task.token) == (executor, token):
            assert self.broker.release(executor, {task_id: token}) == [task_id]
            task.wait(Status.PENDING, self.clock.now_ms)
        with self.nothing_changes():
            assert self.broker.release(executor, {task_id: token}) == []
            held = {each.message.id: "wrong" for each in self.held_by(executor)}
            assert self.broker.release(executor, held) == []

    @precondition(lambda self: self.past)
    @rule(n=any_one, taker=executors, is_late=st.booleans())
    def steal(self, n, taker, is_late):
        """From any claim that ever was, or all that the executor holds, to anybody."""
        executor, task_id, token = self.pick(self.past, n)
        held = {task_id: token}
        if not is_late:
            held = {task.message.id: task.token for task in self.held_by(executor)}
        self._steal(executor, taker, held)

    def _steal(self, executor, taker, held):
        with self.nothing_changes():
            wrong = dict.fromkeys(held, "wrong")
            assert self.broker.steal(executor, taker, wrong) == []
        idle = {queue: self._is_idle(queue, taker) for queue in QUEUES}
        offer = self.offers.get(taker)
        may_take = offer and offer.steals and taker != executor and self.has_lease(taker)
        moved = [
            i for i, token in held.items()
            if may_take and idle[(task := self.tasks[i]).message.queue]
            and (task.owner, task.token, task.status) == (executor, token, Status.ASSIGNED)
        ]  # fmt: skip
        if moved:
            assert self.broker.steal(executor, taker, held) == moved
            del self.offers[taker]
        for task_id in moved:
            self.tasks[task_id].give(taker, offer.token)
        self.counts["stolen"] += len(moved)
        with self.nothing_changes(without=("reply:",)):
            assert self.broker.steal(executor, taker, held) == []

    def _is_idle(self, queue, executor):
        until_ms = self.broker.link.call("ZSCORE", keys.key(0, f"q:{queue}:idle"), executor)
        return until_ms is not None and float(until_ms) > self.clock.now_ms

    @rule(
        executor=executors,
        taker=executors,
        count=some,
        meanwhile=st.sampled_from(["", "", "woken", "withdraws", "claims", "silent"]),
    )
    def relieve_a_busy_one(self, executor, taker, count, meanwhile):
        """As a supervisor does: it looks for an idle executor and steals for that, if it can."""
        self.submit_one("a", count)
        self.claim(executor, count, 0, False, False, False, False)
        self.claim(taker, 3, 2500, True, True, False, False)
        if meanwhile == "woken":
            self.submit_one("a")
        elif meanwhile == "withdraws":
            self.accept(taker)
        elif meanwhile == "claims":
            self.claim(taker, 1, 0, False, False, False, False)
        elif meanwhile == "silent":
            self.clock.advance(LEASE_MS + 1)
        found = self.broker.taker(worker_of(executor), executor, ["a"])
        takes = self._takes(executor, taker)
        assert self._takes(executor, found) if found else not takes
        held = {task.message.id: task.token for task in self.held_by(executor)}
        self._steal(executor, found if found and not meanwhile else taker, held)
        self.submit_one("a")

    def _takes(self, executor, taker):
        offer = self.offers.get(taker)
        return bool(
            offer and offer.steals and taker != executor
            and self.has_lease(taker) and self._is_idle("a", taker)
        )  # fmt: skip

    @rule(
        queue=st.sampled_from(QUEUES), executor=executors, on=st.sampled_from([True, True, False])
    )
    def pause(self, queue, executor, on):
        """With somebody waiting there."""
        self.claim(executor, 3, 2500, True, True, False, False)
        was = queue in self.paused
        assert (self.broker.pause if on else self.broker.resume)(queue) == (was != on)
        (self.paused.add if on else self.paused.discard)(queue)
        self.submit_one(queue)
        self.claim(executor, 1, 0, False, False, False, False)

    @rule(worker=st.sampled_from(list(WORKERS)))
    def resign(self, worker):
        holds = any(self.held_by(e) for e in self.announced if worker_of(e) == worker)
        if holds:
            with self.nothing_changes():
                assert self.broker.fleet.resign(worker) is False
            return
        assert self.broker.fleet.resign(worker) is True
        self.leases.pop(worker, None)
        for executor in WORKERS[worker]:
            self.retire(executor)

    @rule(executor=executors, n=any_one)
    def reap_a_child(self, executor, n):
        held = self.held_by(executor)
        started = [t.message.id for i, t in enumerate(held) if n >> i & 1]
        arguments = {"reason": CRASH, "started": started, "queues": QUEUES}
        worker = worker_of(executor)
        assert self.broker.reap(worker, executor, **arguments) == len(held)
        for task in held:
            self.crash(task, task.status == Status.PROCESSING or task.message.id in started)
        self.retire(executor)
