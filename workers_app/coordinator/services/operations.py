"""The service that does bulk operations: a slice of one at each tick, all of them by turns."""

import logging
import time

from django.db import router, transaction
from rest_framework.exceptions import ValidationError

from tasks_app.broker import Broker
from tasks_app.exceptions import InvalidCall
from tasks_app.message import now_us
from tasks_app.operations import deeds, orders
from tasks_app.operations.deeds import Outcome
from tasks_app.operations.models import Operation
from tasks_app.operations.words import UNDER_WAY, Action, Stage

from ...service import Service
from ..rows import printable

logger = logging.getLogger(__name__)

SLICE = 300  # tasks
IDLE_SECONDS = 1.0  # between two looks whether there is an operation
SHORTEST_PAUSE, LONGEST_PAUSE = 0.01, 1.0  # after a slice: others want to write to SQLite too
LONGEST_MESSAGE = 500

# What ends an operation; whatever else is raised passes by, or stops one task alone.
WRONG = (InvalidCall, ValidationError, KeyError, TypeError)


class Operations(Service):
    """A slice is found, written down, done, and then counted.

    Who goes on after a crash finds the slice, and does again what of it is not done. The row is
    locked while it is changed, and changed only by who has seen it last: so of two leaders one
    counts.
    """

    def __init__(self, broker: Broker):
        super().__init__()
        self._broker = broker

    def tick(self) -> float:
        """Do a slice of the operation that has waited longest."""
        one = self._rows().filter(state__in=UNDER_WAY).order_by("updated_us", "id").first()
        if one is None:
            return IDLE_SECONDS
        began = time.monotonic()
        self._broker.must_lead()
        try:
            self._do_slice(one)
        except WRONG as error:
            self._end(one, Stage.FAILED, f"{type(error).__name__}: {error}")
        return min(max(time.monotonic() - began, SHORTEST_PAUSE), LONGEST_PAUSE)

    def _do_slice(self, one: Operation) -> None:
        again = bool(one.slice)
        if not again and not self._plan(one):
            return
        outcome = deeds.do(one, one.slice["tasks"], self._broker, again=again)
        self._count(one, outcome)

    def _plan(self, one: Operation) -> bool:
        """Find the next slice and write it down. Return whether there is something to do."""
        found = orders.filter_of(Action(one.action), one.filter, one.created_us)
        records, below = found.below(one.cursor).page(SLICE)
        tasks = {record.id: record.run for record in records}
        with transaction.atomic(using=self._using):
            row = self._locked(one)
            if row is None:
                return False
            now = now_us()
            if row.state == Stage.PENDING:
                logger.info("event=operation_begins operation=%s action=%s", one.id, one.action)
            row.state, row.started_us, row.updated_us = Stage.RUNNING, row.started_us or now, now
            row.matched += len(tasks)
            row.slice = {"below": below, "tasks": tasks}
            row.save(using=self._using)
        one.slice = row.slice
        return True

    def _count(self, one: Operation, outcome: Outcome) -> None:
        """Write down what came of a slice, and go on below it."""
        below = one.slice["below"]
        with transaction.atomic(using=self._using):
            row = self._locked(one, *Stage)
            if row is None or row.slice != one.slice:
                return  # somebody else has counted it
            row.done += outcome.done
            row.skipped += outcome.skipped
            row.failed += outcome.failed
            if row.state == Stage.RUNNING:  # else it was cancelled, which says why
                row.message = printable(outcome.message or row.message, LONGEST_MESSAGE)
            row.slice, row.cursor, row.updated_us = {}, below or row.cursor, now_us()
            if below is None and row.state == Stage.RUNNING:
                row.state, row.ended_us = Stage.DONE, row.updated_us
                self._tell(row)
            row.save(using=self._using)

    def _end(self, one: Operation, state: Stage, message: str) -> None:
        with transaction.atomic(using=self._using):
            if row := self._locked(one):
                row.state, row.message = state, printable(message, LONGEST_MESSAGE)
                row.slice, row.ended_us = {}, now_us()
                self._tell(row)
                row.save(using=self._using)

    def _locked(self, one: Operation, *states: Stage) -> Operation | None:
        """The row as it is now, if it is where this one has seen it."""
        rows = self._rows().select_for_update()
        return rows.filter(id=one.id, cursor=one.cursor, state__in=states or UNDER_WAY).first()

    def _tell(self, row: Operation) -> None:
        logger.info(
            "event=operation_ends operation=%s action=%s state=%s done=%d skipped=%d failed=%d",
            row.id, row.action, row.state, row.done, row.skipped, row.failed,
        )  # fmt: skip

    @property
    def _using(self) -> str:
        return router.db_for_write(Operation)

    def _rows(self):
        return Operation.objects.using(self._using)
