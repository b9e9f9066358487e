"""Schedules that code and settings declare become rows, and stay what an operator made of them."""

from datetime import UTC, datetime, timedelta

import pytest

from tasks_app.compat import task
from tasks_app.message import us_of
from tasks_app.models import Firing, Schedule
from tasks_app.periodic import periodic, periodics_of
from tasks_app.schedules import declared
from tasks_app.schedules.definition import Definition
from tasks_app.schedules.policies import Source
from tasks_app.schedules.sync import AWAY_US, sync
from tests.sample import tasks as sample

NOON_US = us_of(datetime(2026, 6, 1, 12, tzinfo=UTC))
ECHO = "tests.sample.tasks.echo"

pytestmark = pytest.mark.django_db


@pytest.fixture
def declare(settings):
    """Declares schedules of the sample's echo for one test, as its decorators would."""

    def declare(*decorators):
        sample.echo.func.__dict__.pop("dtps_periodic", None)
        for decorator in decorators:
            decorator(sample.echo)

    yield declare
    declare()


def rows():
    return {row.name: row for row in Schedule.objects.all()}


@periodic("0 1 * * *", name="a")
@periodic("0 2 * * *", name="b")
@task
def above():
    pass


@task
@periodic(every=60)
def below():
    pass


def test_the_decorator_stands_above_or_below_task_and_several_times():
    assert [each.name for each in periodics_of(above.func)] == ["a", "b"]
    assert periodics_of(below.func)[0].every == 60
    assert periodics_of(rows) == ()


def test_an_option_that_does_not_exist_is_refused_where_it_stands():
    with pytest.raises(TypeError, match="max_atempts"):
        periodic("* * * * *", max_atempts=3)


def test_what_code_declares_becomes_a_row(declare, settings):
    settings.TIME_ZONE = "Europe/Zurich"
    declare(
        periodic(
            every=timedelta(minutes=5), args=[{"a": (1, 2)}], kwargs={"b": "c"}, queue="mail",
            priority=20, max_attempts=3, expires=timedelta(hours=1), give_up_on=[ValueError],
            catch_up="all", catch_up_most=7, overlap="skip", ends="2030-01-01T00:00:00",
        ),
        periodic("0 9 * * *", timezone="Asia/Tokyo", name="morning", enabled=False),
    )  # fmt: skip

    assert sync(NOON_US)

    row, morning = rows()[ECHO], rows()["morning"]
    assert (row.type, row.every, row.cron, row.timezone) == (ECHO, 300, "", "Europe/Zurich")
    assert (row.args, row.kwargs) == ([{"a": [1, 2]}], {"b": "c"})
    assert (row.queue, row.priority) == ("mail", 20)
    assert row.options == {
        "max_attempts": 3, "expires": 3600.0, "give_up_on": ["builtins.ValueError"],
    }  # fmt: skip
    assert (row.catch_up, row.catch_up_most, row.overlap) == ("all", 7, "skip")
    assert row.ends_us == us_of(datetime(2029, 12, 31, 23, tzinfo=UTC))
    assert row.next_us == NOON_US + 300_000_000
    assert (row.source, row.enabled, morning.enabled) == (Source.CODE, True, False)
    assert morning.timezone == "Asia/Tokyo"


def test_what_settings_declare_becomes_a_row(settings):
    settings.DTPS = {
        **settings.DTPS,
        "SCHEDULES": {"nightly": {"task": "test", "cron": "0 3 * * *", "args": [1], "timeout": 9}},
    }

    sync(NOON_US)

    row = rows()["nightly"]
    assert (row.type, row.cron, row.args, row.options) == ("test", "0 3 * * *", [1], {"timeout": 9})
    assert row.source == Source.SETTINGS


def test_a_pause_survives_a_deploy_and_what_vanished_is_fired_no_longer(declare):
    declare(periodic(every=60), periodic(every=60, name="other"))
    sync(NOON_US)
    Schedule.objects.filter(name=ECHO).update(enabled=False)
    Firing.objects.create(schedule=rows()["other"], slot_us=1, fired_us=1)

    declare(periodic(every=120))
    sync(NOON_US)

    assert (rows()[ECHO].every, rows()[ECHO].enabled) == (120, False)
    assert (rows()["other"].is_declared, rows()["other"].enabled) == (False, True)
    assert Firing.objects.count() == 1

    declare(periodic(every=120), periodic(every=60, name="other"))
    sync(NOON_US)
    assert rows()["other"].is_declared


def test_a_deploy_that_changes_no_timing_loses_no_slot(declare):
    declare(periodic(every=60, args=["old"]))
    sync(NOON_US)

    declare(periodic(every=60, args=["new"]))
    sync(NOON_US + 90_000_000)

    assert (rows()[ECHO].args, rows()[ECHO].next_us) == (["new"], NOON_US + 60_000_000)


def test_one_that_comes_back_soon_catches_up_and_one_after_long_begins_anew(declare):
    declare(periodic(every=60))
    sync(NOON_US)
    declare()
    sync(NOON_US)

    declare(periodic(every=60))
    sync(NOON_US + 120_000_000)
    assert rows()[ECHO].next_us == NOON_US + 60_000_000

    declare()
    sync(NOON_US)
    declare(periodic(every=60))
    sync(NOON_US + AWAY_US + 120_000_000)
    assert rows()[ECHO].next_us == NOON_US + AWAY_US + 180_000_000


def test_an_operator_s_schedule_is_not_taken_over_by_code(declare, caplog):
    Schedule.objects.create(name=ECHO, type="test", every=7)
    declare(periodic(every=60))

    sync(NOON_US)

    assert (rows()[ECHO].every, rows()[ECHO].source) == (7, Source.OPERATOR)
    assert "event=schedule_refused" in caplog.text


@pytest.mark.parametrize(
    ("decorator", "said"),
    [
        (periodic("nonsense"), "cron: This is no cron expression"),
        (periodic(), "cron: Give either"),
        (periodic(every=0.5), "every: An interval"),
        (periodic(every="5"), "every: An interval"),
        (periodic("* * * * *", timezone="Nowhere"), "timezone: "),
        (periodic("* * * * *", args=[object()]), "Unsupported type"),
        (periodic("* * * * *", args=["\0"]), "zero character"),
        (periodic("* * * * *", overlap="maybe"), "overlap: Must be one of"),
        (periodic("* * * * *", max_attempts=0), "options: "),
        (periodic("* * * * *", backoff=lambda n, e: 1.0), "Unsupported type"),
        (periodic("* * * * *", ends="tomorrow"), "Invalid isoformat"),
        (periodic("* * * * *", name="a/b"), "name: "),
        (periodic("* * * * *", queue=7), "queue"),
    ],
)
def test_what_is_wrong_is_said_and_the_others_are_kept(declare, settings, decorator, said):
    settings.DTPS = {**settings.DTPS, "SCHEDULES": {"sound": {"task": "test", "every": 60}}}
    declare(decorator)

    found, wrong = declared.declared()

    assert [each.definition.name for each in found] == ["sound"]
    assert len(wrong) == 1
    assert wrong[0].startswith(f"@periodic of {ECHO}: ")
    assert said in wrong[0]


@pytest.mark.parametrize(
    "said",
    [
        7,
        {},
        {"task": "nobody.knows", "every": 5},
        {"task": "test", "evry": 5},
        {"task": 7, "every": 5},
    ],
)
def test_what_is_wrong_in_settings_is_said(settings, said):
    settings.DTPS = {**settings.DTPS, "SCHEDULES": {"wrong": said}}

    found, wrong = declared.declared()

    assert found == []
    assert wrong[0].startswith("DTPS['SCHEDULES']['wrong']: ")


def test_two_of_one_name_are_one(declare):
    declare(periodic(every=60), periodic(every=90))

    found, wrong = declared.declared()

    assert [each.definition.every for each in found] == [90]
    assert "another schedule" in wrong[0]


def test_every_column_that_is_chosen_is_a_column():
    definition = Definition(name="a", type="test", every=60)
    row = Schedule()

    definition.put_into(row, NOON_US)

    assert Definition.of(row) == definition
    assert row.next_us == NOON_US + 60_000_000
