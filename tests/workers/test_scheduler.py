"""The scheduler: each slot of a schedule is fired once, whatever happens to leaders and clocks."""

import json
import signal
import threading

import pytest
from django.db import connections, transaction

from tasks_app.exceptions import LostLead, QueueUnavailable
from tasks_app.message import moment
from tasks_app.models import Firing, Outbox, Schedule, TaskRecord
from tasks_app.schedules.due import OVERTAKEN
from tasks_app.schedules.firing import KEPT, id_of, run_now, slot_of
from workers_app.coordinator.services.scheduler import Scheduler
from workers_app.coordinator.services.sweeper import Sweeper

from ..conftest import wait_until
from ..postgres import ALIAS, on_both_databases, on_postgres
from .clock import Clock
from .committing import programs
from .processes import processes

NOON_US = 1_790_000_000_000_000 // 3_600_000_000 * 3_600_000_000  # a full hour
SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US


@pytest.fixture
def clock():
    return Clock(NOON_US)


def schedule(name="each minute", *, after_us=NOON_US, **fields):
    fields = {"type": "test", "args": ["x"], "every": 0 if "cron" in fields else 60} | fields
    made = Schedule(name=name, **fields)
    made.plan(after_us)
    made.save()
    return made


def tick_at(broker, clock, us, scheduler=None):
    clock.us = us
    return (scheduler or Scheduler(broker, clock)).tick()


def reasons(schedule):
    """What was left out, in minutes after noon, and why."""
    rows = Firing.objects.filter(schedule=schedule, task_id="").order_by("id")
    return [((row.slot_us - NOON_US) / MINUTE_US, row.reason) for row in rows]


def fired(schedule):
    """The slots that were fired, in minutes after noon."""
    rows = Firing.objects.filter(schedule=schedule).exclude(task_id="").order_by("id")
    return [(row.slot_us - NOON_US) / MINUTE_US for row in rows]


@on_both_databases
def test_a_slot_is_fired_when_it_is_due_and_not_before(broker, clock):
    made = schedule(args=["hello"], queue="mail", priority=40, options={"max_attempts": 3})
    scheduler = Scheduler(broker, clock)

    assert tick_at(broker, clock, NOON_US + MINUTE_US - 250_000, scheduler) == 0.25
    assert not Firing.objects.exists()

    tick_at(broker, clock, NOON_US + MINUTE_US, scheduler)

    (row,) = Firing.objects.all()
    assert (row.slot_us, row.is_manual, row.reason) == (NOON_US + MINUTE_US, False, "")
    task = broker.must_get(row.task_id).message
    assert (task.type, task.args, task.queue, task.priority) == ("test", ["hello"], "mail", 40)
    assert task.max_attempts == 3
    assert slot_of(task.id) == row.slot_at
    made.refresh_from_db()
    assert (made.last_us, made.next_us) == (row.slot_us, NOON_US + 2 * MINUTE_US)
    assert not Outbox.objects.exists()


@on_both_databases
def test_a_slot_of_a_process_that_starts_again_is_the_same(broker, clock):
    made = schedule(every=7)
    tick_at(broker, clock, NOON_US + 20 * SECOND_US)
    first = set(Firing.objects.values_list("slot_us", flat=True))
    tick_at(broker, clock, NOON_US + 30 * SECOND_US)

    slots = sorted(Firing.objects.values_list("slot_us", flat=True))

    assert {slot_us % (7 * SECOND_US) for slot_us in slots} == {0}
    assert len(slots) == len(first) + 1
    assert len(fired(made)) == len(set(fired(made)))


@on_both_databases
def test_what_is_paused_gone_over_or_not_begun_is_not_fired(broker, clock):
    schedule("paused", enabled=False)
    schedule("gone", is_declared=False)
    schedule("over", ends_us=NOON_US + 30 * SECOND_US)
    schedule("later", starts_us=NOON_US + 3 * MINUTE_US)

    tick_at(broker, clock, NOON_US + 2 * MINUTE_US)

    assert not Firing.objects.exists()
    tick_at(broker, clock, NOON_US + 3 * MINUTE_US)
    assert [row.schedule.name for row in Firing.objects.all()] == ["later"]


@on_both_databases
def test_leaders_that_race_fire_each_slot_once(broker, clock):
    made = [schedule(f"schedule {n}") for n in range(5)]
    clock.us = NOON_US + MINUTE_US
    together, failed = threading.Barrier(4), []

    def lead():
        scheduler = Scheduler(broker, clock)
        together.wait()
        for _ in range(5):
            scheduler.attempt()
            failed.extend([] if not scheduler._failures else [scheduler])
        connections.close_all()

    threads = [threading.Thread(target=lead) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [fired(each) for each in made] == [[1]] * 5
    assert not failed
    assert broker.stats().ready == 5


@on_both_databases
def test_a_leader_that_was_followed_fires_nothing(broker, clock):
    made = schedule()
    broker.fleet.lead("before")
    broker.fleet.abdicate("before")
    later = broker.fleet.lead("after")

    with pytest.raises(LostLead):
        tick_at(broker, clock, NOON_US + MINUTE_US, Scheduler(broker.under(later.term - 1), clock))

    assert fired(made) == []
    assert (Outbox.objects.count(), broker.stats().ready) == (0, 0)
    tick_at(broker, clock, NOON_US + MINUTE_US, Scheduler(broker.under(later.term), clock))
    assert fired(made) == [1]


@on_both_databases
def test_a_slot_whose_task_is_known_is_not_fired_again_by_a_row_that_went_back(broker, clock):
    made = schedule()
    tick_at(broker, clock, NOON_US + MINUTE_US)
    (task_id,) = Firing.objects.values_list("task_id", flat=True)

    Schedule.objects.update(next_us=NOON_US + MINUTE_US)
    tick_at(broker, clock, NOON_US + MINUTE_US)
    assert broker.stats().ready == 1

    Firing.objects.all().delete()
    TaskRecord.objects.create(
        id=task_id, type="test", queue="default", priority=0, status="completed",
        submitted_us=1, definition=b"", state=b"",
    )  # fmt: skip
    Schedule.objects.update(next_us=NOON_US + MINUTE_US)
    tick_at(broker, clock, NOON_US + MINUTE_US)

    assert fired(made) == []
    assert broker.stats().ready == 1


@on_both_databases
def test_a_slot_that_redis_still_knows_is_not_pushed_twice(broker, clock):
    schedule()
    tick_at(broker, clock, NOON_US + MINUTE_US)
    Firing.objects.all().delete()
    Schedule.objects.update(next_us=NOON_US + MINUTE_US)

    tick_at(broker, clock, NOON_US + MINUTE_US)
    Outbox.objects.update(turn_us=1)
    Sweeper(broker).tick()

    assert broker.stats().ready == 1
    assert not Outbox.objects.exists()


def test_ids_are_uuid7_of_the_slot_and_differ_between_slots_and_schedules():
    first, again = Schedule(name="a", salt="x"), Schedule(name="a", salt="x")
    others = [Schedule(name="b", salt="x"), Schedule(name="a", salt="y")]

    task_id = id_of(first, NOON_US)

    assert id_of(again, NOON_US) == task_id
    assert len({task_id, id_of(first, NOON_US + 1), *(id_of(o, NOON_US) for o in others)}) == 4
    assert (task_id[14], task_id[19] in "89ab") == ("7", True)
    assert slot_of(task_id) == moment(NOON_US)
    assert task_id < id_of(first, NOON_US + SECOND_US)
    assert slot_of("no id") is None


@on_both_databases
def test_a_clock_that_goes_back_fires_no_slot_again(broker, clock):
    made = schedule()
    scheduler = Scheduler(broker, clock)

    for minutes in (1, 2, -30, 1, 2, 3):
        tick_at(broker, clock, NOON_US + minutes * MINUTE_US, scheduler)
    assert fired(made) == [1, 2, 3]

    made.refresh_from_db()
    made.plan(NOON_US)  # as a pause and a resume do, with a clock that is behind
    made.save()
    for minutes in (1, 2, 3, 4):
        tick_at(broker, clock, NOON_US + minutes * MINUTE_US, scheduler)
    assert fired(made) == [1, 2, 3, 4]


@on_both_databases
def test_slots_that_are_less_than_a_minute_late_are_all_fired_under_every_policy(broker, clock):
    made = [schedule(policy, every=10, catch_up=policy) for policy in ("none", "last", "all")]

    tick_at(broker, clock, NOON_US + 55 * SECOND_US)

    for each in made:
        assert [minutes * 6 for minutes in fired(each)] == [1, 2, 3, 4, 5]
        assert reasons(each) == []


@on_both_databases
def test_after_a_day_without_a_coordinator_the_catch_up_policy_decides(broker, clock):
    day = 24 * 60
    none = schedule("none", every=3600, catch_up="none")
    last = schedule("last", every=3600, catch_up="last")
    some = schedule("all", every=3600, catch_up="all", catch_up_most=3)
    every = schedule("really all", every=3600, catch_up="all")
    minutely = schedule("each minute", catch_up="last")

    tick_at(broker, clock, NOON_US + (day + 30) * MINUTE_US)

    assert fired(none) == []
    assert fired(last) == [day]
    assert fired(some) == [day - 120, day - 60, day]
    assert fired(every) == [hour * 60 for hour in range(1, 25)]
    assert fired(minutely) == [day + 29, day + 30]  # both are on time
    assert [minutes for minutes, _ in reasons(none)] == [day]
    assert reasons(none)[0][1].startswith("24 slots up to this one went by")
    assert reasons(last)[0][1].startswith("23 slots")
    assert reasons(some)[0][0] == day - 180
    assert reasons(every) == []
    assert reasons(minutely)[0][1].startswith("At least ")
    none.refresh_from_db()
    assert none.next_us == NOON_US + (day + 60) * MINUTE_US


@on_both_databases
def test_skip_leaves_a_slot_out_while_the_task_before_is_open(broker, clock):
    made = schedule(overlap="skip")
    tick_at(broker, clock, NOON_US + MINUTE_US)
    (task_id,) = Firing.objects.values_list("task_id", flat=True)

    tick_at(broker, clock, NOON_US + 2 * MINUTE_US)
    assert fired(made) == [1]
    assert reasons(made) == [(2, f"The task before, {task_id}, is pending.")]

    broker.cancel([task_id])
    tick_at(broker, clock, NOON_US + 3 * MINUTE_US)
    assert fired(made) == [1, 3]


@on_both_databases
def test_skip_counts_a_task_that_is_still_on_its_way(broker, clock, monkeypatch):
    made = schedule(overlap="skip", every=10)

    tick_at(broker, clock, NOON_US + 25 * SECOND_US)

    assert [minutes * 6 for minutes in fired(made)] == [1]
    assert "has not reached the queue yet" in reasons(made)[0][1]


@on_both_databases
def test_cancel_ends_the_task_before(broker, clock):
    made = schedule(overlap="cancel")
    tick_at(broker, clock, NOON_US + MINUTE_US)
    tick_at(broker, clock, NOON_US + 2 * MINUTE_US)

    first, second = Firing.objects.order_by("id").values_list("task_id", flat=True)
    assert broker.must_get(first).state.status == "cancelled"
    assert broker.must_get(second).state.status == "pending"
    assert fired(made) == [1, 2]


@on_both_databases
def test_of_slots_that_would_cancel_each_other_the_last_is_fired(broker, clock):
    made = schedule(overlap="cancel", every=20)

    tick_at(broker, clock, NOON_US + MINUTE_US)

    assert fired(made) == [1]
    assert [reason for _, reason in reasons(made)] == [OVERTAKEN] * 2


@on_both_databases
def test_a_schedule_that_cannot_be_fired_says_why_and_stops_no_other(broker, clock):
    unknown = schedule("unknown", type="no.such.type")
    wrong = schedule("wrong", options={"max_attempts": -1})
    later = schedule("of later code", options={"no_such_option": 1})
    unreadable = schedule("unreadable")
    Schedule.objects.filter(pk=unreadable.pk).update(every=0, cron="nonsense")
    sound = schedule("sound")

    tick_at(broker, clock, NOON_US + MINUTE_US)

    assert fired(sound) == [1]
    assert reasons(unknown)[0][1].startswith("There is no task type 'no.such.type'")
    assert "number of attempts" in reasons(wrong)[0][1]
    assert "no_such_option" in reasons(later)[0][1]
    assert "CronSimError" in reasons(unreadable)[0][1]
    unreadable.refresh_from_db()
    assert unreadable.next_us == NOON_US + 2 * MINUTE_US


@on_both_databases
def test_what_is_edited_between_two_slots_counts_from_the_next_one(broker, clock):
    made = schedule(args=["old"])
    tick_at(broker, clock, NOON_US + MINUTE_US)
    Schedule.objects.update(args=["new"])
    tick_at(broker, clock, NOON_US + 2 * MINUTE_US)

    ids = Firing.objects.order_by("id").values_list("task_id", flat=True)
    assert [broker.must_get(each).message.args for each in ids] == [["old"], ["new"]]
    assert fired(made) == [1, 2]


@on_both_databases
def test_run_now_fires_once_at_once_and_says_so(broker, clock):
    made = schedule(enabled=False)

    firing = run_now(made)

    assert broker.must_get(firing.task_id).message.args == ["x"]
    (row,) = Firing.objects.all()
    assert (row.is_manual, row.task_id) == (True, firing.task_id)
    assert not Outbox.objects.exists()


@on_both_databases
def test_the_history_of_each_schedule_is_bounded(broker, clock):
    made, other = schedule(), schedule("other", ends_us=NOON_US + MINUTE_US)
    tick_at(broker, clock, NOON_US + MINUTE_US)
    Firing.objects.bulk_create(
        Firing(schedule=made, slot_us=number, fired_us=number) for number in range(KEPT + 50)
    )

    tick_at(broker, clock, NOON_US + 2 * MINUTE_US)

    assert Firing.objects.filter(schedule=made).count() == KEPT
    assert fired(made) == [2]
    assert fired(other) == [1]


@on_both_databases
def test_hundreds_that_are_due_at_once_are_all_fired_in_one_tick(broker, clock):
    made = [Schedule(name=f"schedule {n}", type="test", every=60) for n in range(250)]
    for each in made:
        each.plan(NOON_US)
    Schedule.objects.bulk_create(made)

    tick_at(broker, clock, NOON_US + MINUTE_US)

    assert broker.stats().ready == 250
    assert not Outbox.objects.exists()


@on_both_databases
def test_while_redis_is_away_nothing_is_fired_and_nothing_is_lost(broker, clock, monkeypatch):
    made = schedule()

    def away():
        raise QueueUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(broker, "must_lead", away)
        with pytest.raises(QueueUnavailable):
            tick_at(broker, clock, NOON_US + MINUTE_US)
    assert (Firing.objects.count(), Outbox.objects.count()) == (0, 0)

    tick_at(broker, clock, NOON_US + MINUTE_US)
    assert fired(made) == [1]


@on_postgres
def test_a_schedule_that_somebody_holds_keeps_no_other_from_firing(broker, clock):
    held, free = schedule("held"), schedule("free")
    clock.us = NOON_US + MINUTE_US

    def fire():
        Scheduler(broker, clock).tick()
        connections.close_all()

    with transaction.atomic(using=ALIAS):
        Schedule.objects.select_for_update().get(pk=held.pk)
        thread = threading.Thread(target=fire)
        thread.start()
        thread.join()
    assert (fired(held), fired(free)) == ([], [1])

    fire()
    assert fired(held) == [1]


# --- killed at each step ---

TICK = """
from tasks_app import broker as _
from tasks_app.broker import Broker
from tasks_app.outbox import Batch
from tasks_app.schedules import firing
from workers_app.coordinator.services import scheduler
from workers_app.coordinator.services.scheduler import Scheduler

{hook}
Scheduler(broker(), lambda: {at}).tick()
"""
STEPS = {
    "before the row is read": "Scheduler._fire_some = before(Scheduler._fire_some, {signal})",
    "before the firing": "scheduler.message_of = before(scheduler.message_of, {signal})",
    "after the outbox": "scheduler.put = after(scheduler.put, {signal})",
    "before the commit": "Broker.must_lead = after(Broker.must_lead, {signal})",
    "before the push": "Batch.flush = before(Batch.flush, {signal})",
    "after the push": "outbox.push = after(outbox.push, {signal})",
}


@pytest.fixture
def program(broker, database, request):
    """Starts a process that ticks once, and hits itself with a signal at a step."""
    with programs(broker, database, request) as start:

        def ticks(step, number, at=NOON_US + MINUTE_US):
            hook = STEPS[step].format(signal=number)
            return start(TICK.format(hook=hook, at=at))

        yield ticks


def follow(broker, clock):
    """What the next leader does."""
    tick_at(broker, clock, NOON_US + MINUTE_US)
    Outbox.objects.update(turn_us=1)
    while Outbox.objects.exists():
        Sweeper(broker).tick()


@pytest.mark.parametrize("step", STEPS)
@on_both_databases
def test_a_leader_that_is_killed_is_followed_by_one_that_fires_once(broker, clock, program, step):
    made = schedule(overlap="skip")

    _, code = program(step, "KILL").end()
    follow(broker, clock)
    follow(broker, clock)

    assert code == -signal.SIGKILL
    assert fired(made) == [1]
    assert broker.stats().count("submitted") == 1


@pytest.mark.parametrize("step", ["before the row is read", "before the push", "after the push"])
@on_both_databases
def test_a_leader_that_falls_asleep_and_wakes_up_after_the_next_one_fires_nothing_again(
    broker, clock, program, step
):
    made = schedule()
    sleeper = program(step, "STOP")
    sleeper.wait_until_stopped()
    tick_at(broker, clock, NOON_US + MINUTE_US)
    sweeper = Sweeper(broker)
    # Not before the sleeper's turn is over, which is by the clock of Redis.
    wait_until(lambda: sweeper.tick() and not Outbox.objects.exists(), "the sweep")
    (task_id,) = Firing.objects.values_list("task_id", flat=True)
    broker.cancel([task_id])
    broker.forget({task_id: 2})
    assert not broker.read([task_id])  # so that Redis would take it once more

    sleeper.go_on()

    assert fired(made) == [1]
    assert not broker.read([task_id])


@on_both_databases
def test_coordinators_that_are_killed_again_and_again_fire_each_second_once(
    broker, database, tmp_path, postgres
):
    name = str(connections["default"].settings_dict["NAME"])
    env = {"DATABASE_URL": postgres} if database == ALIAS else {"TEST_DATABASE_NAME": name}
    env["TEST_DTPS"] = json.dumps(
        {
            "LEADER_SECONDS": 1,
            "SCHEDULES": {"each second": {"task": "test", "every": 1, "catch_up": "none"}},
        }
    )
    firings = Firing.objects.filter(schedule__name="each second").exclude(task_id="")

    with processes(broker.link.url, tmp_path) as start:
        candidates = [start("runcoordinator", env=env) for _ in range(2)]
        for round_ in range(4):
            seen = firings.count()
            wait_until(lambda: firings.count() > seen + 1, "two firings")  # noqa: B023
            candidates[round_ % 2].kill_group()
            candidates[round_ % 2] = start("runcoordinator", env=env)
        seen = firings.count()
        wait_until(lambda: firings.count() > seen + 1, "the last firings")
        for each in candidates:
            each.stop()

    Outbox.objects.update(turn_us=1)
    while Outbox.objects.exists():
        Sweeper(broker).tick()
    slots = sorted(firings.values_list("slot_us", flat=True))
    assert slots == list(range(slots[0], slots[-1] + 1, SECOND_US))
    assert broker.stats().count("submitted") == len(slots)
