"""Time that stands: for delays, retries, schedules, expiry, keys that end, and rates."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from tasks_app.broker import broker, keys
from tasks_app.compat import TaskResultStatus
from tasks_app.message import now_us
from tasks_app.options.unique import Unique
from tasks_app.schedules.models import Firing, Schedule
from tasks_app.testing import clock as clock_module

from ..sample import orders

NOON = "2026-03-01 12:00"


@pytest.fixture
def scheduled(settings):
    """Lets the settings declare a schedule."""

    def scheduled(**words):
        schedule = {"task": "tests.sample.orders.say_when", **words}
        settings.DTPS = {**settings.DTPS, "SCHEDULES": {"a schedule": schedule}}

    return scheduled


def test_every_clock_says_the_same(dtps):
    with dtps.frozen(NOON) as clock:
        assert timezone.now() == clock.now == datetime(2026, 3, 1, 12, tzinfo=UTC)
        assert now_us() == broker().server_time_us() == clock.us
        assert broker().stats().at_ms == clock.us // 1000

        clock.tick(hours=1, seconds=1)
        clock.tick(0.5)
        assert timezone.now() == datetime(2026, 3, 1, 13, 0, 1, 500_000, tzinfo=UTC)
        assert broker().stats().at_ms == clock.us // 1000
        assert clock.move_to("2026-03-02 00:00") == timezone.now()

    assert abs(broker().server_time_us() - now_us()) < 60_000_000
    assert timezone.now() > datetime(2026, 3, 3, tzinfo=UTC)


def test_it_goes_on_when_a_test_fails(dtps):
    with pytest.raises(RuntimeError, match="on purpose"), dtps.frozen(NOON):
        raise RuntimeError("on purpose")

    assert timezone.now() > datetime(2026, 3, 3, tzinfo=UTC)
    assert broker().stats().at_ms > datetime(2026, 3, 3, tzinfo=UTC).timestamp() * 1000


def test_it_neither_goes_back_nor_stands_twice(dtps):
    with dtps.frozen(NOON) as clock:
        with pytest.raises(ValueError, match="does not go back"):
            clock.move_to("2026-03-01 11:59")
        with pytest.raises(RuntimeError, match="stands already"), dtps.frozen():
            pass
        assert timezone.now() == clock.now

    with pytest.raises(RuntimeError, match=r"with dtps.frozen\(\)"):
        dtps.drain_for(hours=1)


def test_a_moment_without_a_zone_is_one_of_the_project(dtps, settings):
    settings.TIME_ZONE = "Asia/Kathmandu"
    with dtps.frozen(NOON) as clock:
        assert clock.now == datetime(2026, 3, 1, 6, 15, tzinfo=UTC)


def test_without_time_zones_the_moment_has_none(dtps, settings):
    settings.USE_TZ = False
    with dtps.frozen(NOON) as clock:
        assert timezone.now() == clock.now == datetime(2026, 3, 1, 12)


def test_what_is_put_off_runs_when_it_is_due(dtps):
    with dtps.frozen(NOON) as clock:
        in_an_hour = timezone.now() + timedelta(hours=1)
        orders.say_when.using(run_after=in_an_hour).enqueue()
        assert dtps.drain() == []
        clock.tick(minutes=59)
        assert dtps.drain() == []

        clock.tick(minutes=1)
        (ran,) = dtps.drain(check=True)

    assert ran.return_value == in_an_hour.isoformat()
    assert ran.started_at == ran.finished_at == in_an_hour
    assert ran.enqueued_at == in_an_hour - timedelta(hours=1)


def test_a_retry_comes_after_its_pause(dtps):
    with dtps.frozen(NOON) as clock:
        orders.fail_twice.enqueue()
        (ran,) = dtps.drain()
        assert ran.status == TaskResultStatus.READY and len(ran.errors) == 1
        assert dtps.drain() == []

        clock.tick(minutes=2)
        (ran,) = dtps.drain()
        assert len(ran.errors) == 2
        clock.tick(minutes=4)
        (ran,) = dtps.drain()

    assert (ran.return_value, ran.attempts) == (3, 3)


def test_time_that_passes_runs_everything_at_its_moment(dtps):
    with dtps.frozen(NOON) as clock:
        orders.fail_twice.enqueue()
        tomorrow = clock.now + timedelta(days=1)
        orders.say_when.using(run_after=tomorrow).enqueue()

        retried, put_off = dtps.drain_for(hours=24, check=True)

        assert clock.now == tomorrow
    assert retried.attempts == 3 and retried.finished_at < tomorrow - timedelta(hours=23)
    assert put_off.return_value == tomorrow.isoformat()


def test_what_has_expired_does_not_run(dtps):
    with dtps.frozen(NOON) as clock:
        result = orders.sign_up.using(expires=timedelta(minutes=5)).enqueue("ada")
        dtps.drain(["another queue"])
        clock.tick(minutes=5)

        assert dtps.drain() == []
        result.refresh()
        assert result.errors[0].exception_class_path == "tasks_app.exceptions.TaskExpired"


def test_a_key_that_a_period_holds_is_free_after_it(dtps):
    once = orders.say_when.using(unique=Unique(period=timedelta(hours=1)))
    with dtps.frozen(NOON) as clock:
        first = once.enqueue()
        dtps.drain()
        clock.tick(minutes=59)
        assert once.enqueue().id == first.id
        dtps.drain()

        clock.tick(minutes=1)
        assert once.enqueue().id != first.id
        assert len(dtps.drain()) == 1


def test_a_rate_counts_by_the_clock_that_stands(dtps):
    slow = orders.say_when.using(rate="2/m")
    with dtps.frozen(NOON) as clock:
        for _ in range(5):
            slow.enqueue()
        assert len(dtps.drain()) == 2
        clock.tick(minutes=1)
        assert len(dtps.drain()) == 2

        assert len(dtps.drain_for(minutes=1)) == 1


def test_schedules_are_fired(dtps, scheduled):
    scheduled(cron="0 3 * * *", timezone="Europe/Zurich")
    with dtps.frozen("2026-03-28 12:00") as clock:
        assert dtps.drain() == []
        clock.move_to("2026-03-29 01:00")  # 03:00 in Zurich, in the night that has no 02:00

        (ran,) = dtps.drain(check=True)

    assert ran.return_value == "2026-03-29T01:00:00+00:00"
    assert Firing.objects.get().task_id == ran.id


def test_time_that_passes_fires_each_slot(dtps, scheduled):
    scheduled(every=600)
    with dtps.frozen(NOON):
        ran = dtps.drain_for(hours=1, check=True)

    assert [each.return_value[11:16] for each in ran] == [
        "12:10", "12:20", "12:30", "12:40", "12:50", "13:00",
    ]  # fmt: skip


def test_a_jump_is_an_outage_to_a_schedule(dtps, scheduled):
    scheduled(every=600, catch_up="last")
    with dtps.frozen(NOON) as clock:
        clock.tick(minutes=55)

        assert len(dtps.drain()) == 1


def test_schedules_that_are_not_wanted_are_not_fired(dtps, scheduled):
    scheduled(every=600)
    with dtps.frozen(NOON, schedules=False):
        assert dtps.drain_for(hours=1) == []
    with dtps.frozen(NOON, schedules=["another"]):
        assert dtps.drain_for(hours=1) == []
    with dtps.frozen(NOON, schedules=["a schedule"]):
        assert len(dtps.drain_for(hours=1)) == 6


def test_by_real_time_no_schedule_is_fired(dtps, scheduled):
    scheduled(every=1)

    dtps.drain()

    assert not Schedule.objects.exists()


def test_a_schedule_that_a_test_makes_is_fired_like_any_other(dtps, client):
    body = {"name": "made here", "taskType": "wordcount", "args": ["a b"], "every": 60}
    with dtps.frozen(NOON) as clock:
        answer = client.post("/api/schedules", body, "application/json", headers=LOCAL)
        assert answer.status_code == 201, answer.json()
        clock.tick(minutes=1)

        assert len(dtps.drain(check=True)) == 1


LOCAL = {"host": "localhost:8080"}


def test_the_scripts_of_others_are_as_they_were():
    script = clock_module.script("exchange")

    assert 'redis.call("TIME")' not in script.text
    assert script.text.count('base .. "clock"') == 1
    real = clock_module.assembled("exchange").text
    assert 'redis.call("TIME")' in real and 'base .. "clock"' not in real


def test_a_clock_stands_in_each_shard(dtps, settings):
    settings.DTPS = {**settings.DTPS, "SHARDS": {"mail": 1}}
    with dtps.frozen(NOON) as clock:
        orders.say_when.using(queue_name="mail").enqueue()
        later = clock.now + timedelta(hours=1)
        orders.say_when.using(queue_name="mail", run_after=later).enqueue()

        ran = dtps.drain_for(hours=1, check=True)

        assert broker().link.call("EXISTS", keys.key(1, "clock")) == 1
    assert [each.return_value[11:16] for each in ran] == ["12:00", "13:00"]
