"""How the database comes to have the schedules that code and settings declare."""

import logging

from django.db import router, transaction

from ..exceptions import KeyMissing, SealBroken
from .declared import Declared, declared
from .definition import Definition
from .models import Schedule
from .policies import Source

logger = logging.getLogger(__name__)

# One that is back after so long was away while versions of the code took turns: nothing is lost.
# After longer it begins anew.
AWAY_US = 3600 * 1_000_000


def sync(now_us: int) -> bool:
    """Make the rows say what code and settings do; return False if somebody holds one of them.

    A row that is declared no longer is not fired any more, and keeps its history. Whether a row is
    enabled is the operator's, and stays.
    """
    wanted, wrong = declared()
    for sentence in wrong:
        logger.error("event=schedule_refused reason=%s", sentence)
    using = router.db_for_write(Schedule)
    rows = {row.name: row for row in Schedule.objects.using(using)}
    names = {each.definition.name for each in wanted}
    done = [_put(each, rows.get(each.definition.name), now_us, using) for each in wanted]
    for row in rows.values():
        if row.source != Source.OPERATOR and row.is_declared and row.name not in names:
            logger.warning("event=schedule_gone schedule=%s", row.name)
            Schedule.objects.using(using).filter(pk=row.pk).update(is_declared=False)
    return all(done)


def _put(each: Declared, row: Schedule | None, now_us: int, using: str) -> bool:
    if row is None:
        row = Schedule(enabled=each.enabled, source=each.source)
        each.definition.put_into(row, now_us)
        row.save(using=using)
        logger.info("event=schedule_declared schedule=%s source=%s", row.name, each.source.value)
        return True
    if row.source == Source.OPERATOR:
        logger.error("event=schedule_refused reason=%s", f"an operator has made {row.name!r}.")
        return True
    if _is_so(row, each) and row.is_declared and row.source == each.source:
        return True
    with transaction.atomic(using=using):
        # Not if a leader before holds it: he may be asleep.
        rows = Schedule.objects.using(using).select_for_update(skip_locked=True)
        row = rows.filter(pk=row.pk).first()
        if row is None:
            return False
        try:
            each.definition.put_into(row, now_us)
        except KeyMissing as error:
            logger.error("event=schedule_refused schedule=%s reason=%s", row.name, error)
            return True
        if not row.is_declared and row.next_us and row.next_us < now_us - AWAY_US:
            row.plan(now_us)
        row.is_declared, row.source = True, each.source
        row.save(using=using)
    return True


def _is_so(row: Schedule, each: Declared) -> bool:
    try:
        return Definition.of(row) == each.definition
    except (KeyMissing, SealBroken):  # whoever has a key stores it anew
        return False
