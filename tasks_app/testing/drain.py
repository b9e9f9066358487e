"""Everything that is due, in this process: what workers and a coordinator would do by now."""

from collections.abc import Collection, Iterator

from django.db import router

from workers_app.coordinator.services.operations import Operations
from workers_app.coordinator.services.recorder import Recorder
from workers_app.coordinator.services.scheduler import Scheduler
from workers_app.executor.lanes import Lane, lanes_of

from ..broker import broker, keys
from ..broker.broker import MOST_A_CALL
from ..message import unescaped
from ..operations.models import Operation
from ..operations.words import UNDER_WAY
from ..schedules.models import Schedule
from ..schedules.sync import sync
from .clock import Clock
from .crashing import Crashes
from .executor import Executor
from .transaction import push_waiting

MOST_ATTEMPTS = 10_000  # in one drain that has no bound of its own


class StillBusy(AssertionError):
    """There is no end of tasks: probably one enqueues itself, or is retried without a pause."""


class Schedules:
    """Fires schedules while the clock stands; by real time, a test would find other tasks at noon
    than in the morning."""

    def __init__(self, clock: Clock, names: Collection[str] | None = None):
        """Plan those of some names, by default all: what was due before does not matter."""
        sync(clock.us)
        for schedule in self._active():
            schedule.next_us = 0
            if names is None or schedule.name in names:
                schedule.plan(clock.us)
            schedule.save(update_fields=["next_us"])
        self._service = Scheduler(broker(), clock=lambda: clock.us)

    def fire(self) -> None:
        """Fire what is due, by each schedule's policies."""
        self._service.tick()

    def next_us(self) -> int:
        """The first slot to come; 0 if there is none."""
        due = self._active().filter(next_us__gt=0).order_by("next_us")
        return due.values_list("next_us", flat=True).first() or 0

    def _active(self):
        rows = Schedule.objects.using(router.db_for_write(Schedule))
        return rows.filter(enabled=True, is_declared=True)


class Drain:
    """Runs until nothing is due, or up to ``most`` attempts."""

    def __init__(
        self,
        crashes: Crashes,
        schedules: Schedules | None,
        queues: Collection[str] | None = None,
        most: int | None = None,
    ):
        self._crashes = crashes
        self._schedules = schedules
        self._queues = None if queues is None else list(queues)
        self._most = most
        self._recorder = Recorder(broker())
        self._operations = Operations(broker())
        self._attempts = 0
        self.ran: dict[str, None] = {}  # ids of the tasks that were run, in their order
        self.next_us = 0  # when something is due again; 0: nothing will be

    def run(self) -> None:
        """Raise StillBusy after very many attempts, if there is no other bound."""
        executor = Executor(self._crashes)
        try:
            while self._round(executor):
                pass
        finally:
            executor.close()
        self.next_us = self._next_us()

    def _round(self, executor: Executor) -> bool:
        """Do everything once. Return whether anything was there to be done."""
        pushed = push_waiting()
        if self._schedules is not None:
            self._schedules.fire()
            pushed += push_waiting()
        self._promote()
        ran = self._run_ready(executor)
        recorded = self._record()
        done = self._operate()
        return bool(pushed or ran or recorded or done) and not self._is_enough

    @property
    def _is_enough(self) -> bool:
        return self._most is not None and self._attempts >= self._most

    def _promote(self) -> None:
        for shard in keys.shards():
            while broker().promote(shard=shard)[0] == MOST_A_CALL:
                pass
            while broker().sweep(shard=shard)[1]:
                pass

    def _run_ready(self, executor: Executor) -> bool:
        ran_any = False
        while not self._is_enough and (task_id := self._run_next(executor)):
            self.ran[task_id] = None
            ran_any = True
        return ran_any

    def _run_next(self, executor: Executor) -> str:
        task_id = next(filter(None, map(executor.run_next, self._lanes())), "")
        self._attempts += bool(task_id)
        if self._most is None and self._attempts > MOST_ATTEMPTS:
            raise StillBusy(
                f"After {MOST_ATTEMPTS:,} attempts something is still due, last task {task_id}. "
                "Does a task enqueue itself? drain(most=…) sets a bound."
            )
        return task_id

    def _lanes(self) -> Iterator[Lane]:
        return iter(lanes_of(known_queues() if self._queues is None else self._queues))

    def _record(self) -> int:
        """Write the history, as a coordinator does; return how often there was something new."""
        recorded = 0
        for shard in keys.shards():
            while broker().changes(1, shard).last:
                self._recorder.tick()
                recorded += 1
        return recorded

    def _operate(self) -> int:
        """Do bulk operations, which go by the history; return in how many slices."""
        rows = Operation.objects.using(router.db_for_write(Operation))
        slices = 0
        while rows.filter(state__in=UNDER_WAY).exists():
            self._operations.tick()
            slices += 1
        return slices

    def _next_us(self) -> int:
        """The next moment at which a task or a schedule is due."""
        found = [self._schedules.next_us()] if self._schedules is not None else []
        now_ms = broker().server_time_us() // 1000
        for shard in keys.shards():
            _, in_ms = broker().promote(shard=shard)
            found += [(now_ms + max(in_ms, 1)) * 1000] if in_ms >= 0 else []
        return min(filter(None, found), default=0)


def known_queues() -> list[str]:
    """Every queue that holds a task, or held one."""
    return [
        unescaped(queue.decode())
        for shard in keys.shards()
        for queue in sorted(broker().link.call("SMEMBERS", keys.key(shard, "queues")))
    ]
