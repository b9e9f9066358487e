"""When a schedule is due: cron, intervals, time zones, hours that are skipped or repeated."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from tasks_app.message import moment, us_of
from tasks_app.schedules.timing import (
    Timing,
    errors_of,
    in_words,
    newest_slots,
    next_slot,
    next_slots,
)

ZURICH, NEW_YORK = "Europe/Zurich", "America/New_York"


def at(zone, text, fold=0):
    return us_of(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold))


def walls(timing, after_us, most=4):
    """The next slots as the clock on the wall shows them, with their offset."""
    found = [moment(us).astimezone(ZoneInfo(timing.timezone)) for us in
             next_slots(timing, after_us, most)]  # fmt: skip
    return [f"{each:%d %H:%M}{each:%z}"[:-2] for each in found]


@pytest.mark.parametrize(
    ("zone", "day_before", "skipped", "after_gap", "winter", "summer"),
    [
        (ZURICH, "2026-03-28", "29", "29 03:00+02", "+01", "+02"),
        (NEW_YORK, "2026-03-07", "08", "08 03:00-04", "-05", "-04"),
    ],
)
def test_what_falls_into_the_skipped_hour_comes_right_after_it(
    zone, day_before, skipped, after_gap, winter, summer
):
    since = at(zone, f"{day_before}T12:00")
    day = int(skipped)

    daily = walls(Timing("30 2 * * *", timezone=zone), since, 2)
    twice = walls(Timing("0,30 2 * * *", timezone=zone), since, 2)
    running = walls(Timing("*/30 * * * *", timezone=zone), at(zone, f"{day_before}T12:00"), 60)

    assert daily == [after_gap, f"{day + 1:02} 02:30{summer}"]
    assert twice == [after_gap, f"{day + 1:02} 02:00{summer}"]  # once, not twice
    ours = [each for each in running if each.startswith(skipped)][:6]
    assert ours == [f"{skipped} {clock}" for clock in (
        f"00:00{winter}", f"00:30{winter}", f"01:00{winter}", f"01:30{winter}",
        f"03:00{summer}", f"03:30{summer}",
    )]  # fmt: skip


@pytest.mark.parametrize(
    ("zone", "day", "first", "second", "hour"),
    [(ZURICH, "2026-10-25", "+02", "+01", 2), (NEW_YORK, "2026-11-01", "-04", "-05", 1)],
)
def test_what_falls_into_the_repeated_hour_comes_once_and_what_runs_all_day_comes_twice(
    zone, day, first, second, hour
):
    midnight, date = at(zone, f"{day}T00:05"), day[-2:]

    daily = walls(Timing(f"30 {hour} * * *", timezone=zone), midnight, 2)
    running = walls(Timing("*/30 * * * *", timezone=zone), at(zone, f"{day}T0{hour}:00"), 3)
    hourly = walls(Timing("0 * * * *", timezone=zone), at(zone, f"{day}T00:30"), 4)

    assert daily[0] == f"{date} 0{hour}:30{first}"
    assert daily[1].endswith(f"0{hour}:30{second}") and not daily[1].startswith(date)
    assert running == [
        f"{date} 0{hour}:30{first}", f"{date} 0{hour}:00{second}", f"{date} 0{hour}:30{second}",
    ]  # fmt: skip
    assert f"{date} 0{hour}:00{first}" in hourly
    assert f"{date} 0{hour}:00{second}" in hourly


@pytest.mark.parametrize(
    ("zone", "day", "hour"), [(ZURICH, "2026-10-25", 2), (NEW_YORK, "2026-11-01", 1)]
)
def test_in_the_repeated_hour_no_slot_is_found_that_has_passed(zone, day, hour):
    timing = Timing(f"30 {hour} * * *", timezone=zone)
    now = at(zone, f"{day}T0{hour}:10", fold=1)

    assert next_slot(timing, now) > now


@pytest.mark.parametrize("cron", ["30 2 * * *", "0,30 1-3 * * *", "*/20 * * * *", "0 */2 * * *"])
@pytest.mark.parametrize("zone", [ZURICH, NEW_YORK])
@pytest.mark.parametrize("day", ["2026-03-29", "2026-03-08", "2026-10-25", "2026-11-01"])
def test_slots_do_not_depend_on_when_one_looks(cron, zone, day):
    timing = Timing(cron, timezone=zone)
    since = at(zone, f"{day}T00:00") - 1
    until = since + 86_400_000_000

    whole, _ = newest_slots(timing, since, until, 1000)
    by_minute, looked = [], since
    while looked < until:
        by_minute += newest_slots(timing, looked, looked + 60_000_000 - 1, 10)[0]
        looked += 60_000_000

    assert whole == by_minute == sorted(set(whole))


def test_intervals_are_anchored_to_the_epoch():
    timing = Timing(every=420)

    assert [us % 420_000_000 for us in next_slots(timing, 1_790_000_000_123_456)] == [0] * 5
    assert next_slot(timing, 420_000_000) == 840_000_000
    assert next_slot(timing, 420_000_000 - 1) == 420_000_000


def test_there_is_no_slot_before_the_start_and_none_after_the_end():
    start, end = (us_of(datetime(2030, 1, 1, hour, tzinfo=UTC)) for hour in (9, 11))
    timing = Timing("0 * * * *", starts_us=start, ends_us=end)

    assert [moment(us).hour for us in next_slots(timing, 1)] == [9, 10, 11]
    assert next_slot(timing, end) == 0


def test_of_many_slots_the_newest_are_found_without_counting_the_others_out():
    now = us_of(datetime(2026, 1, 1, tzinfo=UTC))

    found, is_more = newest_slots(Timing("* * * * * *"), 1, now, 3)

    assert found == [now - 2_000_000, now - 1_000_000, now]
    assert is_more
    assert newest_slots(Timing(every=60), now, now, 3) == ([now], False)
    assert newest_slots(Timing("0 0 1 1 *"), 1, now, 100)[0][-1] == now
    assert newest_slots(Timing("0 0 1 1 *"), 1, now, 100)[1] is False


@pytest.mark.parametrize(
    ("timing", "words"),
    [
        (Timing("*/5 * * * *"), "Every 5 minutes"),
        (Timing("*/5 * * * *", timezone=ZURICH), "Every 5 minutes (Europe/Zurich)"),
        (Timing("*/7 * * * *"), "Every seventh minute of every hour"),
        (Timing("* * * * *"), "Every minute"),
        (Timing("*/10 * * * * *"), "Every 10 seconds"),
        (Timing("0 */6 * * *"), "Every 6 hours"),
        (Timing("0 9 * * MON-FRI"), "At 09:00 on Monday through Friday"),
        (Timing("15 10 * * *"), "At 10:15 every day"),
        (Timing(every=1), "Every second"),
        (Timing(every=300), "Every 5 minutes"),
        (Timing(every=86_400), "Every day"),
        (Timing(every=90), "Every 90 seconds"),
    ],
)
def test_a_timing_is_said_in_words(timing, words):
    assert in_words(timing) == words


@pytest.mark.parametrize(
    ("timing", "field"),
    [
        (Timing(), "cron"),
        (Timing("* * * * *", every=5), "cron"),
        (Timing("61 * * * *"), "cron"),
        (Timing("* * * *"), "cron"),
        (Timing("0 0 30 2 *"), "cron"),
        (Timing("*" * 201), "cron"),
        (Timing("@daily"), "cron"),
        (Timing("0 0 * * *\0"), "cron"),
        (Timing(every=-1), "every"),
        (Timing(every=1.5), "every"),
        (Timing(every=10**9), "every"),
        (Timing(every=60, timezone="Europe/Zürich"), "timezone"),
        (Timing(every=60, timezone="../../etc/passwd"), "timezone"),
        (Timing(every=60, timezone=""), "timezone"),
        (Timing(every=60, starts_us=2, ends_us=1), "ends"),
        (Timing(every=60, starts_us=10**18), "starts"),
    ],
)
def test_what_is_no_timing_is_refused_by_field(timing, field):
    assert list(errors_of(timing)) == [field]


def test_a_sound_timing_has_no_errors():
    assert errors_of(Timing("0 12 L * *", timezone=NEW_YORK, starts_us=1, ends_us=2)) == {}
