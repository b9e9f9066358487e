"""The scheduler: submits the tasks of schedules, each slot once."""

import logging
from collections.abc import Callable
from datetime import UTC

from django.db import InterfaceError, OperationalError, connections, router, transaction

from tasks_app import outbox
from tasks_app.broker import Broker
from tasks_app.exceptions import (
    InvalidCall,
    KeyMissing,
    SealBroken,
    UnknownTaskType,
    ValueTooLarge,
)
from tasks_app.lookup import find_many
from tasks_app.message import moment
from tasks_app.models import TaskRecord
from tasks_app.schedules.due import OVERTAKEN, Due, due_of
from tasks_app.schedules.firing import LONGEST_REASON, id_of, message_of, prune, put
from tasks_app.schedules.models import Firing, Schedule
from tasks_app.schedules.policies import Overlap
from tasks_app.schedules.sync import sync

from ...service import Service
from ..rows import printable

logger = logging.getLogger(__name__)

LONGEST_SECONDS = 1.0  # between two looks: somebody may have made a schedule, or changed one
SHORTEST_SECONDS = 0.02
MOST_AT_ONCE = 100  # schedules in one transaction

# What is wrong with one schedule, and stops no other.
REFUSALS = (
    UnknownTaskType, InvalidCall, ValueTooLarge, KeyMissing, SealBroken, TypeError, ValueError,
)  # fmt: skip
AGAIN_US = 60_000_000  # until it is looked again whether a schedule can be read


class Scheduler(Service):
    """Fires what is due, by the clock of Redis, which all leaders share.

    A slot is fired by a transaction that writes its Firing, its task into the outbox, and the
    schedule's next slot. It holds the schedule's row and begins by reading it, so of two leaders
    the second finds that the slot is none any more; and it ends by asking whether this one still
    leads. So there is no step between two of which a crash could lose or repeat a slot: before
    the commit nothing was fired, after it the outbox delivers. While the database or Redis is
    away nothing is fired; what was missed is then up to the schedule's catch-up policy.
    """

    def __init__(self, broker: Broker, clock: Callable[[], int] | None = None):
        super().__init__()
        self._broker = broker
        self._clock = clock or broker.server_time_us  # microseconds since the epoch
        self._is_synced = False
        self._using = router.db_for_write(Schedule)

    def tick(self) -> float:
        """Fire what is due; the pause ends with the next slot, or after a second."""
        try:
            return self._tick()
        except (OperationalError, InterfaceError):
            connections[self._using].close()  # it may be broken
            raise

    def _tick(self) -> float:
        now_us = self._clock()
        if not self._is_synced:
            self._is_synced = sync(now_us)
        while self._fire_some(now_us) == MOST_AT_ONCE and not self.stopping.is_set():
            now_us = self._clock()
        next_us = self._active().order_by("next_us").values_list("next_us", flat=True).first()
        pause = LONGEST_SECONDS if next_us is None else (next_us - now_us) / 1e6
        return min(max(pause, SHORTEST_SECONDS), LONGEST_SECONDS)

    def _active(self):
        rows = Schedule.objects.using(self._using)
        return rows.filter(enabled=True, is_declared=True, next_us__gt=0)

    def _fire_some(self, now_us: int) -> int:
        """Fire up to so many schedules that are due. Return how many were."""
        if not self._active().filter(next_us__lte=now_us).exists():
            return 0  # most of the time, and without a lock
        with transaction.atomic(using=self._using):
            rows = self._active().filter(next_us__lte=now_us).order_by("next_us")
            # Not those that a leader before, or somebody who edits, holds: he may be asleep.
            due = list(rows.select_for_update(skip_locked=True)[:MOST_AT_ONCE])
            for schedule in due:
                self._fire(schedule, self._due(schedule, now_us), now_us)
            self._broker.must_lead()  # asked last: a leader that slept changes nothing
        return len(due)

    def _due(self, schedule: Schedule, now_us: int) -> Due:
        try:
            return due_of(schedule, now_us)
        except Exception as error:  # a time zone that only others know: the rest is not to suffer
            logger.exception("event=schedule_not_understood schedule=%s", schedule.name)
            said = f"{type(error).__name__}: {error}"
            return Due([], said, schedule.next_us, [], now_us + AGAIN_US)

    def _fire(self, schedule: Schedule, due: Due, now_us: int) -> None:
        if due.missed:
            self._leave_out(schedule, due.missed_us, due.missed, now_us)
        for slot_us in due.overtaken:
            self._leave_out(schedule, slot_us, OVERTAKEN, now_us)
        for slot_us in due.fired:
            self._fire_slot(schedule, slot_us, now_us)
        schedule.next_us = due.next_us
        schedule.save(using=self._using, update_fields=["last_us", "next_us"])
        prune(schedule, self._using)

    def _fire_slot(self, schedule: Schedule, slot_us: int, now_us: int) -> None:
        task_id = id_of(schedule, slot_us)
        if self._was_fired(schedule, slot_us, task_id):
            return
        try:
            message = message_of(schedule, task_id)
        except REFUSALS as error:
            self._leave_out(schedule, slot_us, str(error), now_us)
            return
        if reason := self._hindrance(schedule):
            self._leave_out(schedule, slot_us, reason, now_us)
            return
        Firing.objects.using(self._using).create(
            schedule=schedule, slot_us=slot_us, fired_us=now_us, task_id=task_id
        )
        put([message], self._using)
        schedule.last_us = slot_us
        logger.info(
            "event=schedule_fired schedule=%s slot=%s task=%s late_ms=%d",
            schedule.name, _iso(slot_us), task_id, (now_us - slot_us) // 1000,
        )  # fmt: skip

    def _was_fired(self, schedule: Schedule, slot_us: int, task_id: str) -> bool:
        """Whether this slot was dealt with: the clock, or the row, may have gone back."""
        mine = Firing.objects.using(self._using).filter(schedule=schedule, slot_us=slot_us)
        if mine.filter(is_manual=False).exists():
            return True
        return TaskRecord.objects.filter(id=task_id).exists()  # its firing was pruned

    def _hindrance(self, schedule: Schedule) -> str:
        """Why the overlap policy leaves a slot out; "" if it does not. Cancels the last task."""
        if schedule.overlap == Overlap.ALLOW:
            return ""
        last = self._last_task(schedule)
        if not last:
            return ""
        if last in outbox.find([last]):  # committed, and on its way
            return f"The task before, {last}, has not reached the queue yet."
        stored = find_many([last]).get(last)
        if stored is None or stored.state.is_final:
            return ""
        if schedule.overlap == Overlap.SKIP:
            return f"The task before, {last}, is {stored.state.status}."
        self._broker.must_lead()
        self._broker.cancel([last], by=f"schedule {schedule.name}")
        return ""

    def _last_task(self, schedule: Schedule) -> str:
        fired = Firing.objects.using(self._using).filter(schedule=schedule).exclude(task_id="")
        return fired.order_by("-id").values_list("task_id", flat=True).first() or ""

    def _leave_out(self, schedule: Schedule, slot_us: int, reason: str, now_us: int) -> None:
        logger.warning(
            "event=schedule_left_out schedule=%s slot=%s reason=%s",
            schedule.name, _iso(slot_us), reason,
        )  # fmt: skip
        row = Firing(
            schedule=schedule,
            slot_us=slot_us,
            fired_us=now_us,
            reason=printable(reason, LONGEST_REASON),
        )
        # One that has a row already keeps that: see _was_fired.
        Firing.objects.using(self._using).bulk_create([row], ignore_conflicts=True)


def _iso(us: int) -> str:
    return moment(us).astimezone(UTC).isoformat()
